"""Deltas against packages whose bytes are kept: which one a delta starts from, its signature, and the new file made of both."""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from mocknode.mock.data.store import Package
from mocknode.mock.node.packages.kept import path_of
from mocknode.mock.node.packages.octodiff import signature
from mocknode.mock.node.packages.octodiff.delta import Copy, DeltaReader
from mocknode.mock.node.packages.receiver import FileSink
from mocknode.mock.node.packages.versions import newest_first, version_key

# Whole chunks of a signature, and few enough bytes that a copy of gigabytes costs no memory.
_COPY_BYTES: Final = 128 * signature.CHUNK_BYTES


def base_for(
    packages: Iterable[Package], version: str, rule: Literal["latest", "nearest"], run_dir: Path
) -> Package | None:
    """Return the base of a delta for a package's new version: another version whose bytes are kept, either the highest one or
    the highest below the new one; None without any."""
    for package in newest_first(packages):
        path = path_of(run_dir, package)
        below = version_key(package.version) < version_key(version)
        other = package.version.lower() != version.lower()
        if path is not None and other and (below or rule == "latest") and path.is_file():
            return package
    return None


def signature_document(path: Path, size: int, base_version: str) -> tuple[int, Iterator[bytes]]:
    """Return length and parts of the answer with a file's signature; the parts are made while they are sent."""
    head, tail = b'{"Signature":"', b'","BaseVersion":' + json.dumps(base_version).encode() + b"}"
    text = -(-signature.signature_size(size) // 3) * 4
    return len(head) + text + len(tail), _parts(path, head, tail)


def _parts(path: Path, head: bytes, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        rest = signature.HEAD
        while data := file.read(_COPY_BYTES):
            rest += b"".join(signature.records(data))
            whole = len(rest) - len(rest) % 3
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:]
        yield base64.b64encode(rest)
    yield tail


class DeltaSink(FileSink):
    """The delta part of one upload, applied to its base as it arrives; what is counted and digested is the new file."""

    def __init__(self, boundary: bytes, keep: Path, basis: Path) -> None:
        super().__init__(boundary, keep)
        self._basis = basis.open("rb")
        self._reader = DeltaReader(basis.stat().st_size)
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of the new package."""
        return self._size

    def take(self, views: list[memoryview]) -> None:
        """Apply the next bytes of the delta; runs in a thread.

        Raises:
            DeltaError: they are no delta for this base. OSError: a file cannot be read or written.
        """
        for view in views:
            for piece in self._reader.feed(view):
                for data in self._copied(piece) if isinstance(piece, Copy) else (piece,):
                    self._size += len(data)
                    super().take([memoryview(data)])

    def _copied(self, copy: Copy) -> Iterator[bytes]:
        self._basis.seek(copy.offset)
        left = copy.length
        while left:
            data = self._basis.read(min(left, _COPY_BYTES))
            if not data:
                raise OSError("the base of the delta became shorter while it was read")
            left -= len(data)
            yield data

    def finish(self) -> None:
        """Check that the delta was whole.

        Raises:
            MultipartError: it held no whole file. DeltaError: the delta is not whole, or made another file than it promised.
        """
        super().finish()
        if self.part.file_bytes:
            self._reader.finish(self.sha1)

    def close(self) -> None:
        """Close both files."""
        self._basis.close()
        super().close()
