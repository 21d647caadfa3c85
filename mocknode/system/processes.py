"""Child processes that never outlive this process, however it ends.

Every child leads a process group of its own. The child dies with the thread that spawned it (Linux: PR_SET_PDEATHSIG), so spawn
from the main thread. Its whole group, stopped members and descendants included, is killed

- when the leader exits, so that workers never outlive their master;
- when `Process.end` or `Process.kill` is called;
- when this process ends in any way, SIGKILL included: one watchdog process holds the read end of a pipe, knows every
  group, and kills them all when the pipe reaches its end.

POSIX only. Death signals exist only on Linux; elsewhere the watchdog does the work alone.
"""

import asyncio
import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from mocknode.system.fork_server import ForkedChild, ForkServerClient, ForkServerError
from mocknode.system.this_process import die_with_parent

_GONE_POLL_S: Final = 0.005
"""Pause between two looks at a killed group; the kernel needs well under a millisecond for each process."""
_GONE_LIMIT_S: Final = 5.0
"""A process in uninterruptible sleep does not die; after this long it is reported as an error."""

_WATCHDOG: Final = Path(__file__).with_name("watchdog.py")


class _Watchdog:
    """The process that kills our groups when we are gone; started with the first child, one for this process."""

    def __init__(self) -> None:
        self._pipe: int | None = None

    def pipe(self) -> int:
        """Return the pipe on which a child announces its group before it runs its program."""
        if self._pipe is None:
            self._pipe = self._start()
        return self._pipe

    def say(self, line: str) -> None:
        """Send a line in the format that `watchdog` describes."""
        # A line is shorter than PIPE_BUF, so it is written whole. Without a reader, somebody killed the watchdog; the
        # death signal still works then.
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, f"{line}\n".encode())

    def _start(self) -> int:
        # -I -S: read nothing from the user's environment or site-packages, which also starts ten times as fast.
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCHDOG)],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        os.close(reading)
        atexit.register(self._stop, process)
        return writing

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        process.wait()


_watchdog: Final = _Watchdog()


class _Child(Protocol):
    @property
    def pid(self) -> int: ...

    def wait(self) -> int: ...


class Process:
    """A child and its process group; only `spawn` and `fork` make one.

    Attributes:
        name: Its name in errors and logs.
        pid: Process id, which is also the id of its group.
        returncode: None while it runs; afterwards as in `subprocess`, negative for a signal.
    """

    def __init__(self, name: str, child: _Child) -> None:
        self.name = name
        self.pid = child.pid
        self.returncode: int | None = None
        self._child = child
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watch()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if not hasattr(os, "pidfd_open"):
            loop.run_in_executor(None, self._child.wait).add_done_callback(lambda _: self._reap())
            return
        handle = os.pidfd_open(self.pid)

        def exited() -> None:
            loop.remove_reader(handle)
            os.close(handle)
            self._reap()

        loop.add_reader(handle, exited)

    def _reap(self) -> None:
        # Until the leader is reaped, no other process can get its group's id.
        _kill_group(self.pid)
        self.returncode = self._child.wait()
        _watchdog.say(f"-{self.pid}")
        if not self._exited.done():
            self._exited.set_result(self.returncode)

    async def wait(self) -> int:
        """Wait until the leader has exited and return its return code."""
        return await asyncio.shield(self._exited)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the leader alone; do nothing when it has exited."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL to the whole group, stopped members included."""
        if self.returncode is None:
            _kill_group(self.pid)

    async def end(self, grace_s: float = 5.0) -> int:
        """Send SIGTERM, wait `grace_s`, then kill the group; return when no member is left. 0 kills immediately.

        Raises:
            RuntimeError: a member did not die of SIGKILL; the message has the ids of the members that are left.
        """
        if grace_s > 0:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace_s)
        self.kill()
        code = await self.wait()
        deadline = asyncio.get_running_loop().time() + _GONE_LIMIT_S
        while left := _members(self.pid):
            if asyncio.get_running_loop().time() > deadline:
                raise RuntimeError(f"{self.name}: processes {left} did not die of SIGKILL")
            await asyncio.sleep(_GONE_POLL_S)
        return code


