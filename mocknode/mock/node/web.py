"""What an operator configures of the server's web side, and the switches for what no public source settles.

Sources: the vendor's pages on `configure`, trusted proxies, rate limiting and HSTS. Statuses and choices that no source states
are switches; their defaults are the likeliest reading.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from mocknode.mock.node.refusals import RefusedError

REDIRECTS: Final = (301, 302, 303, 307, 308)
HSTS_MAX_AGE_S: Final = 31556926
"""The documented default of `--hstsMaxAge`."""
OFFLINE_AFTER_S: Final = 300.0
""""No longer active" in the vendor's own scripts: LastSeen older than five minutes."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_RATE: Final = re.compile(r"([1-9]\d{0,8})(?::([1-9]\d{0,8}))?")


class WebSettingError(RefusedError):
    """A web setting cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket: so many requests a minute, and as many at once as `burst`."""

    per_minute: int
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """The web side of every node.

    Attributes:
        external_url: What clients call the cluster, for absolute URLs; None says the address the request came to.
        trusted_proxies: Addresses and networks whose `X-Forwarded-*` are believed.
        force_ssl: Status of the redirect from HTTP to HTTPS; None redirects nothing.
        hsts_s: Max-age of the header on HTTPS answers; None sends none.
        body_max: Bytes of a request body; None has no limit.
        rate, anonymous_rate: Limits for users (by id) and for everyone else (by address); None has no limiter.
        rate_audit: Count requests but refuse none.
        rate_ping: The ping is limited too.
        head_ping: HEAD on the ping is answered; without, it is 404 as in the builds of 2022 (OctopusDeploy/Issues 8081).
        overwrite_status: Status of an upload that replaced a package: 201 by the description of the swagger, 200 in 2026's reference.
        maintenance_status: Status of a change that maintenance mode refuses.
        delta_base: Which version a delta starts from: the latest, or the nearest below the new one.
        offline_after_s: Age of LastSeen from which a node counts as offline.
        oidc_keys: Path of a JWKS file with the keys of issuers whose tokens may be exchanged.
    """

    external_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    force_ssl: int | None = None
    hsts_s: int | None = None
    body_max: int | None = None
    rate: Rate | None = None
    anonymous_rate: Rate | None = None
    rate_audit: bool = False
    rate_ping: bool = False
    head_ping: bool = True
    overwrite_status: Literal[200, 201] = 201
    maintenance_status: Literal[403, 503] = 503
    delta_base: Literal["latest", "nearest"] = "latest"
    offline_after_s: float = OFFLINE_AFTER_S
    oidc_keys: str | None = None

    def __post_init__(self) -> None:
        if self.external_url is not None:
            url = urlsplit(self.external_url)
            if url.scheme not in ("http", "https") or not url.netloc or url.query or url.fragment:
                raise _refused("external URL", self.external_url, "http(s)://host[:port][/path]")
        if self.force_ssl is not None and self.force_ssl not in REDIRECTS:
            raise _refused("force-SSL status", self.force_ssl, ", ".join(map(str, REDIRECTS)))
        for name in ("hsts_s", "body_max"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise _refused(name, value, "a number of at least 0")
        networks(self.trusted_proxies)

    @property
    def limits_ping(self) -> bool:
        """Whether pings count against a rate limit."""
        return self.rate_ping and self.anonymous_rate is not None

    def document(self) -> dict[str, Any]:
        """Return the settings as they are sent to the nodes."""
        return asdict(self)


def _refused(subject: str, got: Any, allowed: str) -> WebSettingError:
    return WebSettingError(f"{subject}: got {got!r}, allowed: {allowed}", got=got, allowed=[allowed])


def parse_web(document: Mapping[str, Any]) -> WebSettings:
    """Return the settings from `WebSettings.document`.

    Raises:
        WebSettingError: naming what was got and what is allowed.
    """
    known = [item.name for item in fields(WebSettings)]
    if unknown := set(document) - set(known):
        raise _refused("web", min(unknown), ", ".join(known))
    values = dict(document)
    values["trusted_proxies"] = tuple(values.get("trusted_proxies") or ())
    for name in ("rate", "anonymous_rate"):
        if values.get(name) is not None:
            values[name] = Rate(**values[name])
    return WebSettings(**values)


def parse_rate(text: str) -> Rate:
    """Parse `600` or `600:200`: requests a minute and burst, which is the rate when it is left out.

    Raises:
        WebSettingError: it is neither.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise _refused("rate", text, "REQUESTS-A-MINUTE or REQUESTS-A-MINUTE:BURST, such as 600:200")
    return Rate(per_minute=int(match[1]), burst=int(match[2] or match[1]))


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Parse the addresses and networks of trusted proxies.

    Raises:
        WebSettingError: one is neither.
    """
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError as exc:
            raise _refused("trusted proxy", text, "an IP address or a network such as 10.0.0.0/8") from exc
    return tuple(found)


DEFAULT_WEB: Final = WebSettings()
