"""TCP options: an RST at the next close, keepalive, and the kernel's state of a connection."""

import contextlib
import socket
import struct
from typing import Any, Final

_LINGER_NOT = struct.pack("ii", 1, 0)
# Halibut's values on both ends (`HalibutTimeoutsAndLimits.cs`): ten probes, the first after 15 s idle, then every 5 s.
_KEEPALIVE: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 10))
    if hasattr(socket, name)
)


def reset_on_close(sock: Any) -> None:
    """Make the close of this socket send an RST; do nothing if it is closed already."""
    # uvloop raises ValueError for a closed socket.
    with contextlib.suppress(OSError, ValueError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)


def keep_alive(sock: Any) -> None:
    """Make the kernel detect, after 65 s, a peer that vanished while the connection was idle."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def tcp_state(sock: Any) -> int | None:
    """Return `tcpi_state` of a socket (tcp_states.h of Linux), or None for a closed socket and on other platforms."""
    if sock is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        return int(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
    except OSError:
        return None
