"""The ping: `/api/octopusservernodes/ping`, the health check a balancer is meant to use.

200 while in rotation, 418 while draining, the same node document either way. Source: the swagger of the server and a sample
of a 2022.4 server (OctopusDeploy/Issues 7964) for fields and their order; HEAD answered 404 on builds before 2022.4.8517,
2023.1.9716 and 2023.2.3045 (Issues 8081), hence the switch. Trailing and doubled slashes and a query are accepted.
"""

import re
from typing import Any, Final, NamedTuple

from mocknode.mock.data.store import timestamp
from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.http.answers import Headers, json_bytes, json_headers

PATH: Final = "/api/octopusservernodes/ping"
_SLASHES: Final = re.compile("/{2,}")


class PingState(NamedTuple):
    """What of a node's ping changes.

    Attributes:
        last_seen_s: When the node last checked in, in seconds since the epoch.
        task_cap: Tasks that it runs at once.
    """

    draining: bool
    last_seen_s: float
    task_cap: int


def normal_path(path: str) -> str:
    """Return a path without doubled and trailing slashes; the vendor's own scale-in script sends `octopusservernodes//{id}`."""
    return _SLASHES.sub("/", path).rstrip("/") or "/"


def is_ping(path: str) -> bool:
    """Return whether a request path is the ping's."""
    return path == PATH or (path.endswith(("ping", "/")) and normal_path(path) == PATH)


def ping_document(name: str, version: str, state: PingState) -> dict[str, Any]:
    """Return the body of a ping."""
    return {
        "Id": f"OctopusServerNodes-{name}",
        "Name": name,
        "LastSeen": timestamp(state.last_seen_s),
        "IsOffline": False,
        "MaxConcurrentTasks": state.task_cap,
        "IsInMaintenanceMode": state.draining,
        "Version": version,
        "Links": {"Self": PATH, "Node": f"/api/octopusservernodes/OctopusServerNodes-{name}"},
    }


def ping_answer(method: str, config: NodeConfig, state: PingState) -> tuple[int, Headers, bytes]:
    """Return status, headers and body of the answer."""
    head_ping = config.web.head_ping
    if method == "HEAD" and not head_ping:
        return 404, [(b"content-length", b"0")], b""
    if method not in ("GET", "HEAD"):
        return 405, [(b"allow", b"GET, HEAD" if head_ping else b"GET"), (b"content-length", b"0")], b""
    body = json_bytes(ping_document(config.name, config.version, state))
    return (418 if state.draining else 200), json_headers(body), body
