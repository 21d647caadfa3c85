"""What TCP itself is asked for: an RST at the next close, keepalive, and the kernel's view of a connection."""

import contextlib
import socket
import struct
from typing import Any, Final

_LINGER_NOT = struct.pack("ii", 1, 0)
# As Halibut sets them on both ends (`HalibutTimeoutsAndLimits.cs`): probes after 15 s of idling, every 5 s, ten of them.
_KEEPALIVE: Final = tuple(
    (getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 10))
    if hasattr(socket, name)
)


def reset_on_close(sock: Any) -> None:
    """Make the close of this socket an RST; one that is closed already stays as it is."""
    # A ValueError is uvloop's word for that.
    with contextlib.suppress(OSError, ValueError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)


def keep_alive(sock: Any) -> None:
    """Have the kernel notice a peer that vanished while nothing was in flight, after 65 s."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def tcp_state(sock: Any) -> int | None:
    """`tcpi_state` of a socket (tcp_states.h of Linux), None where the platform or a closed socket does not tell."""
    if sock is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        return int(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
    except OSError:
        return None
