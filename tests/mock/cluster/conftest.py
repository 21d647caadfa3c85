"""A cluster as people start it: `mocknode up` in a process of its own."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from mocknode.mock.cluster.client import ControlClient

T = TypeVar("T")


def running(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def accepts(url: str) -> bool:
    """True when somebody listens there."""
    parts = urlsplit(url)
    with socket.socket() as sock:
        sock.settimeout(2)
        return sock.connect_ex((parts.hostname, parts.port)) == 0


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    """Wait until something that cannot be waited on is so."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


class Up:
    """A running `mocknode up`.

    `document` is the line it printed; `process` the command's process.
    """

    def __init__(self, directory: Path, *flags: str, ready: bool = True) -> None:
        self.directory = directory
        command = [sys.executable, "-m", "mocknode", "up", "--json", "--with-parent", *flags]
        for flag, default in (("--control-port", "0"), ("--identity-dir", str(directory / "identity"))):
            if flag not in flags:
                command += [flag, default]
        if "--run-dir" not in flags:
            command += ["--run-dir", str(directory / "run")]
        if "--http-port" not in flags and "--node" not in flags:
            command += ["--http-port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.document: dict[str, Any] = {}
        if ready:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"not ready: {self.process.communicate()[1]}")
            self.document = json.loads(line)

    @property
    def control(self) -> str:
        return self.document["control"]

    @property
    def run_dir(self) -> Path:
        return Path(self.document["run_dir"])

    def http(self, name: str) -> str:
        return next(node["http"] for node in self.document["nodes"] if node["name"] == name)

    def talk(self, conversation: Callable[[ControlClient], Awaitable[T]], **options: Any) -> T:
        """Hold a conversation with the control API."""

        async def run() -> T:
            async with ControlClient(self.control, **options) as client:
                return await conversation(client)

        return asyncio.run(run())

    def pids(self) -> list[int]:
        """Every process below the command: the watchdog, the server that forks nodes, and the nodes."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    if stat[0] not in "ZX":
                        children.setdefault(int(stat[1]), []).append(int(entry.name))
        found: list[int] = []
        below = [self.process.pid]
        while below:
            below = [child for parent in below for child in children.get(parent, [])]
            found += below
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=15)
        finally:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Start clusters that end with the test."""
    started: list[Up] = []

    def start_one(*flags: str, directory: str = "a", ready: bool = True) -> Up:
        (tmp_path / directory).mkdir(exist_ok=True)
        up = Up(tmp_path / directory, *flags, ready=ready)
        started.append(up)
        return up

    yield start_one
    for up in started:
        up.end()


@pytest.fixture(scope="session")
def cluster_of() -> type[Up]:
    """A cluster with flags of its own; whoever starts it ends it."""
    return Up


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One cluster for all tests that only change its nodes; use `up`, which resets it."""
    up = Up(tmp_path_factory.mktemp("cluster"))
    yield up
    assert up.end() == 0


@pytest.fixture
def up(shared: Up) -> Up:
    """The shared cluster, all nodes online and without faults."""
    shared.talk(lambda client: client.reset())
    return shared


def process_state(pid: int) -> str:
    """The letter of /proc/PID/stat: `T` for stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Helpers:
    """What tests need to look at processes and ports."""

    running = staticmethod(running)
    accepts = staticmethod(accepts)
    until = staticmethod(until)
    process_state = staticmethod(process_state)


@pytest.fixture
def helpers() -> type[Helpers]:
    """Looking at processes and ports."""
    return Helpers
