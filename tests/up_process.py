"""`mocknode up` in a process of its own, for tests that need a cluster as its users have one."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENDING_S_MAX = 20


@contextlib.contextmanager
def up(directory: Path, *flags: str) -> Iterator[dict[str, Any]]:
    """What its one line of JSON said; on free ports, with its run and its identity below `directory`."""
    command = [
        sys.executable,
        "-m",
        "mocknode",
        "up",
        "--json",
        "--with-parent",
        "--http-port",
        "0",
        "--control-port",
        "0",
    ]
    command += ["--run-dir", str(directory / "run"), "--identity-dir", str(directory / "identity"), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=ENDING_S_MAX)
