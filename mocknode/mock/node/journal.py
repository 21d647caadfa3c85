"""The journal of one node, appended to `<run_dir>/journal/<node>.jsonl`; what was written survives SIGKILL.

One JSON object per line, one `write` per line, nothing buffered in the process. Bounded in entries and bytes; what does not fit
is counted, and `dropped` lines say so (a reader takes the last one of a boot). Bodies are never written.
"""

import os
import time
from pathlib import Path
from typing import Any, Final

from mocknode.text import json_text

# A long evening of load tests stays below both; a journal that is forgotten cannot fill a disk.
ENTRIES_MAX: Final = 1_000_000
BYTES_MAX: Final = 512 * 1024 * 1024
# Room for a `dropped` line at the first loss, at every doubling of it (2^40 at most) and at the end.
_RESERVED_LINES: Final = 42
_RESERVED_BYTES: Final = _RESERVED_LINES * 256


class Journal:
    """The journal of one boot of one node.

    Args:
        run_dir: Its directory `journal` is made if need be.
        node, boot: Part of every line.
        entries_max: Lines this boot may add; `bytes_max` bounds the file.
    """

    def __init__(
        self, run_dir: Path, node: str, boot: int, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        directory = run_dir / "journal"
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{node}.jsonl"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._node, self._boot = node, boot
        self._entries_left = entries_max
        self._bytes_left = bytes_max - _RESERVED_BYTES - self._end_torn_line()
        self.entries = 0
        self.dropped = 0
        self._dropped_bytes = 0
        self._announce_at = 1

    def _end_torn_line(self) -> int:
        """Return the bytes already there; end a line that a SIGKILL cut, so that it spoils no other."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")
            size += 1
        return size

    def add(self, kind: str, t_ns: int, **facts: Any) -> None:
        """Append one line, or count it as dropped."""
        line = json_text.dumps({"kind": kind, "node": self._node, "boot": self._boot, "t_ns": t_ns, **facts}) + b"\n"
        if self._entries_left > 0 and len(line) <= self._bytes_left and self._write(line):
            self._entries_left -= 1
            self._bytes_left -= len(line)
            self.entries += 1
            return
        self.dropped += 1
        self._dropped_bytes += len(line)
        if self.dropped >= self._announce_at:
            self._announce_at = self.dropped * 2
            self._announce()

    def _write(self, line: bytes) -> bool:
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                os.write(self._fd, b"\n")  # A full disk cut the line; a reader skips what does not parse.
        except OSError:
            return False
        return written == len(line)

    def _announce(self) -> None:
        facts = {"kind": "dropped", "node": self._node, "boot": self._boot, "t_ns": time.monotonic_ns()}
        self._write(json_text.dumps({**facts, "entries": self.dropped, "bytes": self._dropped_bytes}) + b"\n")

    def close(self) -> None:
        """Record once more how much was dropped, if anything, and close the file."""
        if self.dropped:
            self._announce()
        os.close(self._fd)
