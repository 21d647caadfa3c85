"""Buffers for the bodies of uploads."""

import mmap
from typing import Final

Batch = mmap.mmap
"""A buffer of `BATCH_BYTES` in pages of its own: only the bytes that came take memory, and all of it returns to the system at the end.
The heap keeps what was freed, which was 1 GiB after a thousand uploads that had stalled."""
Chunk = bytes | Batch
"""Bytes of a body as they came."""
# Large enough that handing a batch to a thread costs nothing, small enough to stay in a processor's cache.
BATCH_BYTES: Final = 1024 * 1024
# Idle batches that are kept: 24 uploads at once were 7 % slower with 8, as each new batch costs page faults.
KEPT_MAX: Final = 32


class Batches:
    """Buffers of `BATCH_BYTES` that are reused, so that an upload touches the same few MiB."""

    def __init__(self) -> None:
        self._free: list[Batch] = []

    def take(self) -> Batch:
        """Return a buffer; its content is undefined."""
        return self._free.pop() if self._free else mmap.mmap(-1, BATCH_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give(self, batch: Chunk | None) -> None:
        """Take back a buffer that nobody reads any more; ignore anything that is no buffer of ours."""
        if isinstance(batch, Batch) and len(self._free) < KEPT_MAX:
            self._free.append(batch)
