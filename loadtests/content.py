"""Packages that exist only while they are sent: unique per attempt, digested on the way, without memory or disk.

Every 1 MiB block is the process's one pseudo-random block with its first 64 bytes replaced by attempt id and block number, so
that a lost, doubled or swapped block changes the digest.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

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


def _sha1() -> Any:
    return hashlib.sha1(usedforsecurity=False)


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
        digest = _sha1()
        for number, start in enumerate(range(0, self.size, BLOCK)):
            length = min(BLOCK, self.size - start)
            stamp = f"mocknode {self.attempt} {number:012d}\n".encode().ljust(STAMP, b".")
            block = [memoryview(stamp)[:length]]
            block += [_template()[at : min(at + PIECE, length)] for at in range(STAMP, length, PIECE)]
            for piece in block:
                digest.update(piece)
                yield piece
        self.sha1 = digest.hexdigest()
        yield memoryview(self.epilogue)