def spawn(
    argv: Sequence[str | Path],
    *,
    name: str,
    log: Path | None = None,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Process:
    """Start a child in a group of its own; call this in the main thread, inside a running event loop.

    Args:
        argv: Program and arguments, without a shell.
        name: Its name in errors.
        log: File that standard output and error are appended to; None discards them.
        pass_fds: Descriptors that the child inherits under the same numbers.
        env: Whole environment; None inherits ours.
        cwd: Working directory; None inherits ours.

    Raises:
        OSError: the program or the log cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        prepare = _die_with(os.getpid(), _watchdog.pipe())
        try:
            popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(pass_fds),
                env=env,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=prepare,
            )
        except OSError:
            _watchdog.say("!")
            raise
    _watchdog.say(f"+{popen.pid}")
    return Process(name, popen)


_fork_servers: Final[dict[str, ForkServerClient]] = {}
"""One for each module, shared by everything in this process that forks children of it."""


async def fork(module: str, *, name: str, log: Path, fd: int) -> Process:
    """Start `module.serve(name, fd)` in a child that shares the module's imports with its siblings.

    The child has a group of its own and ends with us, as one of `spawn` does. Call this in the main thread. The first call
    waits until the module is imported. Linux only.

    Args:
        module: Dotted name; it must be importable without starting threads.
        log: File that standard output and error are appended to.
        fd: Descriptor that the child gets a copy of.

    Raises:
        ForkServerError: the server could not be started.
        OSError: the log cannot be opened.
    """
    server = fork_server(module)
    try:
        child = await _fork_once(server, name, log, fd)
    except ForkServerError:
        # Somebody killed the server; the next one is as good.
        _drop_fork_server(module, server)
        child = await _fork_once(fork_server(module), name, log, fd)
    _watchdog.say(f"+{child.pid}")
    return Process(name, child)


async def _fork_once(server: ForkServerClient, name: str, log: Path, fd: int) -> ForkedChild:
    await asyncio.to_thread(server.wait_ready)
    with log.open("ab") as out:
        return server.fork(name, output=out.fileno(), fd=fd)


def fork_server(module: str) -> ForkServerClient:
    """Return this process's server that forks children of a module; the first call starts it, and does not wait until it is ready."""
    if module not in _fork_servers:
        _fork_servers[module] = _start_fork_server(module)
    return _fork_servers[module]


def _drop_fork_server(module: str, server: ForkServerClient) -> None:
    # Another task may have replaced it already.
    if _fork_servers.get(module) is server:
        del _fork_servers[module]
        atexit.unregister(server.close)
        server.close()
        _watchdog.say(f"-{server.pid}")


def _start_fork_server(module: str) -> ForkServerClient:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    watchdog = _watchdog.pipe()
    with theirs:
        server = subprocess.Popen(
            ForkServerClient.arguments(module, theirs, watchdog),
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), watchdog),
            start_new_session=True,
            preexec_fn=_die_with(os.getpid(), watchdog),
        )
    _watchdog.say(f"+{server.pid}")
    client = ForkServerClient(ours, server)
    atexit.register(client.close)
    return client


def _die_with(parent: int, watchdog: int) -> Callable[[], None]:
    """Return what the child runs between fork and exec, so that it and its descendants die with their parent."""

    def prepare() -> None:
        # The child announces itself, so that it never runs without the watchdog knowing it.
        os.write(watchdog, b"?%d\n" % os.getpid())
        die_with_parent()
        # The parent may have died before; then no signal will come.
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _members(group: int) -> list[int]:
    """Return the ids of a group's running members; zombies, which their parents have to reap, do not count."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return []
    if sys.platform != "linux":
        return [group]
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # The process may end meanwhile. Its name, in parentheses, may contain anything, even parentheses.
            with contextlib.suppress(OSError):
                state, _, pgrp = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
                if int(pgrp) == group and state not in "ZX":
                    members.append(int(entry.name))
    return members
