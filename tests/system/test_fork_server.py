"""Children of one import: their codes, their groups, and their end with whoever started them."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mocknode.system import processes
from mocknode.system.fork_server import GONE
from mocknode.system.processes import Process, fork, fork_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="death signals and pidfds are Linux's")

PROGRAM = """
import os, sys
IMPORTED_BY = os.getpid()

def serve(name, fd):
    word = os.read(fd, 100).decode()
    print(name, word, IMPORTED_BY, flush=True)
    if word == "raise":
        raise ValueError("as asked")
    return int(word or 0)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of an importable module whose children end with the code that they are sent."""
    name = f"forked_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(processes.__file__).parents[2]}")
    yield name
    server = processes._fork_servers.pop(name, None)
    if server is not None:
        server.close()


async def started(module: str, log: Path, name: str = "one") -> tuple[Process, socket.socket]:
    ours, theirs = socket.socketpair()
    try:
        return await fork(module, name=name, log=log, fd=theirs.fileno()), ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_children_share_one_import_and_give_their_codes(module: str, tmp_path: Path) -> None:
    async def run() -> None:
        log = tmp_path / "log"
        children = await asyncio.gather(*(started(module, log, f"child-{i}") for i in range(3)))
        for code, (child, ours) in enumerate(children):
            assert os.getpgid(child.pid) == child.pid
            ours.sendall(str(code).encode())
            assert await child.wait() == code
            ours.close()
        assert len({line.split()[2] for line in log.read_text().splitlines()}) == 1

    asyncio.run(run())


def test_an_exception_is_in_the_log_and_the_code_is_1(module: str, tmp_path: Path) -> None:
    async def run() -> None:
        child, ours = await started(module, tmp_path / "log")
        ours.sendall(b"raise")
        assert await child.wait() == 1
        ours.close()
        assert "ValueError: as asked" in (tmp_path / "log").read_text()

    asyncio.run(run())


def test_a_stopped_child_is_killed(module: str, tmp_path: Path) -> None:
    async def run() -> None:
        child, ours = await started(module, tmp_path / "log")
        child.signal(signal.SIGSTOP)
        assert await child.end(0) == -signal.SIGKILL
        ours.close()

    asyncio.run(run())


def test_when_the_server_is_killed_its_children_end_and_the_next_fork_works(module: str, tmp_path: Path) -> None:
    async def run() -> None:
        child, ours = await started(module, tmp_path / "log")
        os.kill(parent_of(child.pid), signal.SIGKILL)
        assert await child.wait() == GONE
        ours.close()
        again, ours = await started(module, tmp_path / "log")
        ours.sendall(b"7")
        assert await again.wait() == 7
        ours.close()

    asyncio.run(run())


def test_a_stopped_server_does_not_hold_up_our_end(module: str, tmp_path: Path) -> None:
    async def run() -> None:
        child, ours = await started(module, tmp_path / "log")
        server = fork_server(module)
        os.kill(server.pid, signal.SIGSTOP)
        await asyncio.wait_for(asyncio.to_thread(server.close), 10.0)
        assert await child.wait() == GONE
        ours.close()

    asyncio.run(run())


def test_children_end_with_whoever_started_them(module: str, tmp_path: Path) -> None:
    """The starter is killed while a child is stopped: neither the child nor its server is left."""
    script = f"""
import asyncio, os, signal, socket, sys
from pathlib import Path
from mocknode.system.processes import fork

async def run():
    ours, theirs = socket.socketpair()
    child = await fork({module!r}, name="orphan", log=Path({str(tmp_path / "log")!r}), fd=theirs.fileno())
    child.signal(signal.SIGSTOP)
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(run())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        handles = [os.pidfd_open(pid), os.pidfd_open(parent_of(pid))]
        starter.kill()
    for handle in handles:
        poll = select.select([handle], [], [], 10.0)
        assert poll[0], "a process outlived its starter"
        os.close(handle)


def test_a_module_that_cannot_be_imported_is_an_error_that_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(processes.ForkServerError, match="ended"):
            await started("no_such_module_here", tmp_path / "log")

    asyncio.run(run())


def test_one_server_serves_everybody_in_a_process(module: str) -> None:
    assert fork_server(module) is fork_server(module)
