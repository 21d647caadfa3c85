"""Reads files of JSON lines while others append to them: every whole line once, a torn last one left for later."""

from pathlib import Path
from typing import Any, Final

from mocknode.text import json_text

STEP: Final = 1 << 20
"""Bytes of one file taken in one step: a few milliseconds."""


class Tail:
    """The `*.jsonl` files of a directory; new ones are noticed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[Path, int] = {}

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the new lines, and whether more are available now.

        Raises:
            ValueError: a whole line that is not JSON, with its file; what came before it was given by earlier calls.
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
                    raise ValueError(f"{path} holds a line that no generator of ours wrote: {exc}") from exc
                offset += len(line)
            self._offsets[path] = offset
        return found, more
