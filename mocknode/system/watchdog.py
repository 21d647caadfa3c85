"""Kills process groups when the process that started it is gone; `processes` runs it as a script, and nothing imports it.

It reads lines: `?ID` announces a process group before its leader runs its program, `+ID` says that it runs, `!` that it could
not be run, and `-ID` that it has ended. When the pipe reaches its end, every remaining group gets SIGKILL, which also kills
stopped processes. It imports nothing that is slow, and has a session of its own, so that signals from a terminal do not reach it.
"""

import os
import signal
import sys


def main() -> None:
    """Read lines until the pipe ends, then kill the remaining groups."""
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
        except (ProcessLookupError, PermissionError):  # a group that is gone must not protect the others
            continue


if __name__ == "__main__":
    main()
