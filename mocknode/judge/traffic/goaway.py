"""GOAWAY taken out of a stream of HTTP/2 frames, before h2 sees it.

h2 ends the whole connection on GOAWAY, while RFC 9113 6.8 lets the streams up to the last one it names finish: a
balancer that reloads or recycles connections relies on that. Pure: bytes in, bytes and notices out.
"""

from dataclasses import dataclass

HEADER = 9
GOAWAY = 0x7


@dataclass(frozen=True, slots=True)
class Goaway:
    """Streams above `last_stream` were not and will not be worked on."""

    last_stream: int
    code: int


class GoawayFilter:
    """Passes every frame on unchanged but GOAWAY, which it reports."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, list[Goaway]]:
        """Whole frames among what has arrived so far, and the GOAWAYs among them."""
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
