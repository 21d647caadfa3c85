"""The bytes of packages in a fixtures file, made from seed and size: the same on every machine and in every version of mocknode.

They are SHAKE-128 (FIPS 202) of the seed and the number of the block, as no random generator of Python promises the same bytes
in later versions. A package whose extension says that it is a ZIP archive is one, with one stored file, so that clients can open
it.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

ZIPPED: Final = (".nupkg", ".zip", ".jar", ".war", ".ear")
"""Extensions of ZIP archives."""
ZIP_BYTES: Final = 136
"""Size of an archive with one stored file of our name, without the file's bytes."""

_BLOCK: Final = 1 << 20
_NAME: Final = "content.bin"
_UNIX: Final = 3
"""System in the archive's header; set here, as zipfile would write the system that it runs on."""


def write_content(path: Path | None, *, extension: str, size: int, seed: int) -> str:
    """Write a package and return its SHA-1 in lower-case hex digits.

    Args:
        path: The file to write, which must not exist; None only computes the digest.
        size: Bytes of the package; at least `ZIP_BYTES` for an archive.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    if path is None:
        return _make(_Digested(None), extension, size, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        try:
            return _make(_Digested(file), extension, size, seed)
        except OSError:
            path.unlink()
            raise


def _make(sink: "_Digested", extension: str, size: int, seed: int) -> str:
    if extension.lower() not in ZIPPED:
        for block in _blocks(size, seed):
            sink.write(block)
        return sink.sha1
    inside = zipfile.ZipInfo(_NAME)
    inside.create_system = _UNIX
    with zipfile.ZipFile(sink, "w") as archive, archive.open(inside, "w") as file:
        for block in _blocks(size - ZIP_BYTES, seed):
            file.write(block)
    return sink.sha1


def _blocks(size: int, seed: int) -> Iterator[bytes]:
    for number, start in enumerate(range(0, size, _BLOCK)):
        yield hashlib.shake_128(f"mocknode {seed} {number}".encode()).digest(min(_BLOCK, size - start))


class _Digested(io.RawIOBase):
    """A file that is written from front to back and digested on the way; without a file only the digest."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file
        self._digest = hashlib.sha1(usedforsecurity=False)

    @property
    def sha1(self) -> str:
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._digest.update(data)
        if self._file is not None:
            self._file.write(data)
        return memoryview(data).nbytes
