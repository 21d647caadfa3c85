"""A package in versions, and the delta from one to the next as Octodiff writes it.

Both formats are those of `pkg/octodiff` in OctopusDeploy/go-octodiff: little-endian integers, texts after their length. The client
looks for each chunk of the new file at its old place only, as versions here change in place; what it sends is a delta like any other.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mocknode.load.users.content import BLOCK, stamped
from mocknode.load.users.streams import sha1

SIZE_MAX: Final = 16 << 20
"""A signature costs a node 40 ns a byte, and a delta this client as much: larger packages would measure that."""
WORTH: Final = 0.95
"""A delta larger than this share of its package is not sent; the package is (`package_delta_upload.go`)."""
_SIGNATURE: Final = b"OCTOSIG\x01\x04SHA1"
_END_OF_HEAD: Final = b">>>"
_CHUNK: Final = struct.Struct("<HI20s")
_DELTA: Final = b"OCTODELTA\x01\x04SHA1\x14\x00\x00\x00"
_COPY: Final = struct.Struct("<Bqq")
_DATA: Final = struct.Struct("<Bq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of one pusher's package; from version to version one block changes, each in its turn."""

    owner: str
    version: int
    size: int

    @property
    def package_id(self) -> str:
        """A package of its own for each pusher, since a server takes deltas against the latest version of an id."""
        return f"mocknode-delta-{self.owner}"

    @property
    def number(self) -> str:
        """The version as a server reads it."""
        return f"1.0.{self.version}"

    @property
    def file_name(self) -> str:
        """File name of this version."""
        return f"{self.package_id}.{self.number}.zip"

    def content(self) -> Iterator[memoryview]:
        """All of it, in pieces."""
        return stamped(self.size, self._stamp)

    def _stamp(self, block: int) -> str:
        blocks = -(-self.size // BLOCK)
        changed = max(0, self.version - (self.version - block) % blocks)
        return f"{self.owner[:16]} {block:012d} {changed:012d}\n"


def delta(signature: bytes, new: Iterable[memoryview]) -> tuple[bytes, str]:
    """The delta that makes `new` of the file with this signature, and the SHA-1 of `new`.

    Raises:
        ValueError: this is no signature.
    """
    head = signature.find(_END_OF_HEAD)
    if not signature.startswith(_SIGNATURE) or head < 0:
        raise ValueError(f"got {signature[:32]!r}, allowed: an Octodiff signature with SHA-1")
    whole, commands = sha1(), _Commands()
    chunks = _CHUNK.iter_unpack(signature[head + len(_END_OF_HEAD) :])
    rest = bytearray()
    length, _, digest = next(chunks, (0, 0, b""))
    for piece in new:
        whole.update(piece)
        rest += piece
        while length and len(rest) >= length:
            chunk = sha1()
            chunk.update(data := bytes(rest[:length]))
            commands.add(data, same=chunk.digest() == digest)
            del rest[:length]
            length, _, digest = next(chunks, (0, 0, b""))
    commands.add(bytes(rest), same=False)
    return _DELTA + whole.digest() + _END_OF_HEAD + commands.encoded(), whole.hexdigest()


class _Commands:
    """Neighbours of one kind are one command."""

    def __init__(self) -> None:
        self._at = 0
        self._found: list[tuple[int, int, bytearray | None]] = []

    def add(self, data: bytes, *, same: bool) -> None:
        """The next bytes of the new file; `same` are copied from the same place of the old one."""
        if not data:
            return
        last = self._found[-1] if self._found else None
        if last is not None and (last[2] is None) == same:
            offset, length, held = self._found.pop()
        else:
            offset, length, held = self._at, 0, None if same else bytearray()
        if held is not None:
            held += data
        self._found.append((offset, length + len(data), held))
        self._at += len(data)

    def encoded(self) -> bytes:
        """Return the commands as a delta contains them."""
        return b"".join(
            _COPY.pack(0x60, offset, length) if held is None else _DATA.pack(0x80, length) + held
            for offset, length, held in self._found
        )
