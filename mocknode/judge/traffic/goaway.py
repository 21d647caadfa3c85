"""Takes GOAWAY out of a stream of HTTP/2 frames before h2 sees it.

h2 ends the whole connection on GOAWAY. RFC 9113 6.8 lets all streams up to the last one that it names finish, and balancers rely on
that when they reload or recycle connections. Does no I/O.
"""

from dataclasses import dataclass

HEADER = 9
GOAWAY = 0x7


@dataclass(frozen=True, slots=True)
class Goaway:
    """The peer ignores streams above `last_stream`."""

    last_stream: int
    code: int


class GoawayFilter:
    """Passes on every frame except GOAWAY, which it reports."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, list[Goaway]]:
        """Return the whole frames in what has arrived so far, and the GOAWAYs that were among them."""
        self._buffer += data
        passed, notices, at = bytearray(), [], 0
        while len(self._buffer) - at >= HEADER:
            end = at + HEADER + int.from_bytes(self._buffer[at : at + 3], "big")
            if len(self._buffer) < end:
                break
            frame = self._buffer[at:end]
            if frame[3] == GOAWAY and len(frame) >= HEADER + 8:
                last, code = frame[HEADER : HEADER + 4], frame[HEADER + 4 : HEADER + 8]
                notices.append(Goaway(int.from_bytes(last, "big") & 0x7FFFFFFF, int.from_bytes(code, "big")))
            else:
                passed += frame
            at = end
        del self._buffer[:at]
        return bytes(passed), notices
