"""Files that appear whole or not at all: written under a temporary name in the same directory, then linked."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def temporary_copy(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Write the content to a temporary file next to `path` and delete that file when the block ends.

    The directory is created if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    written = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        written.chmod(mode)
        yield written
    finally:
        written.unlink()


def create_once(path: Path, content: bytes, mode: int) -> None:
    """Create the file with this content unless it exists.

    Raises:
        OSError: the file cannot be created.
    """
    # A link fails where a rename would replace: of two processes the second one uses the file of the first.
    with temporary_copy(path, content, mode) as written, contextlib.suppress(FileExistsError):
        path.hardlink_to(written)
