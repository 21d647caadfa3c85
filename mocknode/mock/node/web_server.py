"""The limits of the web server under the application, which refuses or ends requests by itself.

A real node runs on Kestrel (Linux container, Octopus Cloud) or, on Windows, on HTTP.sys. Kestrel's values were measured on
ASP.NET Core 10.0.12. Those of HTTP.sys are Microsoft's documented defaults; where its pages say nothing, Kestrel's are taken.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from mocknode.mock.node.refusals import RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServerLimits:
    """What one connection and one request may take.

    Attributes:
        line_bytes: Bytes of the request line with its line end.
        fields: Header fields, trailers included.
        fields_bytes: Bytes of all header fields with their line ends.
        head_s: Seconds from the first byte of a head to its last.
        handshake_s: Seconds of a TLS handshake.
        keep_alive_s: Seconds for which a connection may be idle.
        body_rate: Lowest bytes a second of a body, on average of the time for which the application waited for it; 0 has none.
        body_grace_s: Seconds of that time before the rate counts.
        stop_s: Seconds that requests have when the service stops.
    """

    line_bytes: int = 8192
    fields: int = 100
    fields_bytes: int = 32768
    head_s: float = 30.0
    handshake_s: float = 10.0
    keep_alive_s: float = 130.0
    body_rate: float = 240.0
    body_grace_s: float = 5.0
    stop_s: float = 30.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            low = 0 if item.name in ("body_rate", "body_grace_s", "stop_s") else 1e-9
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= low:
                allowed = "a number of at least 0" if not low else "a number above 0"
                raise RefusedError(f"{item.name}: got {value!r}, allowed: {allowed}", got=value, allowed=[allowed])

    def document(self) -> dict[str, Any]:
        """Return the limits as they are sent to the nodes."""
        return asdict(self)


KESTREL: Final = WebServerLimits()
HTTP_SYS: Final = WebServerLimits(
    line_bytes=16384, fields_bytes=16384, head_s=120.0, keep_alive_s=120.0, body_rate=150.0, body_grace_s=5.0
)
WEB_SERVERS: Final[Mapping[str, WebServerLimits]] = {"kestrel": KESTREL, "http.sys": HTTP_SYS}
"""Limits by the name that `--web-server` takes."""


def parse_limits(document: Mapping[str, Any]) -> WebServerLimits:
    """Return the limits from `WebServerLimits.document`.

    Raises:
        RefusedError: naming what was got and what is allowed.
    """
    known = [item.name for item in fields(WebServerLimits)]
    if unknown := set(document) - set(known):
        name = min(unknown)
        raise RefusedError(f"limits: got {name!r}, allowed: {', '.join(known)}", got=name, allowed=known)
    return WebServerLimits(**document)
