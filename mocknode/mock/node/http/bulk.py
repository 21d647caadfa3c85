"""The middle of a large body, read straight into batches, past the HTTP parser.

While a declared body has more than a batch to come, nothing on the connection is HTTP, so the transport gets this protocol
instead: bytes go from the kernel into the batch that is digested, without the two copies that transport and parser make. It
reads no byte beyond the body.
"""

import asyncio
from typing import Final, Protocol

from mocknode.mock.node.http.batches import BATCH_BYTES, Batch, Batches
from mocknode.mock.node.http.exchange import Exchange

# The transport's own reads have the same size, so a fault at byte n is equally precise either way.
READ_BYTES: Final = 256 * 1024


class Connection(Protocol):
    """The HTTP protocol whose connection is borrowed."""

    def bulk_came(self, nbytes: int) -> bool:
        """Count bytes; return False when they are only drained."""

    def bulk_over(self) -> None:
        """Take the connection back: the body is whole."""

    def eof_received(self) -> None:
        """See `asyncio.Protocol`; so do the methods below."""

    def connection_lost(self, exc: Exception | None) -> None: ...  # noqa: D102

    def pause_writing(self) -> None: ...  # noqa: D102

    def resume_writing(self) -> None: ...  # noqa: D102


class BulkReader(asyncio.BufferedProtocol):
    """Reads `left` bytes of one body, then hands the connection back."""

    def __init__(self, connection: Connection, exchange: Exchange, batches: Batches, left: int) -> None:
        self._connection, self._exchange, self._batches, self._left = connection, exchange, batches, left
        # Taken when bytes come: a client that sends a head and nothing else costs no batch.
        self._batch: Batch | None = None
        self._filled = 0

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return room for the next read."""
        room = min(READ_BYTES, self._left, BATCH_BYTES - self._filled)
        if self._batch is None:
            self._batch = self._batches.take()
        return memoryview(self._batch)[self._filled : self._filled + room]

    def buffer_updated(self, nbytes: int) -> None:
        """Account for `nbytes` just read into the buffer."""
        connection, exchange, batch = self._connection, self._exchange, self._batch
        assert batch is not None, "bytes came into a buffer that nobody asked for"
        self._left -= nbytes
        self._filled += nbytes
        whole = self._filled == BATCH_BYTES or not self._left
        if connection.bulk_came(nbytes):
            if whole and exchange.wants_body:
                exchange.store(batch if self._filled == BATCH_BYTES else batch[: self._filled])
                if self._filled == BATCH_BYTES:
                    self._batch = None  # the exchange gives it back
            exchange.count(nbytes)
        if whole:
            self._filled = 0
        if not self._left:
            self._batches.give(self._batch)
            self._batch = None
            connection.bulk_over()

    def eof_received(self) -> None:
        """Forward to the HTTP protocol."""
        self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forward to the HTTP protocol."""
        self._batches.give(self._batch)
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Forward to the HTTP protocol."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Forward to the HTTP protocol."""
        self._connection.resume_writing()
