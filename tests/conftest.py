"""How the tests share a machine: those that wait run side by side, those that keep a core busy do not."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
WORKERS_PER_CORE = 4
"""A `mocknode check` of a minute uses a quarter of a core; more of them at once only delay each other."""
WORKERS_MAX = 24
"""Each takes 150 MiB and five seconds to collect the tests."""
PLACES_PER_CORE = 2
"""Half of the time of an ordinary test is spent waiting for processes to start."""
POLL_S = 0.01

LONG = (
    "tests/guide/test_commands.py",
    "tests/judge/balancers/test_balancer_running.py",
    "tests/judge/controls/",
    "tests/load/test_load.py",
    "tests/pytest_plugin/",
    "tests/test_benchmarks.py",
)
"""Tests here run commands for up to two minutes, nearly always waiting, and share nothing that is costly to set up.

They are handed out one by one and before all others; they need no place.
"""

# The tests start more than a thousand Python processes. With this variable, which many containers set, each of them
# compiles all its modules again: that was half of the processor time of a run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How fast this machine is says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Answer `-n auto`."""
    return min(WORKERS_PER_CORE * CORES, WORKERS_MAX)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long tests first, and those first that declare the longest time-out."""

    def rank(item: pytest.Item) -> tuple[bool, float]:
        mark = item.get_closest_marker("timeout")
        return not item.nodeid.startswith(LONG), -float(mark.args[0]) if mark else 0.0

    items.sort(key=rank)


class LongestFirst(LoadScopeScheduling):
    """Hands out modules as a whole, so that their fixtures are set up once, and long tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(LONG) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst | None:
    """Replace the scheduler of `-n` unless `--dist` asks for another one."""
    if config.option.dist != "load":
        return None
    config.option.loadscopereorder = False
    return LongestFirst(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Wait for a place on a core; the time-out of the test begins afterwards."""
    burns = item.get_closest_marker("burns") is not None
    with contextlib.ExitStack() as places:
        if burns or not item.nodeid.startswith(LONG):
            first = take(range(0, CORES * PLACES_PER_CORE, PLACES_PER_CORE if burns else 1), places)
            for place in range(first + 1, first + PLACES_PER_CORE) if burns else ():
                take([place], places)
        return (yield)


def take(candidates: Iterable[int], until: contextlib.ExitStack) -> int:
    """Wait until one of these places is free, and keep it from the other workers of this run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None or sys.platform != "linux":
        return 0
    while True:
        for place in candidates:
            # An abstract name lies in no directory and ends with its process.
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0mocknode-tests-{run}-{place}")
            except OSError:
                claim.close()
                continue
            until.enter_context(claim)
            return place
        time.sleep(POLL_S)
