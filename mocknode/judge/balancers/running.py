"""Starts a balancer in its own directory, waits until it listens, reloads it and stops it.

Several balancers of one kind can run at the same time: each writes to its own directory only, and none outlives us
(`mocknode.system.processes`).
"""

import asyncio
import errno
import logging
import os
import re
import shlex
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mocknode.judge.balancers.adapter import (
    Adapter,
    BalancerReloadError,
    BalancerStartError,
    Binary,
    Front,
    Node,
    host_port,
)
from mocknode.judge.balancers.registry import adapter_of
from mocknode.judge.balancers.rendering import JOINED_CERTIFICATE, is_root
from mocknode.system.processes import Process, spawn

START_LIMIT_S = 20.0
"""Longest wait for the front ports: Envoy does not listen until the first probe of every node was answered or has timed out,
and the largest program (185 MB) loads slowly from a cold disk shared with other jobs."""

RELOAD_TRY_S = 2.5
"""Longest wait for a line about a reload in the log. HAProxy loses a signal in the first milliseconds after it listens, so the
signal is sent again; a second reload does no harm. Traefik logs no successful reload and is watched this long for an
error: it applies a changed file within its throttle of 2 s."""

RELOAD_TRIES = 8
"""Number of tries, 20 s together: the successor of an Envoy starts as slowly as the first process."""

STOP_GRACE_S = 3.0
"""Time for a balancer to finish its requests before it is killed; at the end of a run nobody waits for answers."""

_POLL_S = 0.02
"""Pause between two looks at a port or a log: a fraction of the fastest start (HAProxy, 60 ms)."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Running:
    """A balancer that listens; only `start` makes one.

    Attributes:
        mode: Name of its configuration; `custom` for a user's own.
        url, https_url: URLs of the front door.
        config_files: Files that it was started with.
        log: File with its standard output and error.
        command: Command line that starts it in `directory`.
        health_probes_expected: Whether its configuration probes the nodes.
    """

    kind: str
    version: str
    mode: str
    url: str
    https_url: str | None
    config_files: tuple[Path, ...]
    log: Path
    directory: Path
    command: str
    nodes: tuple[Node, ...]
    health_probes_expected: bool
    _binary: Binary = field(repr=False)
    _processes: list[Process] = field(repr=False)

    @property
    def pid(self) -> int:
        """Process id of the main process; after a reload that started a successor, the successor's."""
        return self._processes[-1].pid

    @property
    def returncode(self) -> int | None:
        """Exit code of the main process; None while it runs."""
        return self._processes[-1].returncode

    async def reload(self) -> None:
        """Make it reload its configuration, as its operator would, and wait until its log confirms it.

        Raises:
            BalancerReloadError: it refused, ended, or logged nothing in time; the message has the end of its log.
        """
        adapter = adapter_of(self.kind)
        seen = self.log.stat().st_size
        if adapter.before_reload is not None:
            adapter.before_reload(self.directory)
        if adapter.successor:
            self._processes.append(_spawn(adapter, self._binary, self.directory, self.log, len(self._processes)))
        process = self._processes[-1]

        async def answered() -> bool:
            logged = _logged(self.log, seen)
            if process.returncode is not None or re.search(adapter.refused, logged):
                raise BalancerReloadError(f"{adapter.title} did not reload its configuration:\n{self.log_tail()}")
            return adapter.reloaded is not None and re.search(adapter.reloaded, logged) is not None

        for _ in range(RELOAD_TRIES):
            if adapter.reload_signal is not None:
                process.signal(adapter.reload_signal)
            if await _within(RELOAD_TRY_S, answered) or adapter.reloaded is None:
                return
        raise BalancerReloadError(
            f"{adapter.title} logged nothing about the reload for {RELOAD_TRIES * RELOAD_TRY_S:.0f} s:\n{self.log_tail()}"
        )

    async def stop(self) -> None:
        """Stop it with its workers and predecessors, and remove what it left outside its directory."""
        await asyncio.gather(*(process.end(STOP_GRACE_S) for process in self._processes))
        after_stop = adapter_of(self.kind).after_stop
        if after_stop is not None:
            after_stop(self.directory)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        return _tail(self.log, lines)


