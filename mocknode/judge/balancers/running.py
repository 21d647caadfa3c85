"""Starts a balancer in a directory of its own, waits until it listens, reloads and stops it.

Several of one kind run side by side: everything they write lies in their directory, and nothing of them outlives us
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
"""Longest wait for the front ports: Envoy holds its listeners back until the first probe of every node is answered or has
timed out, and the largest program (185 MB) loads slowly from a cold disk shared with other jobs."""

RELOAD_TRY_S = 2.5
"""Longest wait for a word about a reload in the log. A signal that comes while a program still starts is lost (HAProxy, in
the milliseconds after it listens), so it is sent again; a second reload harms nobody. Traefik says nothing about a reload and
is watched this long for a complaint: it applies a changed file within its throttle of 2 s."""

RELOAD_TRIES = 8
"""Together 20 s: a successor of Envoy starts as slowly as the first."""

STOP_GRACE_S = 3.0
"""How long a balancer may finish what it has before it is killed: at the end of a run nobody waits for an answer any more."""

_POLL_S = 0.02
"""How often a port or a log is looked at: a fraction of the fastest start (HAProxy, 60 ms)."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Running:
    """A balancer that listens; made by `start` only.

    Attributes:
        mode: What its configuration is called; `custom` for a user's own.
        url, https_url: The front door.
        config_files: What it was started with.
        log: Its standard output and error.
        command: The command line, to be typed in `directory`.
        health_probes_expected: Whether its configuration probes the nodes; the caller sees them arrive there.
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
        """Process id of the leader; after a reload that starts a successor, the successor's."""
        return self._processes[-1].pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._processes[-1].returncode

    async def reload(self) -> None:
        """Make it take its configuration anew, as its operator would, and wait until it says that it did.

        Raises:
            BalancerReloadError: it refused, ended or said nothing in time; with the tail of its log.
        """
        adapter = adapter_of(self.kind)
        seen = self.log.stat().st_size
        if adapter.before_reload is not None:
            adapter.before_reload(self.directory)
        if adapter.successor:
            self._processes.append(_spawn(adapter, self._binary, self.directory, self.log, len(self._processes)))
        process = self._processes[-1]

        async def answered() -> bool:
            said = _said(self.log, seen)
            if process.returncode is not None or re.search(adapter.refused, said):
                raise BalancerReloadError(f"{adapter.title} did not take its configuration anew:\n{self.log_tail()}")
            return adapter.reloaded is not None and re.search(adapter.reloaded, said) is not None

        for _ in range(RELOAD_TRIES):
            if adapter.reload_signal is not None:
                process.signal(adapter.reload_signal)
            if await _within(RELOAD_TRY_S, answered) or adapter.reloaded is None:
                return
        raise BalancerReloadError(
            f"{adapter.title} said nothing about the reload for {RELOAD_TRIES * RELOAD_TRY_S:.0f} s:\n{self.log_tail()}"
        )

    async def stop(self) -> None:
        """End it, workers and predecessors included, and remove what it left outside its directory."""
        await asyncio.gather(*(process.end(STOP_GRACE_S) for process in self._processes))
        after_stop = adapter_of(self.kind).after_stop
        if after_stop is not None:
            after_stop(self.directory)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
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

    Whether it has probed the nodes is seen at the nodes; this returns as soon as connections are accepted.

    Args:
        files: From `render`.
        directory: Its own; made when missing, readable by us alone.
        nodes, health_probes_expected, mode: Kept as facts of `Running`.

    Raises:
        BalancerStartError: a front port is taken, or the program ended or did not listen within `START_LIMIT_S`; with
            its command and the tail of its log.
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
    # What root starts may run its workers as another user (nginx's `user`), who go through it to where they keep request bodies.
    directory.mkdir(mode=0o711 if is_root() else 0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    if adapter.joined_certificate and front.certificate is not None and front.key is not None:
        joined = directory / JOINED_CERTIFICATE
        joined.touch(mode=0o600)
        joined.write_bytes(front.certificate.read_bytes() + front.key.read_bytes())


def _require_free(front: Front) -> None:
    # Some balancers share a port with whoever listens there already (SO_REUSEPORT), others retry for seconds; and a
    # connection to somebody else's listener would look like readiness.
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
    """Whether the condition came true in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not await holds():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _said(log: Path, since: int = 0) -> str:
    with log.open("rb") as file:
        file.seek(since)
        return file.read().decode(errors="replace")


def _tail(log: Path, lines: int) -> str:
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, maxlen=lines)).rstrip()
    except FileNotFoundError:
        return "(no log was written)"
