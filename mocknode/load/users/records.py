"""What the generator writes for the judge: one JSON object and one `write` for each line, so that a killed worker loses nothing.

`start`: {"t": "start", "id", "kind", "size", "form", "due", "at"}; `end`: {"t": "end", "id", "at", "sha1", "told", "status", "node",
"sent", "end", "error"}; `audit`: {"t": "audit", "at", ...}, see `audit`. Times are monotonic nanoseconds; `kind` is `push` for an
upload. An attempt that has a start and no end belongs to a worker that died.
"""

import os
from pathlib import Path
from typing import Any

import orjson

from mocknode.load.users.exchange import Exchange


class Records:
    """Appends lines to `<directory>/<process id>.jsonl`; writes nothing if the directory is None.

    Raises:
        OSError: the directory cannot be written.
    """

    def __init__(self, directory: Path | None) -> None:
        self._file: int | None = None
        if directory is not None:
            path = directory / f"{os.getpid()}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def start(self, exchange: Exchange, kind: str, size: int | None = None, form: str | None = None) -> None:
        """Record that an attempt begins now."""
        self.add(
            "start", id=exchange.attempt, kind=kind, size=size, form=form, due=exchange.due_ns, at=exchange.start_ns
        )

    def end(self, exchange: Exchange, sha1: str | None = None) -> None:
        """Record that an attempt has ended."""
        self.add(
            "end", id=exchange.attempt, at=exchange.end_ns, sha1=sha1, told=exchange.told, status=exchange.status,
            node=exchange.node, sent=exchange.sent, end=exchange.end, error=exchange.error,
        )  # fmt: skip

    def add(self, line: str, **facts: Any) -> None:
        """Append one line."""
        if self._file is not None:
            os.write(self._file, orjson.dumps({"t": line, **facts}, option=orjson.OPT_APPEND_NEWLINE))
