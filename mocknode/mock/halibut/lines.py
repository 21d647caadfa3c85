"""Preamble, control lines and identities: the readable parts of a conversation."""

from typing import Final, Literal
from urllib.parse import urlsplit

from mocknode.mock.halibut.limits import CONTROL_LINE_MAX, PREAMBLE_MAX

NEXT: Final = b"NEXT\r\n"
PROCEED: Final = b"PROCEED\r\n"
END: Final = b"END\r\n"
SERVER: Final = b"MX-SERVER 1.0\r\n\r\n"
CLIENT: Final = b"MX-CLIENT 1.0\r\n\r\n"

Newline = Literal["\r\n", "\n"]


class LineError(ValueError):
    """A line that breaks the protocol.

    Attributes:
        too_long: Whether it is longer than the limit.
    """

    def __init__(self, text: str, *, too_long: bool = False) -> None:
        super().__init__(text)
        self.too_long = too_long


def subscriber(subscription: str) -> bytes:
    """Return the identity of a polling Tentacle; the blank line belongs to the same write."""
    return f"MX-SUBSCRIBER 1.0 {subscription}\r\n\r\n".encode()


def preamble(newline: Newline) -> bytes:
    """Return the first bytes of an initiator, which are a write of their own."""
    return f"MX{newline}{newline}".encode()


def is_absolute_uri(text: str) -> bool:
    """Tell whether .NET would accept a queue's name as an absolute URI."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))


def queue_key(subscription: str) -> str:
    """Return a key that is equal for all spellings of a queue, as .NET lower-cases the host and adds the slash."""
    return subscription.lower().rstrip("/") + "/"


class PreambleReader:
    """Reads up to two newlines in a row, ignoring carriage returns, and not one byte further."""

    def __init__(self) -> None:
        self.head = bytearray()
        self._newline_before = False

    def feed(self, data: bytes) -> tuple[bool, bytes]:
        """Add bytes; return whether the preamble is complete, and the bytes after it."""
        for at, byte in enumerate(data):
            self.head.append(byte)
            if byte == 0x0A:
                if self._newline_before:
                    return True, data[at + 1 :]
                self._newline_before = True
            elif byte != 0x0D:
                self._newline_before = False
            if len(self.head) == PREAMBLE_MAX:
                return True, data[at + 1 :]
        return False, b""

    @property
    def newline(self) -> Newline:
        """The newline that the peer uses."""
        return "\r\n" if b"\r" in self.head else "\n"


class LineReader:
    """Reads one line that ends in CRLF. A bare newline is content, as in the real reader; bytes are Latin-1."""

    def __init__(self) -> None:
        self._line = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a part of the line has arrived."""
        return bool(self._line)

    def feed(self, data: bytes) -> tuple[str | None, bytes]:
        """Add bytes; return the line once it is complete, and the bytes after it.

        Raises:
            LineError: a carriage return has no newline, or the line has more than `CONTROL_LINE_MAX` bytes.
        """
        for at, byte in enumerate(data):
            if self._line[-1:] == b"\r":
                if byte != 0x0A:
                    raise LineError(f"Unexpected byte after '\\r' in control message: 0x{byte:02X}")
                return self._line[:-1].decode("latin-1"), data[at + 1 :]
            self._line.append(byte)
            if len(self._line) > CONTROL_LINE_MAX:
                raise LineError(f"a control line of more than {CONTROL_LINE_MAX} bytes", too_long=True)
        return None, b""
