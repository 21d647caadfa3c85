"""Files that are whole or not there: written beside their place under another name, then linked."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def draft(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """The content in a file of its own in `path`'s folder, made where it is missing; gone when the block ends."""
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


def keep(path: Path, content: bytes, mode: int) -> None:
    """Create the file with this content unless it exists.

    Raises:
        OSError: it cannot be made.
    """
    # A link fails where a rename would replace: whoever comes second uses the first one's.
    with draft(path, content, mode) as written, contextlib.suppress(FileExistsError):
        path.hardlink_to(written)
