"""How a body is framed on the wire: Content-Length, or chunks of given sizes. Does no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from mocknode.judge.traffic.package import Body

ONE_SEGMENT = 16 * 1024
"""A chunk up to this size is sent in one piece with its framing; a larger one is not copied."""

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes for the wire: `lead` bytes of framing, then `body` bytes of the body, then framing again."""

    data: Buffer
    lead: int = 0
    body: int = 0

    def body_in(self, sent: int) -> int:
        """Return how many of the first `sent` bytes belong to the body."""
        return min(max(sent - self.lead, 0), self.body)

    def cut(self, body: int) -> tuple["Segment", "Segment"]:
        """Split this segment in two; the first part ends after the segment's first `body` bytes of the body."""
        at = self.lead + body
        view = memoryview(self.data)
        return Segment(view[:at], self.lead, body), Segment(view[at:], 0, self.body - body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """Content-Length, or chunked with the given chunk sizes, repeated until the body ends.

    Attributes:
        extensions: Chunk extensions as written after the size, such as `;a=b`, used in turn; empty for none.
        trailers: Header fields after the last chunk; `Trailer` announces their names.
        truncated: Whether the client sends FIN instead of the last chunk.
    """

    kind: Literal["length", "chunked"] = "length"
    sizes: tuple[int, ...] = (65536,)
    extensions: tuple[str, ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()
    truncated: bool = False

    def __post_init__(self) -> None:
        if self.kind == "length" and (self.extensions or self.trailers or self.truncated):
            raise ValueError("extensions, trailers and truncation need chunks; use Framing.chunked(...)")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(
                f"chunk sizes are at least 1 byte, and there is at least one of them; got {list(self.sizes)}"
            )

    @classmethod
    def length(cls) -> "Framing":
        """Return a framing with Content-Length."""
        return cls()

    @classmethod
    def chunked(
        cls,
        *sizes: int,
        extensions: tuple[str, ...] = (),
        trailers: tuple[tuple[str, str], ...] = (),
        truncated: bool = False,
    ) -> "Framing":
        """Return a framing in chunks of `sizes` in turn, of 64 KiB by default."""
        return cls(
            kind="chunked", sizes=sizes or (65536,), extensions=extensions, trailers=trailers, truncated=truncated
        )

    def headers(self, body: Body) -> list[tuple[str, str]]:
        """Return the header fields that announce this framing of `body`."""
        if self.kind == "length":
            return [("Content-Length", str(body.total))]
        announced = ", ".join(name for name, _ in self.trailers)
        return [("Transfer-Encoding", "chunked"), *([("Trailer", announced)] if announced else [])]

    def segments(self, body: Body) -> Iterator[Segment]:
        """Yield the framed body, in order."""
        if self.kind == "length":
            yield from plain(body)
        else:
            yield from self._chunks(body)

    def _chunks(self, body: Body) -> Iterator[Segment]:
        source = _Source(body.pieces())
        remaining = body.total
        extensions = cycle(self.extensions or ("",))
        for allowed, extension in zip(cycle(self.sizes), extensions, strict=False):
            if not remaining:
                break
            size = min(allowed, remaining)
            remaining -= size
            head = f"{size:x}{extension}\r\n".encode("latin-1")
            if size <= ONE_SEGMENT:
                yield Segment(b"".join((head, *source.take(size), b"\r\n")), len(head), size)
                continue
            yield Segment(head)
            for piece in source.take(size):
                yield Segment(piece, 0, len(piece))
            yield Segment(b"\r\n")
        if not self.truncated:
            fields = "".join(f"{name}: {value}\r\n" for name, value in self.trailers)
            yield Segment(f"0\r\n{fields}\r\n".encode("latin-1"))


def plain(body: Body) -> Iterator[Segment]:
    """Yield the body without framing, as for Content-Length and in HTTP/2."""
    for piece in body.pieces():
        yield Segment(piece, 0, len(piece))


class _Source:
    """Cuts pieces to new sizes: `take(n)` returns the next n bytes without copying them."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def take(self, count: int) -> Iterator[memoryview]:
        while count:
            if not self._rest:
                self._rest = next(self._pieces)
            piece, self._rest = self._rest[:count], self._rest[count:]
            count -= len(piece)
            yield piece
