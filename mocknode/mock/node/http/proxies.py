"""The client's address behind balancers, by the rule of the vendor's page on auditing.

`X-Forwarded-For` counts only when the TCP peer is a trusted proxy. Then the rightmost address that is no trusted proxy wins,
and the leftmost when all are.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from mocknode.mock.node.web import Network


def client_address(peer: str, forwarded_for: Iterable[str], trusted: Sequence[Network]) -> str:
    """Return the address of the client.

    Args:
        peer: Address of the TCP peer, without its port.
        forwarded_for: Values of the header's lines, in order.
    """
    if not is_trusted(peer, trusted):
        return peer
    listed = [_bare(part) for line in forwarded_for for part in line.split(",") if part.strip()]
    for address in reversed(listed):
        if not is_trusted(address, trusted):
            # Somebody made up what is no address, so the proxy's address is all that is known.
            return address if _parsed(address) is not None else peer
    return listed[0] if listed else peer


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Return whether this address is a trusted proxy's."""
    if not trusted:
        return False
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _bare(text: str) -> str:
    """Return an address without the port and brackets that some proxies add."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
