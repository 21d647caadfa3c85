"""The limits that many Tentacle connections reach first: descriptors of a process, and ephemeral ports to one address."""

import resource
from typing import Final

from mocknode.mock.cluster.ports import ephemeral_range

_OWN_DESCRIPTORS: Final = 64
"""What a process has open besides its connections."""


def shortages(connections: int, addresses: int, *, per_connection: int = 1, what: str = "this process") -> list[str]:
    """What a process lacks to hold these connections, each with the way to get it; empty when it lacks nothing.

    Args:
        addresses: How many addresses the connections are spread over.
        per_connection: Descriptors that each takes: two in a balancer that passes it through.
        what: The name of the process, for the messages.
    """
    found = []
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections * per_connection + _OWN_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        found.append(
            f"{what} needs {wanted} file descriptors, the hard limit is {hard}; raise it with `prlimit --nofile={wanted} --pid $$` "
            "as root, LimitNOFILE= in a systemd unit or `ulimits` of a container, or use one process for each node"
        )
    low, high = ephemeral_range()
    ports, each = high - low + 1, -(-connections // max(1, addresses))
    if each > ports:
        found.append(
            f"{what} needs {each} ephemeral ports to one address, there are {ports} ({low} to {high}); widen the range with `sysctl "
            "net.ipv4.ip_local_port_range`, or use more addresses"
        )
    return found
