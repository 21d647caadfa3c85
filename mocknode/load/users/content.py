"""Packages that exist only while they are sent: unique per attempt, digested on the way, without memory or disk.

Every 1 MiB block is the process's one pseudo-random block with its first 64 bytes replaced by whose it is and its number, so
that a lost, doubled or swapped block changes the digest. Whose: the attempt's; of a large package the beginning is a stream's,
whose digest may be known already (see `streams`).
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
"""Bytes handed to the kernel at once: below it the calls cost more than the copy, above it others wait too long."""
STAMP: Final = 64

Form = Literal["chunked", "length", "delta"]
"""How the body is framed: chunked as the Go CLI does, with Content-Length as the TypeScript client does; a delta is the Go CLI's."""
FIELDS: Final = {"chunked": "file", "length": "fileToUpload", "delta": "file"}
"""Name of the multipart field that the client of each form uses."""


@cache
def _template() -> memoryview:
    return memoryview(random.Random("mocknode load").randbytes(BLOCK))


def stamped(end: int, stamp: Callable[[int], str], start: int = 0) -> Iterator[memoryview]:
    """Bytes `start` (of a whole block) to `end` in pieces of at most 256 KiB, each block with its stamp; they share memory with all others."""
    for at in range(start, end, BLOCK):
        length = min(BLOCK, end - at)
        yield memoryview(stamp(at // BLOCK).encode().ljust(STAMP, b"."))[: min(STAMP, length)]
        for piece in range(STAMP, length, PIECE):
            yield _template()[piece : min(piece + PIECE, length)]


def digested(pieces: Iterable[memoryview], digest: Any = None) -> Generator[memoryview, None, Any]:
    """The pieces; returns `digest`, or a fresh one, that took them."""
    digest = streams.sha1() if digest is None else digest
    for piece in pieces:
        digest.update(piece)
        yield piece
    return digest


def own(attempt: str, size: int) -> Generator[memoryview, None, Any]:
    """Content that belongs to one attempt; returns its digest. The beginning of a large one is a stream's, see `streams`."""
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
    """A multipart body around `size` bytes of content that belong to one attempt; sent once.

    Attributes:
        file_name: `mocknode-load.1.0.0-<attempt>.zip` unless given: every attempt is a version of its own, so no push meets another's.
        content: Bytes to send instead of the attempt's own, `size` of them.
        made: SHA-1 of the file that the server makes of the content, where that is a delta.
        sha1: Digest of the file, once `pieces` has yielded all of it; None before.
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
        """The package that an answer is about, where it names one and it is not this; None where it names this one, or none."""
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
        """Bytes of the body, without chunked framing."""
        return len(self.prologue) + self.size + len(self.epilogue)

    def pieces(self) -> Iterator[memoryview]:
        """The body in order, in pieces of at most 256 KiB that share memory with every other body."""
        yield memoryview(self.prologue)
        digest = yield from own(self.attempt, self.size) if self.content is None else digested(self.content)
        self.sha1 = self.made or digest.hexdigest()
        yield memoryview(self.epilogue)
