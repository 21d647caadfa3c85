"""Package content that is made while it is sent: unique for each attempt, digested on the way, never held in memory or on disk.

Every block of 1 MiB is the same pseudo-random block, with its owner and number in the first 64 bytes, so that a lost, doubled or
swapped block changes the digest. The owner is the attempt. The beginning of a large package is owned by a stream, whose digest may be
known already (see `streams`).
"""

import json
import random
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from mocknode.load.users import streams

BLOCK: Final = 1 << 20
PIECE: Final = 1 << 18
"""Bytes handed to the kernel at once. Less would cost more in calls than in copying; more would keep other users waiting."""
STAMP: Final = 64

Form = Literal["chunked", "length", "delta"]
"""Framing of the body: `chunked` as the Go CLI sends it, `length` (Content-Length) as the TypeScript client does; `delta` is the
Go CLI's too."""
FIELDS: Final = {"chunked": "file", "length": "fileToUpload", "delta": "file"}
"""Name of the multipart field that the client of each form uses."""


@cache
def _template() -> memoryview:
    return memoryview(random.Random("mocknode load").randbytes(BLOCK))


def stamped(end: int, stamp: Callable[[int], str], start: int = 0) -> Iterator[memoryview]:
    """Yield bytes `start` (the start of a block) to `end` in pieces of at most 256 KiB, each block with its stamp. All pieces share the
    memory of one block."""
    for at in range(start, end, BLOCK):
        length = min(BLOCK, end - at)
        yield memoryview(stamp(at // BLOCK).encode().ljust(STAMP, b"."))[: min(STAMP, length)]
        for piece in range(STAMP, length, PIECE):
            yield _template()[piece : min(piece + PIECE, length)]


def digested(pieces: Iterable[memoryview], digest: Any = None) -> Generator[memoryview, None, Any]:
    """Yield the pieces; return `digest`, or a new one, updated with them."""
    digest = streams.sha1() if digest is None else digest
    for piece in pieces:
        digest.update(piece)
        yield piece
    return digest


def own(attempt: str, size: int) -> Generator[memoryview, None, Any]:
    """Yield the content of one attempt; return its digest. The beginning of a large one comes from a stream, see `streams`."""
    digest, shared = streams.sha1(), max(0, size - BLOCK) // streams.MARK
    if shared:
        with streams.leased() as stream:
            for mark in range(shared):
                blocks = stamped((mark + 1) * streams.MARK, _stamps_of(stream.key), mark * streams.MARK)
                if mark + 1 < len(stream.marks):
                    yield from blocks
                else:
                    stream.marks.append((yield from digested(blocks, stream.marks[mark].copy())))
            digest = stream.marks[shared].copy()
    return (yield from digested(stamped(size, _stamps_of(attempt), shared * streams.MARK), digest))


def _stamps_of(whose: str) -> Callable[[int], str]:
    return lambda number: f"mocknode {whose} {number:012d}\n"


@dataclass(slots=True, kw_only=True)
class PackageBody:
    """A multipart body around `size` bytes of content of one attempt, to be sent once.

    Attributes:
        file_name: `mocknode-load.1.0.0-<attempt>.zip` unless given. Every attempt is a version of its own, so that no push
            conflicts with another.
        content: `size` bytes to send instead of the attempt's own.
        made: SHA-1 of the file that the server builds from the content, if that is a delta.
        sha1: SHA-1 of the file, once `pieces` has yielded all of the content; None before.
    """

    attempt: str
    size: int
    form: Form
    file_name: str = ""
    content: Iterable[memoryview] | None = None
    made: str | None = None
    sha1: str | None = None
    prologue: bytes = field(init=False)
    epilogue: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.file_name = self.file_name or f"mocknode-load.1.0.0-{self.attempt}.zip"
        self.prologue = (
            f"--{self._boundary}\r\nContent-Disposition: form-data; "
            f'name="{FIELDS[self.form]}"; filename="{self.file_name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self.epilogue = f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def _boundary(self) -> str:
        return f"mocknode-{self.attempt}"

    def foreign(self, answer: bytes) -> str | None:
        """Return the package that an answer is about if that is not this one; None if the answer names this package, or none."""
        try:
            told = json.loads(answer)
            name = f"{told['PackageId']}.{told['Version']}"
        except (ValueError, LookupError, TypeError):
            return None
        return None if name.casefold() == self.file_name.removesuffix(".zip").casefold() else name

    @property
    def content_type(self) -> str:
        """Value of the request's Content-Type."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def total(self) -> int:
        """Length of the body without chunked framing."""
        return len(self.prologue) + self.size + len(self.epilogue)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the body in order, in pieces of at most 256 KiB that share memory with every other body."""
        yield memoryview(self.prologue)
        digest = yield from own(self.attempt, self.size) if self.content is None else digested(self.content)
        self.sha1 = self.made or digest.hexdigest()
        yield memoryview(self.epilogue)
