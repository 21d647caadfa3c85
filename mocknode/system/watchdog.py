"""Kills process groups when the process that started it is gone; run as a script by `processes`, imported by nobody.

Reads lines: `?ID` a process group that its leader announces before it runs its program; `+ID` it runs; `!` it could not
be run; `-ID` it has ended. When the pipe reaches its end, every group that is left gets SIGKILL, which stopped processes die
of, too. Imports nothing that is slow to import, and has a session of its own, so that signals from a terminal do not
reach it.
"""

import os
import signal
import sys


def main() -> None:
    """Read until the end, then kill."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    announced: set[int] = set()
    for line in sys.stdin.buffer:
        match line[:1]:
            case b"?":
                announced.add(int(line[1:]))
            case b"!":
                announced.clear()
            case b"+":
                announced.clear()
                groups.add(int(line[1:]))
            case b"-":
                groups.discard(int(line[1:]))
    for group in groups | announced:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # one that is gone must not save the others
            continue


if __name__ == "__main__":
    main()
