"""What TCP itself is asked for: an RST at the next close, and the kernel's view of a connection."""

import socket
import struct
from typing import Any

_LINGER_NOT = struct.pack("ii", 1, 0)


def reset_on_close(sock: Any) -> None:
    """Make the close of this socket an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)


def tcp_state(sock: Any) -> int | None:
    """`tcpi_state` of a socket (tcp_states.h of Linux), None where the platform or a closed socket does not tell."""
    if sock is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        return int(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
    except OSError:
        return None
