"""A node process that has ended: its return code in words, the end of its log, and the journal line it could not write."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any, Final

from mocknode.mock.cluster.journal_files import path_of

LOG_TAIL_LINES: Final = 15
"""Enough for the end of a traceback."""


def record_state(run_dir: Path, node: str, boot: int, t_ns: int, **fact: Any) -> None:
    """Append a state to the journal of a node that can no longer write it."""
    line = json.dumps({"kind": "state", "node": node, "boot": boot, "t_ns": t_ns, **fact}).encode() + b"\n"
    with contextlib.suppress(FileNotFoundError), path_of(run_dir, node).open("rb+") as file:
        # SIGKILL may have cut the node's last line short; ours starts on a line of its own.
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.seek(0, os.SEEK_END)
        file.write(line)


def ended(code: int) -> str:
    """Return a return code in words: `exit 3` or `SIGKILL`."""
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def tail(log: Path) -> str:
    """Return the last lines of a log, or a note that nothing was written."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(lines[-LOG_TAIL_LINES:]) or "(nothing was written)"
