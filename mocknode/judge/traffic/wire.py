"""One TCP or TLS connection whose owner knows which bytes the kernel took and how it ended: FIN, RST, or not at all.

Uses a non-blocking socket on the running loop (asyncio or uvloop). Streams and transports buffer, so they cannot say what was sent
when a peer stops reading, and they do not offer RST.
"""

import asyncio
import contextlib
import errno
import itertools
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Literal

READ_SIZE = 64 * 1024
TLS_WRITE = 64 * 1024
"""Largest write over TLS. OpenSSL takes a write whole or not at all, so this is how exactly sent bytes are counted."""

YIELD_AFTER = 4 << 20
"""Bytes sent without a wait after which other tasks get a turn, above all the reader."""

YIELD_EVERY = 64
"""Number of small writes without a wait after which other tasks get a turn."""

_numbers = itertools.count(1)


class Wire:
    """An open connection. One task may send while another receives; neither may be called by two tasks at a time."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._loop = loop
        self._fd = sock.fileno()
        self._closed = False
        self._since_wait = 0
        self._sends = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self.id = f"c{next(_numbers)}"
        address = sock.getsockname()
        self.source = f"{address[0]}:{address[1]}"

    @property
    def closed(self) -> bool:
        """Whether we closed the connection."""
        return self._closed

    @property
    def alpn(self) -> str | None:
        """Application protocol that TLS agreed on."""
        return self._sock.selected_alpn_protocol() if isinstance(self._sock, ssl.SSLSocket) else None

    async def send(self, data: bytes | memoryview) -> int:
        """Hand a part of `data` to the kernel, and wait until it takes some.

        Returns:
            Bytes taken, at least 1.

        Raises:
            OSError: the connection is gone.
        """
        view = memoryview(data)
        if isinstance(self._sock, ssl.SSLSocket):
            view = view[:TLS_WRITE]
        await self._give_way()
        while True:
            self._check_open()
            try:
                count = self._sock.send(view)
            except (BlockingIOError, ssl.SSLWantWriteError):
                await self._wait(self._loop.add_writer, self._loop.remove_writer)
            except ssl.SSLWantReadError:
                await self._wait(self._loop.add_reader, self._loop.remove_reader)
            else:
                self._since_wait += count
                self._sends += 1
                return count

    def send_now(self, data: bytes) -> None:
        """Send as much of `data` as the kernel takes immediately, before closing."""
        with contextlib.suppress(OSError):
            self._sock.send(data)

    async def receive(self) -> bytes:
        """Wait for at least one byte, and return what has arrived; empty at the peer's FIN.

        Raises:
            OSError: the connection was reset, or TLS ended without its closing alert (`ssl.SSLEOFError`).
        """
        while True:
            data = self.receive_now()
            if data is not None:
                return data
            await self._wait(self._loop.add_reader, self._loop.remove_reader)

    def receive_now(self) -> bytes | None:
        """Return what has arrived without waiting, None when nothing has."""
        self._check_open()
        try:
            return self._sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLZeroReturnError:
            return b""

    def half_close(self) -> None:
        """Send FIN, after TLS's closing alert if there is TLS; receiving goes on."""
        if self._closed:
            return
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self._sock, ssl.SSLSocket):
                with contextlib.suppress(OSError, ValueError):
                    self._sock.unwrap()
            # Not SSLSocket.shutdown(), which would drop the TLS state that receiving needs.
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def close(self, how: Literal["fin", "rst"] = "fin") -> None:
        """Close with FIN or RST; a second call does nothing."""
        if self._closed:
            return
        if how == "fin":
            self.half_close()
            # If bytes were left unread, the kernel would send RST instead of FIN.
            with contextlib.suppress(OSError, ValueError):
                while self._sock.recv(READ_SIZE):
                    pass
        else:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._closed = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._sock.close()
        for future in self._waiting:
            _wake(future)

    async def handshake(self) -> None:
        """Do the TLS handshake of a connection that has TLS."""
        assert isinstance(self._sock, ssl.SSLSocket)
        while True:
            try:
                return self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._wait(self._loop.add_reader, self._loop.remove_reader)
            except ssl.SSLWantWriteError:
                await self._wait(self._loop.add_writer, self._loop.remove_writer)

    async def _wait(self, add: Callable[..., object], remove: Callable[[int], object]) -> None:
        self._since_wait = self._sends = 0
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(future)
        add(self._fd, _wake, future)
        try:
            await future
        finally:
            self._waiting.discard(future)
            if not self._closed:  # once closed, the descriptor may already belong to another connection
                remove(self._fd)

    async def _give_way(self) -> None:
        if self._since_wait >= YIELD_AFTER or self._sends >= YIELD_EVERY:
            self._since_wait = self._sends = 0
            await asyncio.sleep(0)

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionAbortedError(errno.ECONNABORTED, "closed by ourselves")


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
