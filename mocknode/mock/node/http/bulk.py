"""The middle of a large body, read straight into batches, past the HTTP parser.

While a declared body has more than a batch to come, nothing on the connection is HTTP, so the transport gets this protocol
instead: bytes go from the kernel into the batch that is digested, without the two copies that transport and parser make. It
asks for no byte beyond the body. Batches are used again, so that an upload touches the same few MiB.
"""

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mocknode.mock.node.http.exchange import Exchange
    from mocknode.mock.node.http.protocol import NodeProtocol

# One batch of the digest: large enough that handing it to a thread costs nothing, small enough to stay in a cache.
BATCH_BYTES: Final = 1024 * 1024
# What one read may take; the transport's own reads have the same size, so faults at byte n are as fine either way.
READ_BYTES: Final = 256 * 1024
# Idle batches that are kept; more are in use only while many uploads run at once.
KEPT_MAX: Final = 8


class Batches:
    """Buffers of `BATCH_BYTES` that are used again."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        """A buffer with anything in it."""
        return self._free.pop() if self._free else bytearray(BATCH_BYTES)

    def give(self, batch: bytes | bytearray) -> None:
        """A buffer that nobody reads any more; anything else is ignored."""
        if isinstance(batch, bytearray) and len(batch) == BATCH_BYTES and len(self._free) < KEPT_MAX:
            self._free.append(batch)


class BulkReader(asyncio.BufferedProtocol):
    """Reads `left` bytes of one body, then hands the connection back."""

    def __init__(self, protocol: "NodeProtocol", exchange: "Exchange", left: int) -> None:
        self._protocol, self._exchange, self._left = protocol, exchange, left
        self._batches = protocol.node.batches
        self._batch = self._batches.take()
        self._filled = 0

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Room for the next read."""
        room = min(READ_BYTES, self._left, BATCH_BYTES - self._filled)
        return memoryview(self._batch)[self._filled : self._filled + room]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        protocol, exchange = self._protocol, self._exchange
        self._left -= nbytes
        self._filled += nbytes
        whole = self._filled == BATCH_BYTES or not self._left
        if protocol.bulk_came(nbytes):
            if whole and not exchange.cycle.response_complete:
                exchange.store(self._batch if self._filled == BATCH_BYTES else bytes(self._batch[: self._filled]))
                self._batch = self._batches.take()
            exchange.count(nbytes)
        if whole:
            self._filled = 0
        if not self._left:
            self._batches.give(self._batch)
            protocol.bulk_over()

    def eof_received(self) -> None:
        """As without this."""
        self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """As without this."""
        self._batches.give(self._batch)
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """As without this."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """As without this."""
        self._protocol.resume_writing()
