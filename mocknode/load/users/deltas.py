"""Versions of a package, and the delta from one to the next as Octodiff writes it.

Both formats come from `pkg/octodiff` in OctopusDeploy/go-octodiff: integers are little-endian, and a text follows its length. This
client compares each chunk of the new file only with the old chunk at the same place, because versions here change in place. The
delta that it sends is a normal one.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mocknode.load.users.content import BLOCK, stamped
from mocknode.load.users.streams import sha1

SIZE_MAX: Final = 16 << 20
"""A signature costs a node 40 ns a byte, and a delta costs this client as much. Larger packages would mainly measure that."""
WORTH: Final = 0.95
"""If the delta is larger than this share of the package, the whole package is sent (`package_delta_upload.go`)."""
_SIGNATURE: Final = b"OCTOSIG\x01\x04SHA1"
_END_OF_HEAD: Final = b">>>"
_CHUNK: Final = struct.Struct("<HI20s")
_DELTA: Final = b"OCTODELTA\x01\x04SHA1\x14\x00\x00\x00"
_COPY: Final = struct.Struct("<Bqq")
_DATA: Final = struct.Struct("<Bq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of one pusher's package. From version to version one block changes, each block in turn."""

    owner: str
    version: int
    size: int

    @property
    def package_id(self) -> str:
        """Id of the package; each pusher has its own, since a server applies deltas to the latest version of an id."""
        return f"mocknode-delta-{self.owner}"

    @property
    def number(self) -> str:
        """Version number as a server reads it."""
        return f"1.0.{self.version}"

    @property
    def file_name(self) -> str:
        """File name of this version."""
        return f"{self.package_id}.{self.number}.zip"

    def content(self) -> Iterator[memoryview]:
        """Return the content of this version in pieces."""
        return stamped(self.size, self._stamp)

    def _stamp(self, block: int) -> str:
        blocks = -(-self.size // BLOCK)
        changed = max(0, self.version - (self.version - block) % blocks)
        return f"{self.owner[:16]} {block:012d} {changed:012d}\n"


def delta(signature: bytes, new: Iterable[memoryview]) -> tuple[bytes, str]:
    """Return the delta from the file with this signature to `new`, and the SHA-1 of `new`.

    Raises:
        ValueError: the signature cannot be read.
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
    """Collects the commands of a delta and merges neighbours of the same kind."""

    def __init__(self) -> None:
        self._at = 0
        self._found: list[tuple[int, int, bytearray | None]] = []

    def add(self, data: bytes, *, same: bool) -> None:
        """Add the next bytes of the new file; `same` means that the old file has them at the same place."""
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
