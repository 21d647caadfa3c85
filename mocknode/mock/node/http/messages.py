"""The messages of one connection: heads, and bodies by length or in chunks, by the web server's rules, without I/O.

A message begins only when the one before is over and answered, as in the web server; what came early is kept here.
"""

import re
from typing import Final, Protocol

from mocknode.mock.node.http.request_head import Head, Refusal, RefusedRequestError
from mocknode.mock.node.web_server import WebServerLimits

# A chunk of 2 GiB or more is refused, and so is a size of more than eight digits.
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:\r\n|(;))")
_CHUNK_BEGUN: Final = re.compile(rb"[0-9A-Fa-f]{0,8}\r?")
_CHUNK_MAX: Final = 2**31 - 1
_NO_TRAILERS: Final = re.compile(rb"\r?\n")
# More heads than probers and monitors have, of the size that theirs have.
KNOWN_MAX: Final = 128
KNOWN_BYTES_MAX: Final = 1024
_TLS_HELLO: Final = b"\x16\x03"
_PREFACE: Final = b"PRI * HTTP/2.0\r\n"


class Receiver(Protocol):
    """What takes the parts of messages."""

    @property
    def ready(self) -> bool:
        """Whether the next message may begin."""

    def head_came(self, head: Head) -> None:
        """Take a whole head."""

    def body_came(self, data: bytes) -> None:
        """Take a part of the body."""

    def message_over(self) -> None:
        """Take the end of the message."""


class KnownHeads:
    """Heads that were read before, by their bytes, for all connections of a node.

    Probers repeat theirs byte by byte, and reading one costs as much as everything else about a ping. Only whole heads of requests
    without a body are kept, and none that is long.
    """

    def __init__(self, limits: WebServerLimits) -> None:
        self.limits = limits
        self._heads: dict[bytes, Head] = {}
        self.find = self._heads.get

    def __len__(self) -> int:
        return len(self._heads)

    def keep(self, data: bytes, head: Head) -> None:
        """Keep a head; a full store begins anew."""
        if head.length is None and not head.chunked and len(data) <= KNOWN_BYTES_MAX:
            if len(self._heads) >= KNOWN_MAX:
                self._heads.clear()
            self._heads[data] = head


class _At:
    """Where the reader is. Plain numbers, as this is asked for each read."""

    HEAD: Final = 0
    BODY: Final = 1  # by length
    CHUNK_SIZE: Final = 2
    CHUNK_EXTENSION: Final = 3
    CHUNK: Final = 4
    CHUNK_END: Final = 5
    TRAILERS: Final = 6


