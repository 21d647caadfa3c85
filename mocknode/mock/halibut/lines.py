"""Preamble, control lines and identities: the parts of the conversation that a person can read."""

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
    """A line that no peer sends.

    Attributes:
        too_long: Whether a limit ended it.
    """

    def __init__(self, text: str, *, too_long: bool = False) -> None:
        super().__init__(text)
        self.too_long = too_long


def subscriber(subscription: str) -> bytes:
    """Identity of a polling Tentacle; the blank line belongs to the same write."""
    return f"MX-SUBSCRIBER 1.0 {subscription}\r\n\r\n".encode()


def preamble(newline: Newline) -> bytes:
    """What an initiator sends first, as a write of its own."""
    return f"MX{newline}{newline}".encode()


def is_absolute_uri(text: str) -> bool:
    """Whether .NET would take it for an absolute URI, as far as queues go."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path))


def queue_key(subscription: str) -> str:
    """Two spellings of one queue give the same key: .NET lower-cases the host and adds the slash."""
    return subscription.lower().rstrip("/") + "/"


class PreambleReader:
    """Reads up to two newlines in a row, carriage returns not counting, and not one byte more."""

    def __init__(self) -> None:
        self.head = bytearray()
        self._newline_before = False

    def feed(self, data: bytes) -> tuple[bool, bytes]:
        """Whether the preamble is over, and what is left over."""
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
        """Which one the peer uses."""
        return "\r\n" if b"\r" in self.head else "\n"


class LineReader:
    """Reads one line that ends in CRLF. A bare newline is content, as the real reader has it; bytes are Latin-1."""

    def __init__(self) -> None:
        self._line = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a part of a line arrived."""
        return bool(self._line)

    def feed(self, data: bytes) -> tuple[str | None, bytes]:
        """The line once it is whole, and what is left over.

        Raises:
            LineError: a carriage return without its newline, or more than `CONTROL_LINE_MAX` bytes.
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
