"""What binds first when many Tentacles connect: descriptors of a process, and ephemeral ports to one address."""

import resource
from typing import Final

from mocknode.mock.cluster.ports import ephemeral_range

_OWN_DESCRIPTORS: Final = 64
"""What a process has open besides its connections."""


def raise_descriptors(connections: int) -> None:
    """Raise the soft limit of this process as far as it has to be and may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def lacking(connections: int, addresses: int, *, per_connection: int = 1, what: str = "this process") -> list[str]:
    """What a process lacks for so many connections to so many addresses, and how to get it; nothing lacks when empty.

    Args:
        per_connection: Descriptors of each: a balancer that passes through has two.
        what: Of whom we speak.
    """
    found = []
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * per_connection + _OWN_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        found.append(
            f"{what} needs {wanted} file descriptors, the hard limit is {hard}; raise it with `prlimit --nofile={wanted} --pid $$` "
            "as root, LimitNOFILE= in a systemd unit or `ulimits` of a container, or use one process a node"
        )
    low, high = ephemeral_range()
    ports, each = high - low + 1, -(-connections // max(1, addresses))
    if each > ports:
        found.append(
            f"{what} needs {each} ephemeral ports to one address, there are {ports} ({low} to {high}); widen them with `sysctl "
            "net.ipv4.ip_local_port_range`, or use more addresses"
        )
    return found
