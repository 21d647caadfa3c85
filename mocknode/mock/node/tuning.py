"""Settings of the C library that a node makes at its start."""

import ctypes
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1


def keep_read_buffers() -> bool:
    """Keep glibc from mapping, clearing and unmapping memory for every read; four times the rate of an upload.

    The event loop allocates 256 KiB for each read, above the threshold at which malloc maps memory. False on a libc without
    `mallopt` (musl, macOS, Windows).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform != "win32" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 8 * 1024 * 1024)) and bool(mallopt(_M_TRIM_THRESHOLD, 256 * 1024 * 1024))
