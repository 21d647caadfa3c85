"""`/` and `/app`: where the web portal is. There is none; but what probes its root finds a server there that looks well, drained or not.

Sources: `healthcheck-server.ps1` of OctopusDeploy/Octopus-Docker expects 200 at the root, redirects followed; the redirect is in
OctopusDeploy/Issues 7954. Its status is an inference.
"""

from typing import Final

from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.routing import Operation

APP: Final = "/app"
_PAGE: Final = b"<!DOCTYPE html>\n<title>Octopus Deploy</title>\n<p>A mock node: it has an API and no portal.\n"


async def to_portal(call: Call) -> None:
    """Leads to the portal."""
    await call.answer_bytes(302, [(b"location", APP.encode()), (b"content-length", b"0"), _UNCACHED], b"")


async def portal(call: Call) -> None:
    """A page that says what this is."""
    length = str(len(_PAGE)).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", length), _UNCACHED]
    await call.answer_bytes(200, headers, _PAGE)


_UNCACHED: Final = (b"cache-control", b"private, no-cache, no-store")

operations: Final = [
    Operation(method="GET", path="/", handler=to_portal, anonymous=True, statuses=(302,)),
    Operation(method="GET", path=APP, handler=portal, anonymous=True, answer=str),
]