class MessageReader:
    """Takes bytes as they come and hands over the parts of messages.

    Attributes:
        head: The head that is being read or was read last.
        refused: Whether a request was refused; nothing is read after it.
    """

    def __init__(self, receiver: Receiver, known: KnownHeads, *, plain: bool = True) -> None:
        self._receiver, self._known, self._limits = receiver, known, known.limits
        self._at: int = _At.HEAD
        self._left = 0
        self._rest = b""
        self._first = plain
        self.head = self._tail = Head()
        self.refused = False

    @property
    def between(self) -> bool:
        """Whether no message has begun."""
        return self._at is _At.HEAD and not self._rest

    @property
    def within_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return self._at is _At.HEAD and bool(self._rest)

    @property
    def waiting(self) -> bool:
        """Whether bytes are here that were not taken."""
        return bool(self._rest)

    @property
    def body_left(self) -> int:
        """Bytes of a declared body that are still to come."""
        return self._left if self._at is _At.BODY else 0

    def body_taken(self) -> None:
        """Note that the rest of the declared body was read past this reader."""
        self._at = _At.HEAD

    def feed(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            RefusedRequestError: the web server would refuse this; nothing must be fed any more.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, size = 0, len(data)
        try:
            while at < size and (self._at is not _At.HEAD or self._receiver.ready):
                taken = self._step(data, at)
                if not taken:
                    break
                at += taken
        except RefusedRequestError:
            self.refused = True
            raise
        if at < size:
            self._rest = data[at:]

    def _step(self, data: bytes, at: int) -> int:
        """Take what can be taken at this place; return how much, 0 when more has to come first."""
        return _STEPS[self._at](self, data, at)

    def _head(self, data: bytes, at: int) -> int:
        known = None if at else self._known.find(data)
        if known is not None:
            self._first = False
            self.head = known
            self._begin_body(known)
            return len(data)
        if data[at] in b"\r\n":
            return 1  # empty lines before a request
        if self._first:
            self._check_protocol(data)
        head = self.head = Head()
        end = _end_of_fields(data, at)
        if not end:
            self._check_begun(head, data[at:])
            return 0
        self._first = False
        head.read(data[at:end], self._limits)
        self._known.keep(data[at:end], head)
        self._begin_body(head)
        return end - at

    def _check_protocol(self, data: bytes) -> None:
        """Refuse what is not HTTP/1 on the plain port."""
        if data.startswith(_TLS_HELLO):
            raise RefusedRequestError(Refusal.TLS)
        if data.startswith(_PREFACE):
            raise RefusedRequestError(Refusal.PREFACE)

    def _check_begun(self, head: Head, data: bytes) -> None:
        """Refuse a head whose beginning can be refused already."""
        limits = self._limits
        end = data.find(b"\n") + 1
        if not end:
            if len(data) >= limits.line_bytes:
                raise RefusedRequestError(Refusal.REQUEST_LINE_LONG)
            return
        head.read_line(data[:end], limits)
        last = data.rfind(b"\n") + 1
        head.read_fields(data[end:last], limits)
        if len(data) - end > limits.fields_bytes:
            raise RefusedRequestError(Refusal.FIELDS_LONG)

    def _begin_body(self, head: Head) -> None:
        self._left = head.length or 0
        self._at = _At.CHUNK_SIZE if head.chunked else _At.BODY if self._left else _At.HEAD
        self._receiver.head_came(head)
        if self._at is _At.HEAD:
            self._receiver.message_over()

    def _body(self, data: bytes, at: int) -> int:
        size = min(self._left, len(data) - at)
        self._left -= size
        if not self._left:
            self._at = _At.HEAD if self._at is _At.BODY else _At.CHUNK_END
        self._receiver.body_came(data if size == len(data) else data[at : at + size])
        if self._at is _At.HEAD:
            self._receiver.message_over()
        return size

    def _chunk_size(self, data: bytes, at: int) -> int:
        found = _CHUNK.match(data, at)
        if found is None:
            if _CHUNK_BEGUN.fullmatch(data, at):
                return 0
            raise RefusedRequestError(Refusal.CHUNK)
        self._left = int(found[1], 16)
        if self._left > _CHUNK_MAX:
            raise RefusedRequestError(Refusal.CHUNK)
        self._at = _At.CHUNK_EXTENSION if found[2] else _At.CHUNK if self._left else _At.TRAILERS
        if not self._left:  # trailers count with the header fields, but are none of them
            self._tail = Head()
            self._tail.headers, self._tail.fields_bytes = list(self.head.headers), self.head.fields_bytes
        return found.end() - at

    def _extension(self, data: bytes, at: int) -> int:
        """Skip an extension, which has no CR or LF but the pair that ends it."""
        end = data.find(b"\n", at)
        returned = data.find(b"\r", at)
        if end < 0:
            if returned >= 0 and returned != len(data) - 1:
                raise RefusedRequestError(Refusal.CHUNK)
            return (len(data) if returned < 0 else returned) - at
        if returned != end - 1 or end == at:
            raise RefusedRequestError(Refusal.CHUNK)
        self._at = _At.CHUNK if self._left else _At.TRAILERS
        return end + 1 - at

    def _chunk_end(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if end == b"\r\n":
            self._at = _At.CHUNK_SIZE
            return 2
        if end == b"\r":
            return 0
        raise RefusedRequestError(Refusal.CHUNK)

    def _trailers(self, data: bytes, at: int) -> int:
        if empty := _NO_TRAILERS.match(data, at):
            end = empty.end()
        elif end := _end_of_fields(data, at):
            self._tail.read_fields(data[at:end], self._limits)
        else:
            last = data.rfind(b"\n", at) + 1
            if self._tail.fields_bytes + len(data) - at > self._limits.fields_bytes:
                raise RefusedRequestError(Refusal.FIELDS_LONG)
            if last > at:  # whole lines are judged and kept
                self._tail.read_fields(data[at:last], self._limits)
                return last - at
            return 0
        self._at = _At.HEAD
        self._receiver.message_over()
        return end - at


_STEPS: Final = (
    MessageReader._head,
    MessageReader._body,
    MessageReader._chunk_size,
    MessageReader._extension,
    MessageReader._body,
    MessageReader._chunk_end,
    MessageReader._trailers,
)
"""The methods that take bytes, by the place of `_At`."""


def _end_of_fields(data: bytes, at: int) -> int:
    """Return where the first empty line after `at` ends, 0 without one; a line may end in a bare LF."""
    end = data.find(b"\n\r\n", at) + 3
    bare = data.find(b"\n\n", at, end if end > 2 else len(data)) + 2
    return bare if bare > 1 else end if end > 2 else 0
