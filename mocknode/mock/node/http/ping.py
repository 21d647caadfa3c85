"""The ping: `/api/octopusservernodes/ping`, the health check a balancer is meant to use.

200 while in rotation, 418 while draining, the same node document either way. Source: the swagger of the server and a sample
of a 2022.4 server (OctopusDeploy/Issues 7964) for fields and their order; HEAD answered 404 on builds before 2022.4.8517,
2023.1.9716 and 2023.2.3045 (Issues 8081), hence the switch. As in ASP.NET's routes,
case and one slash at the end do not matter; a doubled slash makes it another path.
"""

import re
from typing import Any, Final

from mocknode.mock.data.store import timestamp
from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.http.answers import Headers, json_bytes, json_headers

PATH: Final = "/api/octopusservernodes/ping"
PingState = tuple[bool, float, int]
"""What changes about a node's ping: whether it drains, when it last checked in (seconds since the epoch), its task cap.

A plain tuple, because one is made for every ping.
"""

_SLASHES: Final = re.compile("/{2,}")


def normal_path(path: str) -> str:
    """Return a path without one slash at its end and without doubled ones after its first word.

    ASP.NET's routes know no empty word, but the vendor's own scale-in script sends `octopusservernodes//{id}`.
    """
    return path if path.startswith("//") else _SLASHES.sub("/", path.removesuffix("/")) or "/"


def is_ping(path: str) -> bool:
    """Return whether a request path is the ping's."""
    return path == PATH or (len(path) - len(PATH) in (0, 1) and path.lower().removesuffix("/") == PATH)


def ping_document(name: str, version: str, state: PingState) -> dict[str, Any]:
    """Return the body of a ping."""
    draining, last_seen_s, task_cap = state
    return {
        "Id": f"OctopusServerNodes-{name}",
        "Name": name,
        "LastSeen": timestamp(last_seen_s),
        "IsOffline": False,
        "MaxConcurrentTasks": task_cap,
        "IsInMaintenanceMode": draining,
        "Version": version,
        "Links": {"Self": PATH, "Node": f"/api/octopusservernodes/OctopusServerNodes-{name}"},
    }


def ping_answer(method: str, config: NodeConfig, state: PingState) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of the answer."""
    head_ping, draining = config.web.head_ping, state[0]
    if method == "HEAD" and not head_ping:
        return 404, [(b"content-length", b"0")], b""
    if method not in ("GET", "HEAD"):
        return 405, [(b"allow", b"GET, HEAD" if head_ping else b"GET"), (b"content-length", b"0")], b""
    body = json_bytes(ping_document(config.name, config.version, state))
    return (418 if draining else 200), json_headers(body), body
