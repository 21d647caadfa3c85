"""Packages to upload: unique content that is made while it is sent, in every multipart form that real clients use.

All packages share one pseudo-random block of 1 MiB. Each block that is sent starts with the attempt id and the block number in
place of its first 64 bytes. Content therefore costs no memory and no time, and a lost, doubled or swapped block changes the
digest. This module does no I/O.
"""

import asyncio
import hashlib
import random
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

BLOCK = 1 << 20
STAMP = 64
"""Bytes at the start of each block that hold the attempt id and the block number."""

INLINE_DIGEST = BLOCK
"""Up to this size computing the digest (0.6 ms) costs less than handing it to a thread."""

Form = Literal["multipart", "dotnet-async", "dotnet-sync", "unterminated", "raw"]
"""How clients wrap a package. `multipart`: the Go CLI, with quoted parameters. `dotnet-async`: unquoted name, and `filename*`.
`dotnet-sync`: both unquoted, and a CRLF before the first boundary. `unterminated`: the vendor's old sample, without a name and without
the closing `--`. `raw`: the file alone."""

_ATTEMPT = re.compile(r"[0-9A-Za-z-]{8,40}")
_FILE_NAME = re.compile(r"mocknode-[\w.-]+?\.1\.0\.\d+-([0-9A-Za-z-]{8,40})\.zip")


def new_attempt_id(rng: random.Random | None = None) -> str:
    """Return 32 hexadecimal digits, from `rng` if the run must be repeatable; they are also a valid W3C trace id."""
    return f"{rng.getrandbits(128):032x}" if rng else secrets.token_hex(16)


def package_file_name(check: str, number: int, attempt: str) -> str:
    """Return `mocknode-UP-01.1.0.7-<attempt>.zip`: package `mocknode-UP-01`, version `1.0.7-<attempt>`."""
    return f"mocknode-{check}.1.0.{number}-{attempt}.zip"


def attempt_of_file_name(name: str) -> str | None:
    """Return the attempt id in the file name of one of our packages, None for any other name."""
    match = _FILE_NAME.fullmatch(name)
    return match[1] if match else None


@cache
def _template() -> memoryview:
    return memoryview(random.Random("mocknode package").randbytes(BLOCK))


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """File content of `size` bytes that belongs to one attempt."""

    attempt: str
    size: int

    def __post_init__(self) -> None:
        if not _ATTEMPT.fullmatch(self.attempt):
            raise ValueError(f"an attempt id has 8 to 40 of the characters 0-9 A-Z a-z -, got {self.attempt!r}")
        if self.size < 0:
            raise ValueError(f"a package has at least 0 bytes, got {self.size}")

    def pieces(self) -> Iterator[memoryview]:
        """Yield the content in order, in pieces of at most 1 MiB that share memory with every other package."""
        for number, start in enumerate(range(0, self.size, BLOCK)):
            length = min(BLOCK, self.size - start)
            stamp = f"mocknode {self.attempt} {number:012d}\n".encode().ljust(STAMP, b".")
            yield memoryview(stamp)[:length]
            if length > STAMP:
                yield _template()[STAMP:length]

    def sha1(self, stop: threading.Event | None = None) -> str:
        """Return the digest of the whole content. Once `stop` is set, give up and return the digest so far."""
        digest = hashlib.sha1(usedforsecurity=False)
        for piece in self.pieces():
            if stop is not None and stop.is_set():
                break
            digest.update(piece)
        return digest.hexdigest()

    async def digest(self) -> str:
        """Compute `sha1` beside the event loop: hashlib releases the interpreter, so sending goes on meanwhile."""
        if self.size <= INLINE_DIGEST:
            return self.sha1()
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self.sha1, stop)
        finally:
            stop.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request body of known length: fixed bytes, with a package between them or without one.

    `content_type` becomes a header unless it is None.
    """

    prologue: bytes = b""
    package: Package | None = None
    epilogue: bytes = b""
    content_type: str | None = None

    @property
    def total(self) -> int:
        """Return the size of the whole body in bytes."""
        return len(self.prologue) + (self.package.size if self.package else 0) + len(self.epilogue)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the body in order, without empty pieces."""
        if self.prologue:
            yield memoryview(self.prologue)
        if self.package is not None:
            yield from self.package.pieces()
        if self.epilogue:
            yield memoryview(self.epilogue)


def package_body(
    attempt: str,
    size: int | None = None,
    *,
    total: int | None = None,
    form: Form = "multipart",
    file_name: str | None = None,
    field: str = "file",
) -> Body:
    """Return a package in the multipart form of one of the clients.

    Args:
        size: Size of the file in bytes; give this or `total`.
        total: Size of the whole request body in bytes, framing included.
        file_name: Default `mocknode-package.1.0.0-<attempt>.zip`.
        field: Name of the part.

    Raises:
        ValueError: neither or both sizes are given, or `total` is smaller than the framing alone.
    """
    if (size is None) == (total is None):
        raise ValueError(f"give either the file's size or the body's total, got size={size} and total={total}")
    name = file_name or package_file_name("package", 0, attempt)
    prologue, epilogue, content_type = _multipart(form, f"mocknode-{attempt}", field, name)
    if size is None:
        assert total is not None
        size = total - len(prologue) - len(epilogue)
        if size < 0:
            raise ValueError(
                f"a body with this framing has at least {len(prologue) + len(epilogue)} bytes, got {total}"
            )
    package = Package(attempt=attempt, size=size)
    return Body(prologue=prologue, package=package, epilogue=epilogue, content_type=content_type)


def _multipart(form: Form, boundary: str, field: str, name: str) -> tuple[bytes, bytes, str]:
    parameters = {
        "multipart": f'name="{field}"; filename="{name}"',
        "dotnet-async": f"name={field}; filename=\"{name}\"; filename*=utf-8''{name}",
        "dotnet-sync": f"name={field}; filename={name}",
        "unterminated": f'filename="{name}"',
        "raw": "",
    }
    if form not in parameters:
        raise ValueError(f"{form!r} is not a form of upload; allowed: {', '.join(parameters)}")
    if form == "raw":
        return b"", b"", "application/octet-stream"
    lead, ending = ("\r\n" if form == "dotnet-sync" else ""), ("" if form == "unterminated" else "--")
    prologue = (
        f"{lead}--{boundary}\r\nContent-Disposition: form-data; {parameters[form]}\r\n"
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    quote = '"' if form.startswith("dotnet") else ""
    content_type = f"multipart/form-data; boundary={quote}{boundary}{quote}"
    return prologue.encode(), f"\r\n--{boundary}{ending}\r\n".encode(), content_type
