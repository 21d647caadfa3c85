"""Samples of the generator's own health, so that its limits are not mistaken for the balancer's.

For the time since the last sample, a sample has `cpu` (share of one core), `waited` (share of the time in which this process was
ready to run and had no core) and `late` (seconds by which the latest wake-up was late). For the whole run it has `connects` (TCP
connections that anything in this process opened, as Python's audit hook sees them), `sent` (requests that we meant to send), `errors`
(tasks that raised, which is a mistake in a locustfile), `missed` (pushes that were due while no user was free), `rss` (highest
resident memory in bytes), `fds` and `fd_limit`.
"""

import os
import resource
import sys
import time
import weakref
from typing import Any, Final

import gevent

from mocknode.load.users.records import Records

TICK_S: Final = 0.05
SAMPLE_S: Final = 1.0
_SOCKET_CONNECT: Final = "socket.connect"


class Audit:
    """Samples the health of this process.

    Attributes:
        port: Port of the balancer; connections to it are counted.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.port = 0
        self._connects = 0
        self.sent = 0
        self.errors = 0
        self.missed = 0
        self._connecting: weakref.WeakSet[Any] = weakref.WeakSet()
        sys.addaudithook(self._seen)

    def _seen(self, event: str, args: tuple[Any, ...]) -> None:
        # Below every HTTP client, so that a client which silently repeats requests is noticed.
        if event == _SOCKET_CONNECT and isinstance(args[1], tuple) and args[1][1] == self.port:
            # gevent calls connect a second time to see whether the first call succeeded, so count sockets, not calls.
            self._connects += args[0] not in self._connecting
            self._connecting.add(args[0])

    def run(self) -> None:
        """Write samples forever."""
        cpu, waited, wall, late = time.process_time(), _waited_s(), time.monotonic(), 0.0
        while True:
            before = time.monotonic()
            gevent.sleep(TICK_S)
            now = time.monotonic()
            late = max(late, now - before - TICK_S)
            if now - wall >= SAMPLE_S:
                used, queued = time.process_time(), _waited_s()
                self.sample(cpu=(used - cpu) / (now - wall), waited=(queued - waited) / (now - wall), late=late)
                cpu, waited, wall, late = used, queued, now, 0.0

    def sample(self, **facts: float) -> None:
        """Write one sample now."""
        self._records.add(
            "audit", at=time.monotonic_ns(), pid=os.getpid(), connects=self._connects, sent=self.sent, errors=self.errors, missed=self.missed,
            rss=_most_memory(), fds=_open_files(), fd_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0], **facts,
        )  # fmt: skip


def _open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a hundred times a run; names are not needed
    except OSError:
        return None


def _most_memory() -> int:
    # Linux counts KiB, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _waited_s() -> float:
    """Return the seconds that this process was ready and had no core; 0 where the kernel does not report it."""
    try:
        with open("/proc/self/schedstat") as file:  # noqa: PTH123  # once a second, in the process that is measured
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
