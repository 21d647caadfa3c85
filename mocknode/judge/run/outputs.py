"""Where a run writes, checked before it starts: its directory, and the report files that the user asked for."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mocknode.judge.lab.target import OptionError


def make_run_directory(given: Path | None, command: str) -> Path:
    """The directory of a run: the user's, if it is empty, or a new one named after the command.

    Raises:
        OptionError: the user's directory is not empty, or cannot be made.
    """
    if given is None:
        return Path(tempfile.mkdtemp(prefix=f"mocknode-{command}-"))
    try:
        if given.exists() and any(given.iterdir()):
            raise OptionError(f"--run-dir {given} is not empty; give a new directory")
        given.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OptionError(
            f"--run-dir {given}: {exc.strerror}; allowed is a directory that this user can create and write"
        ) from exc
    return given.absolute()


def refuse_unwritable(files: Mapping[str, Path]) -> None:
    """Refuse report files that cannot be written, so that nobody learns of it after minutes of work.

    Args:
        files: The files by the name of their flag, without dashes.

    Raises:
        OptionError: one file for two reports, or a file that cannot be written.
    """
    for name, path in files.items():
        same = [f"--{other}" for other, its in files.items() if its == path and other != name]
        if same and path != Path(os.devnull):
            raise OptionError(f"--{name} and {same[0]} both name {path}; give each its own file")
        try:
            with path.open("a"):
                pass
        except OSError as exc:
            raise OptionError(
                f"--{name} {path}: {exc.strerror}; allowed is a file that this user can write, in a directory that exists"
            ) from exc
