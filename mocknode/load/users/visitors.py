"""A guard of locust's web UI against web pages of other origins, by the rules of the control API (`mock/cluster/callers.py`).

The UI starts and stops the load without asking who calls. The generator imports nothing else of mocknode, so the rules stand here again.
"""

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit


def refusal(headers: Mapping[str, str]) -> str | None:
    """Return why a request with these headers is refused; None lets it through."""
    host, origin = headers.get("Host", ""), headers.get("Origin")
    if host and not _ours(host):
        return f"Host: got {host!r}, allowed: an IP address, localhost, {socket.gethostname()}"
    if headers.get("Sec-Fetch-Site", "").lower() in ("cross-site", "same-site"):
        return "Sec-Fetch-Site: web pages of other origins cannot use this page; open its address yourself"
    if origin is not None and (not host or origin.partition("://")[2].lower() != host.lower()):
        return f"Origin: got {origin!r}, allowed: http://{host}"
    return None


def _ours(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if "@" in host or "/" in host:
        return False
    if name in ("localhost", socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
