"""Settings of the process and the platform that a node makes at its start."""

import contextlib
import ctypes
import signal
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
_PR_SET_PDEATHSIG: Final = 1


def keep_read_buffers() -> bool:
    """Keep glibc from mapping, clearing and unmapping memory for every read; four times the rate of an upload.

    The event loop allocates 256 KiB for each read, above the threshold at which malloc maps memory. False on a libc without
    `mallopt` (musl, macOS, Windows).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform != "win32" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 8 * 1024 * 1024)) and bool(mallopt(_M_TRIM_THRESHOLD, 256 * 1024 * 1024))


def raise_descriptors() -> None:
    """Raise the soft limit of open files to the hard one, as .NET does at its start: every Tentacle holds a connection."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses what its kernel does not have.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
