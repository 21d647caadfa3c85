"""Children never outlive us; whole groups die, stopped members included."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mocknode.system.processes import spawn

FORKS_A_WORKER = "sleep 300 & echo $! > worker.tmp && mv worker.tmp worker; wait"


def running(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(condition, limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  # processes of others offer nothing to wait on
            await asyncio.sleep(0.005)


async def worker_of(tmp_path: Path) -> int:
    await until((tmp_path / "worker").exists)
    return int((tmp_path / "worker").read_text())


def test_end_takes_the_whole_group(tmp_path: Path) -> None:
    async def run() -> None:
        process = spawn(["sh", "-c", FORKS_A_WORKER], name="master", cwd=tmp_path)
        worker = await worker_of(tmp_path)
        assert await process.end(1.0) == -signal.SIGTERM
        assert not running(process.pid)
        assert not running(worker)

    asyncio.run(run())


def test_workers_die_with_their_master(tmp_path: Path) -> None:
    async def run() -> None:
        process = spawn(["sh", "-c", FORKS_A_WORKER], name="master", cwd=tmp_path)
        worker = await worker_of(tmp_path)
        process.signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        await until(lambda: not running(worker))

    asyncio.run(run())


def test_a_stopped_and_stubborn_group_is_killed(tmp_path: Path) -> None:
    async def run() -> None:
        process = spawn(["sh", "-c", "trap '' TERM; " + FORKS_A_WORKER], name="stubborn", cwd=tmp_path)
        worker = await worker_of(tmp_path)
        os.kill(worker, signal.SIGSTOP)
        process.signal(signal.SIGSTOP)
        assert await process.end(0.1) == -signal.SIGKILL
        assert not running(worker)

    asyncio.run(run())


def test_log_environment_and_directory(tmp_path: Path) -> None:
    async def run() -> None:
        log = tmp_path / "log"
        process = spawn(
            ["sh", "-c", 'echo "$WORD"; pwd >&2; exit 7'], name="x", log=log, env={"WORD": "out"}, cwd=tmp_path
        )
        assert await process.wait() == 7
        assert process.returncode == 7
        assert log.read_text().split() == ["out", str(tmp_path)]
        process.signal(signal.SIGTERM)
        assert await process.end() == 7

    asyncio.run(run())


def test_a_program_that_does_not_exist() -> None:
    async def run() -> None:
        for _ in range(2):
            with pytest.raises(FileNotFoundError, match="no-such-program"):
                spawn(["/no-such-program"], name="x")
        assert await spawn(["true"], name="y").wait() == 0

    asyncio.run(run())


PARENT = """
import asyncio, signal, sys, pathlib
from mocknode.system.processes import spawn

async def main():
    spawn(["sh", "-c", sys.argv[1]], name="master", cwd=pathlib.Path.cwd())
    await asyncio.Event().wait()

# Where the tests were started in the background by a shell, SIGINT is ignored by all that comes of them.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_us(tmp_path: Path, ending: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "echo $$ > master; " + FORKS_A_WORKER], cwd=tmp_path, stderr=subprocess.DEVNULL
    )

    async def run() -> None:
        worker = await worker_of(tmp_path)
        master = int((tmp_path / "master").read_text())
        assert os.getpgid(worker) == master
        os.kill(worker, signal.SIGSTOP)
        parent.send_signal(ending)
        await until(lambda: not running(worker) and not running(master))

    try:
        asyncio.run(run())
    finally:
        parent.kill()
        parent.wait()
