"""Packages that exist only while they are sent: unique per attempt, digested on the way, without memory or disk.

Every 1 MiB block is the process's one pseudo-random block with its first 64 bytes replaced by attempt id and block number, so
that a lost, doubled or swapped block changes the digest.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

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


def sha1() -> Any:
    """A digest as the feed has them."""
    return hashlib.sha1(usedforsecurity=False)


def stamped(size: int, stamp: Callable[[int], str]) -> Iterator[memoryview]:
    """Content of `size` bytes in pieces of at most 256 KiB, each block with its stamp; they share memory with all others."""
    for number, start in enumerate(range(0, size, BLOCK)):
        length = min(BLOCK, size - start)
        yield memoryview(stamp(number).encode().ljust(STAMP, b"."))[: min(STAMP, length)]
        for at in range(STAMP, length, PIECE):
            yield _template()[at : min(at + PIECE, length)]


@dataclass(slots=True, kw_only=True)
class PackageBody:
    """A multipart body around `size` bytes of content that belong to one attempt; sent once.

    Attributes:
        file_name: `mocknode-load.1.0.0-<attempt>.zip` unless given: every attempt is a version of its own, so no push meets another's.
        content: Bytes to send instead of the attempt's own, `size` of them.
        made: SHA-1 of the file that the server makes of the content, where that is a delta.
        sha1: Of the file, once all of the content was taken by `pieces`; None before.
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
        digest = sha1()
        for piece in stamped(self.size, self._stamp) if self.content is None else self.content:
            digest.update(piece)
            yield piece
        self.sha1 = self.made or digest.hexdigest()
        yield memoryview(self.epilogue)

    def _stamp(self, number: int) -> str:
        return f"mocknode {self.attempt} {number:012d}\n"
