"""Buffers for the bodies of uploads."""

from typing import Final

# Large enough that handing a batch to a thread costs nothing, small enough to stay in a processor's cache.
BATCH_BYTES: Final = 1024 * 1024
# Idle batches that are kept; more are in use only while many uploads run at once.
KEPT_MAX: Final = 8


class Batches:
    """Buffers of `BATCH_BYTES` that are reused, so that an upload touches the same few MiB."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a buffer; its content is undefined."""
        return self._free.pop() if self._free else bytearray(BATCH_BYTES)

    def give(self, batch: bytes | bytearray) -> None:
        """Take back a buffer that nobody reads any more; ignore anything that is no buffer of ours."""
        if isinstance(batch, bytearray) and len(batch) == BATCH_BYTES and len(self._free) < KEPT_MAX:
            self._free.append(batch)
