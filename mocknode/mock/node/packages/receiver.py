"""The body of an upload: read, searched and digested while it arrives, and never held in memory whole.

The event loop searches each batch for the file part, one worker thread digests it (hashlib releases the GIL), one batch at a
time, so that receiving and hashing overlap and a slow digest holds the sender back.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, TypeVar

from mocknode.mock.node.http.batches import BATCH_BYTES, Chunk
from mocknode.mock.node.http.exchange import Exchange
from mocknode.mock.node.packages.multipart import FilePart

# Digesting so few bytes takes less time than handing them to a thread and back (about 0.1 ms).
INLINE_BYTES_MAX: Final = 128 * 1024

START_BYTES: Final = 4
"""Enough bytes for an archive's magic number."""
END_BYTES: Final = 22 + 0xFFFF
"""Enough bytes for the end record of a ZIP archive with the longest comment."""

_Found = TypeVar("_Found")


class FileSink:
    """The file part of one upload: counted, digested, and written down when the node keeps bytes.

    Args:
        keep: Where to write the file, None to throw it away.
        only: Write down only files whose names begin with this.

    Attributes:
        start: First bytes of the file, at most `START_BYTES`.
        end: Last bytes of a NuGet package, at most `END_BYTES`; empty for other packages.
    """

    def __init__(self, boundary: bytes, keep: Path | None, only: str = "") -> None:
        self.part = FilePart(boundary)
        self.start = self.end = b""
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._path = keep
        self._only = only
        self._fd: int | None = None

    @property
    def keeps(self) -> bool:
        """Whether bytes are written down, which may block."""
        return self._path is not None

    @property
    def kept(self) -> bool:
        """Whether this file is written down, now that its name is known."""
        return self._path is not None and (self.part.file_name or "").startswith(self._only)

    @property
    def keeps_end(self) -> bool:
        """Whether the end of the file will be looked at."""
        return (self.part.file_name or "").lower().endswith(".nupkg")

    def find(self, chunks: Sequence[Chunk]) -> list[memoryview]:
        """Return the parts of these bytes that belong to the file.

        Raises:
            MultipartError: the body is no multipart/form-data.
        """
        return [view for chunk in chunks for view in self.part.feed(chunk)]

    def take(self, views: list[memoryview]) -> None:
        """Digest bytes of the file; runs in a thread.

        Raises:
            OSError: the file cannot be written.
        """
        for view in views:
            self._digest.update(view)
            if len(self.start) < START_BYTES:
                self.start += bytes(view[: START_BYTES - len(self.start)])
            if self.keeps_end:
                self.end = (self.end + bytes(view[-END_BYTES:]))[-END_BYTES:]
            if self._path is not None and self.kept:
                self._write(self._path, view)

    def _write(self, path: Path, view: memoryview) -> None:
        if self._fd is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self) -> None:
        """Check that the body held a whole file.

        Raises:
            MultipartError: it held no whole file.
        """
        self.part.finish()

    def close(self) -> None:
        """Close the file; it stays on disk."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def discard(self) -> None:
        """Delete the file."""
        self.close()
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    @property
    def size(self) -> int:
        """Bytes of the package."""
        return self.part.file_bytes

    @property
    def sha1(self) -> str:
        """Digest of the file so far."""
        return self._digest.hexdigest()


async def receive_file(exchange: Exchange, sink: FileSink, thread: Executor) -> None:
    """Read the whole body into the sink, and record size and digest in the request's facts.

    Raises:
        OverError: the upload was torn; the facts have the bytes of the file that came.
        MultipartError, DeltaError, OSError: see the sink.
    """
    try:
        inline_max = 0 if sink.keeps else INLINE_BYTES_MAX
        await digest_body(exchange, sink.find, sink.take, thread, inline_max=inline_max)
        sink.finish()
        sink.close()
        exchange.facts.sha1 = sink.sha1
    finally:
        if sink.part.file_name is not None:
            exchange.facts.file_bytes = sink.part.file_bytes


async def digest_body(
    exchange: Exchange,
    find: Callable[[list[Chunk]], _Found],
    take: Callable[[_Found], None],
    thread: Executor,
    *,
    inline_max: int = 0,
) -> None:
    """Read the body in batches: `find` looks at each at once, `take` works on what was found, in a thread.

    A small body that ends before a batch is full is worked on right here: a thread costs more than its digest.

    Raises:
        OverError: the body was torn. Whatever `find` and `take` raise.
    """
    loop = asyncio.get_running_loop()
    busy: asyncio.Future[None] | None = None
    digesting: list[Chunk] = []
    batch: list[Chunk] = []
    size = 0
    try:
        more = True
        while more:
            chunks = await exchange.read()
            more = bool(chunks)
            batch += chunks
            size += sum(map(len, chunks))
            if size >= BATCH_BYTES or not more:
                found = find(batch)
                if busy is None and not more and size <= inline_max:
                    take(found)
                    return
                if busy is not None:
                    await busy
                    exchange.give_back(digesting)
                digesting, batch, size = batch, [], 0
                busy = loop.run_in_executor(thread, take, found)
        if busy is not None:
            await busy
    finally:
        if busy is not None and not busy.done():
            await asyncio.wait((busy,))
