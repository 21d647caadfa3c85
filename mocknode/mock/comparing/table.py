"""The requests of `mocknode compare`, and the values that must be equal. To compare more, add a line.

Status, media type and shape of the document (keys and types) of every answer are compared. A value is compared only if `equal`
names its path, and only after `MUST_DIFFER` has replaced what two servers cannot have in common.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Method = Literal["GET", "HEAD", "POST", "DELETE"]

MUST_DIFFER: Final = (
    (re.compile(r"https?://[^/\s\"']+"), "<host>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b[A-Z][A-Za-z]+s-[\w.-]+"), "<id>"),
    (re.compile(r"\b\d{4}\.\d+\.\d+\b"), "<version>"),
)
"""Hosts, times, ids and versions of the product, in the order in which they are replaced."""

PUSHED: Final = "{package}"
"""Placeholder in a path for the id of the package that this run pushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request.

    Attributes:
        equal: Paths into the document, such as `Links.Self`, whose values must be equal.
        anonymous: Send it without the API key.
        push: Send a package as its body; later requests refer to it by `PUSHED`.
    """

    path: str
    method: Method = "GET"
    equal: tuple[str, ...] = ()
    anonymous: bool = False
    push: bool = False


_SPACE: Final = "/api/Spaces-1"
_PING: Final = "/api/octopusservernodes/ping"
_PAGE: Final = ("ItemType", "ItemsPerPage", "Links.Template")

READING: Final = (
    Asked(path="/api", anonymous=True, equal=("Application", "ApiVersion", "Links.Self", "Links.SignIn", "Links.SpaceHome")),
    Asked(path="/api", method="HEAD", anonymous=True),
    Asked(path=_PING, anonymous=True, equal=("IsOffline", "IsInMaintenanceMode", "Links.Self")),
    Asked(path=_PING, method="HEAD", anonymous=True),
    Asked(path=f"{_PING}/", anonymous=True),
    Asked(path=f"{_PING}?from=a-balancer", anonymous=True),
    Asked(path="/", anonymous=True),
    Asked(path="/api/users/me", equal=("IsRequestor",)),
    Asked(path="/api/users/me", anonymous=True, equal=("ErrorMessage",)),
    Asked(path="/api/no-such-resource"),
    Asked(path="/api/octopusservernodes?take=5", equal=_PAGE),
    Asked(path="/api/octopusservernodes/summary"),
    Asked(path="/api/serverstatus", equal=("Id",)),
    Asked(path="/api/serverstatus/health", anonymous=True, equal=("Id",)),
    Asked(path="/api/maintenanceconfiguration", equal=("Id", "IsInMaintenanceMode")),
    Asked(path="/api/spaces?take=5", equal=_PAGE),
    Asked(path=_SPACE),
    Asked(path=f"{_SPACE}/feeds?take=5", equal=_PAGE),
    Asked(path=f"{_SPACE}/feeds/feeds-builtin", equal=("FeedType",)),
    Asked(path=f"{_SPACE}/environments?take=5", equal=_PAGE),
    Asked(path=f"{_SPACE}/packages?take=5", equal=_PAGE),
    Asked(path=f"{_SPACE}/packages/packages-mocknode-none.1.0.0"),
    Asked(path=f"{_SPACE}/packages/packages-mocknode-none.1.0.0/raw"),
    Asked(path=f"{_SPACE}/packages/mocknode-none/1.0.0/delta-signature"),
    Asked(path=f"{_SPACE}/packages?take=none"),
    Asked(path="/api/Spaces-999999/packages"),
    Asked(path="/.well-known/openid-configuration", anonymous=True, equal=("grant_types_supported",)),
)  # fmt: skip
"""Requests that change nothing on the server."""

WRITING: Final = (
    Asked(path=f"{_SPACE}/packages/raw", method="POST", push=True, equal=("PackageSizeBytes", "Hash", "FeedId", "FileExtension")),
    Asked(path=f"{_SPACE}/packages/raw", method="POST", push=True),
    Asked(path=f"{_SPACE}/packages/{PUSHED}", equal=("PackageSizeBytes", "Hash")),
    Asked(path=f"{_SPACE}/packages/{PUSHED}", method="DELETE"),
    Asked(path=f"{_SPACE}/packages/{PUSHED}"),
)  # fmt: skip
"""Requests for one package under an unused name: push it, push it again (refused), read it, delete it, look for it."""
