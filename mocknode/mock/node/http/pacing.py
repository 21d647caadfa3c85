"""An answer that is written slowly: stands in for the transport of one request's answer."""

import asyncio
from collections.abc import Callable
from typing import Final

# Fine enough that a byte per second really comes byte by byte, coarse enough that a fast rate costs few timers.
STEP_S: Final = 0.05


class PacedTransport:
    """Takes what the HTTP machinery writes, and passes it on at a rate."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, bytes_per_s: float) -> None:
        self._transport, self._loop = transport, loop
        self._buffer = bytearray()
        self._piece = max(1, round(bytes_per_s * STEP_S))
        self._step_s = self._piece / bytes_per_s
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._then: Callable[[], None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is still to be written."""
        return self._timer is not None

    def when_done(self, then: Callable[[], None]) -> None:
        """Call `then` when all is written."""
        self._then = then

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        self._buffer += data
        if self._timer is None:
            self._pump()

    def _pump(self) -> None:
        self._timer = None
        if self._transport.is_closing():
            self._buffer.clear()
            return
        piece = bytes(self._buffer[: self._piece])
        del self._buffer[: self._piece]
        if piece:
            self._transport.write(piece)
            self._timer = self._loop.call_later(self._step_s, self._pump)
            return
        if self._closing:
            self._transport.close()
        if self._then is not None:
            self._then()

    def close(self) -> None:
        """Close the connection when all is written."""
        self._closing = True
        if self._timer is None:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is going."""
        return self._closing or self._transport.is_closing()
