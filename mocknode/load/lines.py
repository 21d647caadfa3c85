"""Reads files of JSON lines while other processes append to them: every whole line once. A torn last line is left for later."""

from pathlib import Path
from typing import Any, Final

from mocknode.text import json_text

STEP: Final = 1 << 20
"""Bytes of one file to read in one step, which takes a few milliseconds."""


class Tail:
    """The `*.jsonl` files of a directory, including files that appear later."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[Path, int] = {}

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the new lines, and whether more are available now.

        Raises:
            ValueError: naming a file with a whole line that is not JSON. Earlier calls have returned all lines before it.
        """
        found: list[dict[str, Any]] = []
        more = False
        for path in sorted(self._directory.glob("*.jsonl")):
            offset = self._offsets.get(path, 0)
            with path.open("rb") as file:
                file.seek(offset)
                chunk = file.read(STEP)
            whole = chunk[: chunk.rfind(b"\n") + 1]
            more = more or len(chunk) == STEP
            for line in whole.splitlines(keepends=True):
                try:
                    found.append(json_text.loads(line))
                except ValueError as exc:
                    self._offsets[path] = offset
                    if found:
                        return found, True
                    raise ValueError(
                        f"{path} has a line that is not JSON and that our generator did not write: {exc}"
                    ) from exc
                offset += len(line)
            self._offsets[path] = offset
        return found, more
