"""Packages that exist only while they are sent: unique per attempt, digested on the way, without memory or disk.

Every 1 MiB block is the process's one pseudo-random block with its first 64 bytes replaced by whose it is and its number, so
that a lost, doubled or swapped block changes the digest. Whose: the attempt's; of a large package the beginning is a stream's,
whose digest may be known already (see `streams`).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

from loadtests import streams

BLOCK: Final = 1 << 20
PIECE: Final = 1 << 18
"""Bytes handed to the kernel at once: below it the calls cost more than the copy, above it others wait too long."""
STAMP: Final = 64

Form = Literal["chunked", "length"]
"""How the body is framed: chunked as the Go CLI does, with Content-Length as the TypeScript client does."""
FIELDS: Final = {"chunked": "file", "length": "fileToUpload"}
"""Name of the multipart field that the client of each form uses."""


@cache
def _template() -> memoryview:
    return memoryview(random.Random("mocknode load").randbytes(BLOCK))


def _blocks(whose: str, start: int, end: int) -> Iterator[memoryview]:
    """Bytes `start` (of a whole block) to `end` of the content that is `whose`."""
    for at in range(start, end, BLOCK):
        length = min(BLOCK, end - at)
        stamp = f"mocknode {whose} {at // BLOCK:012d}\n".encode().ljust(STAMP, b".")
        yield memoryview(stamp)[:length]
        for piece in range(STAMP, length, PIECE):
            yield _template()[piece : min(piece + PIECE, length)]


@dataclass(slots=True, kw_only=True)
class PackageBody:
    """A multipart body around `size` bytes of content that belong to one attempt; sent once.

    Attributes:
        sha1: Of the content, once all of it was taken by `pieces`; None before.
    """

    attempt: str
    size: int
    form: Form
    sha1: str | None = None
    prologue: bytes = field(init=False)
    epilogue: bytes = field(init=False)

    def __post_init__(self) -> None:
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
    def file_name(self) -> str:
        """`mocknode-load.1.0.0-<attempt>.zip`: every attempt is a version of its own, so no push meets another's."""
        return f"mocknode-load.1.0.0-{self.attempt}.zip"

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
        digest, shared = streams.sha1(), max(0, self.size - BLOCK) // streams.MARK
        if shared:
            with streams.leased() as stream:
                for mark in range(shared):
                    blocks = _blocks(stream.key, mark * streams.MARK, (mark + 1) * streams.MARK)
                    if mark + 1 < len(stream.marks):
                        yield from blocks
                        continue
                    digest = stream.marks[mark].copy()
                    for piece in blocks:
                        digest.update(piece)
                        yield piece
                    stream.marks.append(digest)
                digest = stream.marks[shared].copy()
        for piece in _blocks(self.attempt, shared * streams.MARK, self.size):
            digest.update(piece)
            yield piece
        self.sha1 = digest.hexdigest()
        yield memoryview(self.epilogue)
