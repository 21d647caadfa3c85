"""The bytes of packages in a fixtures file: made from seed and size, the same on every machine and in every version of ours.

They are SHAKE-128 (FIPS 202) of the seed and the number of the block, as no generator of Python promises its bytes for ever. What
is a ZIP archive by its extension is one, with one stored file, so that clients which open a package can.
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
"""What an archive with one stored file of our name has besides that file."""

_BLOCK: Final = 1 << 20
_NAME: Final = "content.bin"
_UNIX: Final = 3
"""Where the archive was made; said by us, as zipfile says where it runs."""


def write_content(path: Path | None, *, extension: str, size: int, seed: int) -> str:
    """Make a package; its SHA-1 in lower-case hex digits.

    Args:
        path: The file to write, which must not exist; None writes none.
        size: Bytes of the package; of an archive at least `ZIP_BYTES`.

    Raises:
        OSError: it cannot be written; nothing is left.
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
    """A file that goes forward only and knows its digest; without a file, the digest alone."""

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
