"""A delta, read as it arrives: bytes of the new file, and what to copy of the old one, until the new file's digest is met.

Nothing a stranger writes into a delta is trusted: lengths and offsets are compared with the old file, and with what a new
version can sensibly become, before anything is done.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"OCTODELTA\x01"
HASH_NAME: Final = b"\x04SHA1"
END_OF_HEAD: Final = b">>>"
COPY: Final = 0x60
DATA: Final = 0x80
_DIGEST_BYTES: Final = 20
_HEAD_BYTES: Final = len(MAGIC) + len(HASH_NAME) + 4 + _DIGEST_BYTES + len(END_OF_HEAD)
_COPY_FIELDS: Final = struct.Struct("<qq")
_DATA_FIELDS: Final = struct.Struct("<q")

GROWTH_MAX: Final = 16
"""A new version is at most so many times as large as the old one and its delta together. A copy command has 17 bytes and can
ask for the whole old file: without a bound a delta of a megabyte would fill any disk. The vendor documents none."""


class DeltaError(ValueError):
    """A delta that cannot be applied; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes of the old file."""

    offset: int
    length: int


class DeltaReader:
    """Reads one delta, cut anywhere.

    Args:
        basis_size: Bytes of the old file.

    Attributes:
        expected_sha1: Declared digest of the new file, in lower-case hex; None until the head was read.
    """

    def __init__(self, basis_size: int) -> None:
        self.expected_sha1: str | None = None
        self._basis_size = basis_size
        self._read = self._copied = 0
        self._rest = b""
        self._data_left = 0

    def feed(self, data: bytes | memoryview) -> Iterator[Copy | memoryview]:
        """Take the next bytes; what the new file goes on with, in order.

        Raises:
            DeltaError: this is no delta for that old file.
        """
        self._read += len(data)
        view = memoryview(self._rest + bytes(data) if self._rest else data)
        self._rest = b""
        while view:
            if self._data_left:
                piece = view[: self._data_left]
                self._data_left -= len(piece)
                view = view[len(piece) :]
                yield piece
                continue
            used, command = self._command(view)
            if not used:
                self._rest = bytes(view)
                return
            view = view[used:]
            if command is not None:
                yield command

    def _command(self, view: memoryview) -> tuple[int, Copy | None]:
        """Bytes of the head or command that `view` begins with, 0 when it is not whole yet; and what to copy."""
        if self.expected_sha1 is None:
            return self._head(view), None
        fields = {COPY: _COPY_FIELDS, DATA: _DATA_FIELDS}.get(view[0])
        if fields is None:
            raise DeltaError(f"delta: got command {view[0]:#04x} at byte {self._read - len(view)}, allowed: 0x60, 0x80")
        if len(view) < 1 + fields.size:
            return 0, None
        values: tuple[int, ...] = fields.unpack_from(view, 1)
        command = Copy(*values) if fields is _COPY_FIELDS else None
        if command is not None and not 0 <= command.offset <= command.offset + command.length <= self._basis_size:
            raise DeltaError(
                f"delta: copies {command.length} bytes at {command.offset} of a base of {self._basis_size} bytes"
            )
        if values[-1] < 0:
            raise DeltaError(f"delta: got a length of {values[-1]}, allowed: 0 and more")
        if command is None:
            self._data_left = values[-1]
        else:
            self._copy(command.length)
        return 1 + fields.size, command

    def _head(self, view: memoryview) -> int:
        start = bytes(view[:_HEAD_BYTES])
        fixed = MAGIC + HASH_NAME + _DIGEST_BYTES.to_bytes(4, "little")
        if not start.startswith(fixed[: len(start)]) or (len(start) == _HEAD_BYTES and not start.endswith(END_OF_HEAD)):
            raise DeltaError("delta: got something else, allowed: an Octodiff delta with SHA-1")
        if len(start) < _HEAD_BYTES:
            return 0
        self.expected_sha1 = start[len(fixed) :][:_DIGEST_BYTES].hex()
        return _HEAD_BYTES

    def _copy(self, length: int) -> None:
        self._copied += length
        if self._copied > GROWTH_MAX * (self._basis_size + self._read):
            raise DeltaError(
                f"delta: copies more than {GROWTH_MAX} times as many bytes as its base of {self._basis_size} and itself have"
            )

    def finish(self, sha1: str) -> None:
        """The delta is over.

        Args:
            sha1: Digest of the new file as it was made, in lower-case hex.

        Raises:
            DeltaError: it ended within a command, or made another file than it promised.
        """
        if self.expected_sha1 is None or self._rest or self._data_left:
            raise DeltaError(f"delta: ends within a command, after {self._read} bytes")
        if sha1 != self.expected_sha1:
            raise DeltaError(f"delta: made a file with SHA-1 {sha1}, promised {self.expected_sha1}")
