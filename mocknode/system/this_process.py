"""Settings that a process makes for itself: when it dies, and how many files it may open."""

import contextlib
import ctypes
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Loaded when this module is imported, because `die_with_parent` also runs between fork and exec, where nothing may be loaded.
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends; does nothing elsewhere than on Linux.

    The parent may have ended before: then no signal comes, and the caller has to compare `os.getppid()`.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def raise_open_file_limit() -> None:
    """Raise the soft limit of open files to the hard one, as .NET does at its start; many systems start with 1024."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses what its kernel does not have.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
