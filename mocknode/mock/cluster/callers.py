"""A guard against requests that a web page makes: it needs no token, only somebody's browser on this machine.

A page of another site is known by `Origin` or `Sec-Fetch-Site`. One whose name was pointed at this machine after it was loaded (DNS
rebinding) is known by `Host`: it cannot choose an address, or a name that is ours. A form, which browsers send without asking, has a
media type that is not JSON.
"""

import ipaddress
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mocknode.mock.cluster.problems import problem

_FOREIGN_SITES: Final = ("cross-site", "same-site")
"""`same-site` is another port or subdomain, such as an application under development on this machine."""


class Callers:
    """ASGI middleware that refuses what a web page of another origin sends, and bodies that are not JSON.

    Args:
        names: Host names by which callers may address the API, besides `localhost` and addresses.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = sorted({"localhost", *(name.lower() for name in names)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer why not."""
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if host and not self._ours(host):
            return self._unknown_host(host)
        site, origin = headers.get("sec-fetch-site", ""), headers.get("origin")
        if site.lower() in _FOREIGN_SITES:
            return _foreign("Sec-Fetch-Site", site, ["same-origin", "none"])
        # A proxy may have ended TLS, so the scheme says nothing.
        if origin is not None and (not host or _authority(origin) != host.lower()):
            return _foreign("Origin", origin, [f"http://{host}", f"https://{host}"])
        return _not_json(headers)

    def _ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name = (parts.hostname or "").removesuffix(".")
            if parts.port == 0 or parts.path or "@" in host:
                return False
        except ValueError:
            return False
        return name in self._names or _is_address(name)

    def _unknown_host(self, host: str) -> Response:
        allowed = ["an IP address", *self._names]
        detail = (
            f"Host: got {host!r}, allowed: {', '.join(allowed)}, and names that are declared with "
            "`mocknode up --control-name NAME`"
        )
        return problem("unknown-host", HTTPStatus.MISDIRECTED_REQUEST, detail, got=host, allowed=allowed)


def _authority(origin: str) -> str:
    """Return host and port of an origin; nothing for `null`, which stands for one that the browser hides."""
    return origin.partition("://")[2].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _foreign(header: str, got: str, allowed: list[str]) -> Response:
    detail = (
        f"{header}: got {got!r}, allowed: {', '.join(allowed)}, or no such header; web pages of other origins cannot use the "
        "control API, so call it from a server or a script"
    )
    return problem("foreign-origin", HTTPStatus.FORBIDDEN, detail, got=got, allowed=allowed)


def _not_json(headers: Headers) -> Response | None:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    given = headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return None
    return problem(
        "unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Type: got {given!r}, allowed: application/json", got=given, allowed=["application/json"],
    )  # fmt: skip