async def start(
    binary: Binary,
    files: Mapping[str, str],
    front: Front,
    directory: Path,
    *,
    nodes: Sequence[Node],
    health_probes_expected: bool,
    mode: str = "custom",
) -> Running:
    """Write the files, start the program and wait until it listens on the front ports.

    This returns as soon as connections are accepted; only the nodes know whether they were probed yet.

    Args:
        files: Result of `render`.
        directory: Directory of this balancer alone; it is made if missing, and only we can read it.
        nodes, health_probes_expected, mode: Facts to keep in `Running`.

    Raises:
        BalancerStartError: a front port is taken, or the program ended or did not listen within `START_LIMIT_S`; the message
            has its command and the end of its log.
    """
    adapter = adapter_of(binary.kind)
    _require_free(front)
    _write(adapter, files, front, directory)
    log = directory / f"{adapter.kind}.log"
    process = _spawn(adapter, binary, directory, log, 0)
    command = shlex.join([str(binary.path), *adapter.argv(directory, 0)])
    running = Running(
        kind=adapter.kind,
        version=binary.version,
        mode=mode,
        url=front.url,
        https_url=None if front.https_port is None else f"https://{host_port(front.host, front.https_port)}",
        config_files=tuple(directory / name for name in files),
        log=log,
        directory=directory,
        command=command,
        nodes=tuple(nodes),
        health_probes_expected=health_probes_expected,
        _binary=binary,
        _processes=[process],
    )
    _log.info("%s %s: program %s, configuration %s, log %s", adapter.title, binary.version, binary.path, directory, log)
    try:
        await _ready(adapter, running, front)
    except BaseException:
        await running.stop()
        raise
    return running


async def _ready(adapter: Adapter, running: Running, front: Front) -> None:
    deaf = front.ports

    async def listens() -> bool:
        nonlocal deaf
        if running.returncode is not None:
            raise BalancerStartError(
                f"{adapter.title} ended with code {running.returncode}. Command, in {running.directory}:\n"
                f"{running.command}\nThe end of its log, {running.log}:\n{running.log_tail()}"
            )
        deaf = [port for port in deaf if not await _accepts(front.host, port)]
        return not deaf

    if not await _within(START_LIMIT_S, listens):
        raise BalancerStartError(
            f"{adapter.title} does not listen on {' and '.join(host_port(front.host, p) for p in deaf)} after "
            f"{START_LIMIT_S:.0f} s. Command, in {running.directory}:\n{running.command}\n"
            f"The end of its log, {running.log}:\n{running.log_tail()}"
        )


def _spawn(adapter: Adapter, binary: Binary, directory: Path, log: Path, number: int) -> Process:
    return spawn(
        [binary.path, *adapter.argv(directory, number)],
        name=adapter.title,
        log=log,
        env={**os.environ, **adapter.environment(directory)},
        cwd=directory,
    )


def _write(adapter: Adapter, files: Mapping[str, str], front: Front, directory: Path) -> None:
    # A program that root starts may run its workers as another user (nginx's `user`), who has to reach the request bodies there.
    directory.mkdir(mode=0o711 if is_root() else 0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    if adapter.joined_certificate and front.certificate is not None and front.key is not None:
        joined = directory / JOINED_CERTIFICATE
        joined.touch(mode=0o600)
        joined.write_bytes(front.certificate.read_bytes() + front.key.read_bytes())


def _require_free(front: Front) -> None:
    # Some balancers share a port with a process that listens there already (SO_REUSEPORT), others retry for seconds. A
    # connection to that other process would look as if the balancer were ready.
    for port in front.ports:
        family = socket.AF_INET6 if ":" in front.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((front.host, port))
            except OSError as exc:
                why = "something else listens there" if exc.errno == errno.EADDRINUSE else exc.strerror
                raise BalancerStartError(f"the balancer cannot listen on {host_port(front.host, port)}: {why}") from exc


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host or "127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _within(limit_s: float, holds: Callable[[], Awaitable[bool]]) -> bool:
    """Return whether the condition came true in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not await holds():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _logged(log: Path, since: int = 0) -> str:
    with log.open("rb") as file:
        file.seek(since)
        return file.read().decode(errors="replace")


def _tail(log: Path, lines: int) -> str:
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, maxlen=lines)).rstrip()
    except FileNotFoundError:
        return "(no log was written)"
