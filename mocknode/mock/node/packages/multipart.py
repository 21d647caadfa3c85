"""A streaming reader of the one file part of an upload, lenient as the server is.

Sans-IO: `feed` takes bytes cut anywhere and returns the file's bytes as views on them, `finish` says whether the body was
whole. Boundaries are searched, not parsed byte by byte, so a file costs one search. Takes what official clients send:
quoted and unquoted parameters, `filename*`, no name at all, a CRLF before the first boundary, a closing boundary without its
final `--`. Why no library: those either refuse some of these forms or copy the file.
"""

import enum
import re
from typing import Final
from urllib.parse import unquote

from mocknode.mock.node.http.batches import Chunk
from mocknode.mock.node.packages.searching import find

# Real part headers are a few hundred bytes; more is no package.
HEADER_BYTES_MAX: Final = 16 * 1024
# Blanks that may follow a boundary before its line ends; RFC 2046 allows some, nobody sends any.
_PADDING_MAX: Final = 64

_BOUNDARY: Final = re.compile(r';\s*boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_PARAMETER: Final = re.compile(r';\s*([\w!#$&+.^`|~*-]+)\s*=\s*("(?:\\"|[^"])*"|[^;]*)')
_END_OF_HEADERS: Final = re.compile(rb"\r?\n\r?\n|\A\r?\n")


class MultipartError(ValueError):
    """A body that is no multipart/form-data with a file; the message says what is wrong."""


class _State(enum.Enum):
    SKIP = enum.auto()
    FILE = enum.auto()
    BOUNDARY = enum.auto()
    HEADERS = enum.auto()
    END = enum.auto()


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary in a Content-Type.

    Raises:
        MultipartError: it is no multipart/form-data, or names no boundary.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise MultipartError(
            f"A package file must be provided: got content type {kind!r}, allowed: multipart/form-data"
        )
    match = _BOUNDARY.search(content_type or "")
    if match is None:
        raise MultipartError(f"multipart/form-data without a boundary: {content_type!r}")
    return (match[1] or match[2]).encode("latin-1")


def disposition_file_name(header: str) -> str | None:
    """Return the file name in a Content-Disposition, None when it has none; `filename*` wins."""
    values = {key.lower(): value.strip() for key, value in _PARAMETER.findall(header)}
    if extended := values.get("filename*"):
        charset, _, rest = extended.strip('"').partition("'")
        try:
            return unquote(rest.partition("'")[2], encoding=charset or "utf-8", errors="replace")
        except (LookupError, UnicodeError):
            # An unknown charset, or one that takes no part of what follows (`idna`).
            return unquote(rest.partition("'")[2], errors="replace")
    name = values.get("filename")
    if name is None:
        return None
    return str(name[1:-1].replace('\\"', '"') if name.startswith('"') else name)


class FilePart:
    """Finds the first part with a file name.

    Attributes:
        file_name: File name as it was sent; None until its part was found.
        file_bytes: Bytes of the file so far.
    """

    def __init__(self, boundary: bytes) -> None:
        self.file_name: str | None = None
        self.file_bytes = 0
        self._delimiter = b"\r\n--" + boundary
        self._state = self._within = _State.SKIP
        # With this a boundary at the very start looks like any other.
        self._rest = b"\r\n"

    def feed(self, data: Chunk) -> list[memoryview]:
        """Take the next bytes, and return the parts of them that belong to the file.

        Raises:
            MultipartError: the part's headers have no end.
        """
        found: list[memoryview] = []
        if self._rest:
            data, self._rest = self._rest + data, b""
        while data and self._state is not _State.END:
            data = self._step(data, found)
        return found

    def _step(self, data: Chunk, found: list[memoryview]) -> bytes:
        """Consume what can be decided, and return the rest; empty when more bytes are needed."""
        if self._state is _State.BOUNDARY:
            return self._after_boundary(data[:], found)
        if self._state is _State.HEADERS:
            return self._headers(data[:])
        at = find(data, self._delimiter)
        if at >= 0:
            self._emit(found, data, at)
            self._within, self._state = self._state, _State.BOUNDARY
            return data[at + len(self._delimiter) :]
        keep = self._undecided(data)
        self._emit(found, data, len(data) - keep)
        return self._wait(data[len(data) - keep :])

    def _undecided(self, data: Chunk) -> int:
        """Return how many of the last bytes may begin a delimiter: nearly always none, so that chunks need not be joined."""
        tail = data[-(len(self._delimiter) - 1) :]
        at = tail.find(b"\r")
        while at >= 0:
            if self._delimiter.startswith(tail[at:]):
                return len(tail) - at
            at = tail.find(b"\r", at + 1)
        return 0

    def _after_boundary(self, data: bytes, found: list[memoryview]) -> bytes:
        if data.startswith(b"--"):
            self._state = _State.END
            return b""
        text = data.lstrip(b" \t")
        if text.startswith((b"\r\n", b"\n")):
            self._state = _State.HEADERS
            return text[text.index(b"\n") + 1 :]
        if data == b"-" or (len(data) <= _PADDING_MAX and text in (b"", b"\r")):
            return self._wait(data)
        # The file holds something that begins like its boundary.
        self._state = self._within
        self._emit(found, self._delimiter)
        return data

    def _wait(self, data: bytes) -> bytes:
        self._rest = data
        return b""

    def _headers(self, data: bytes) -> bytes:
        match = _END_OF_HEADERS.search(data)
        if match is None:
            if len(data) > HEADER_BYTES_MAX:
                raise MultipartError(f"the headers of a part have more than {HEADER_BYTES_MAX} bytes")
            return self._wait(data)
        name = _file_name(data[: match.start()])
        if name is not None and self.file_name is None:
            self.file_name = name
            self._state = _State.FILE
        else:
            self._state = _State.SKIP
        return data[match.end() :]

    def _emit(self, found: list[memoryview], data: Chunk, until: int | None = None) -> None:
        if self._state is _State.FILE:
            view = memoryview(data) if until is None else memoryview(data)[:until]
            if view:
                found.append(view)
                self.file_bytes += len(view)

    def finish(self) -> None:
        """Check that the body was whole.

        Raises:
            MultipartError: it ended within a part, or there was no file.
        """
        if self._state is _State.FILE:
            raise MultipartError("the body ended before the boundary that closes its file")
        if self.file_name is None:
            raise MultipartError("A package file must be provided")


def _file_name(headers: bytes) -> str | None:
    for line in headers.splitlines():
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            return disposition_file_name(value.decode("utf-8", "replace"))
    return None
