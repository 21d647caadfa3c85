"""Opens a connection to a front door, or says why it could not."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from mocknode.judge.record.history import End
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.wire import Wire

_OUR_TROUBLE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors of this process. They say nothing about the balancer, so they are raised unchanged."""

_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


class NotConnectedError(Exception):
    """The front door could not be reached; `end` says how, as in an attempt."""

    def __init__(self, end: End, message: str) -> None:
        super().__init__(message)
        self.end: End = end


async def connect(front: FrontDoor, alpn: str) -> Wire:
    """Connect to a front door, with TLS if it speaks https, offering one application protocol.

    Raises:
        NotConnectedError: the name was not found, the connection was refused or reset, or TLS failed.
        OSError: this process is out of descriptors or memory, or the front door's CA file cannot be read.
    """
    loop = asyncio.get_running_loop()
    context = front.tls(alpn)
    sock = await _connected(front, loop)
    if context is None:
        return Wire(sock, loop)
    try:
        wrapped = context.wrap_socket(
            sock, server_hostname=front.server_name, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
    except OSError as error:  # the peer is gone already
        sock.close()
        raise NotConnectedError("reset", f"TLS with {front.url}: {error}") from error
    wire = Wire(wrapped, loop)
    try:
        await wire.handshake()
    except BaseException as error:
        wire.close("rst")
        if isinstance(error, OSError):
            hint = "; --ca FILE names the authority to trust" if isinstance(error, ssl.SSLCertVerificationError) else ""
            raise NotConnectedError(_end_of_handshake(error), f"TLS with {front.url}: {error}{hint}") from error
        raise
    return wire


def _end_of_handshake(error: OSError) -> End:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "eof"
    return "protocol-error" if isinstance(error, ssl.SSLError) else "reset"


async def _connected(front: FrontDoor, loop: asyncio.AbstractEventLoop) -> socket.socket:
    try:
        found = await _resolved(front, loop)
    except OSError as error:
        raise NotConnectedError("refused", f"the name {front.address} was not found: {error}") from error
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _bind(sock, front.bind_address(str(address[0])))
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            if error.errno in _OUR_TROUBLE:
                raise
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    ends: dict[type, End] = {ConnectionResetError: "reset", TimeoutError: "timeout"}
    raise NotConnectedError(ends.get(type(failure), "refused"), f"{front.address}:{front.port}: {failure}") from failure


async def _resolved(front: FrontDoor, loop: asyncio.AbstractEventLoop) -> Sequence[_Found]:
    try:
        # A numeric address needs neither resolver nor thread, which would be half the cost of a small request.
        return socket.getaddrinfo(
            front.address, front.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )
    except socket.gaierror:
        return await loop.getaddrinfo(front.address, front.port, type=socket.SOCK_STREAM)


def _bind(sock: socket.socket, source: str | None) -> None:
    if source is None:
        return
    # Linux: choose the port at connect time, so that many connections to one front door do not run out of ports.
    option = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, option, 1)
    try:
        sock.bind((source, 0))
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:  # macOS has 127.0.0.1 only, until an alias is made
            raise
