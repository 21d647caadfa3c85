"""The agent: starts, watches, stops and kills the node processes of one host.

It carries out the controller's requests, one JSON line each (`channel`):

- `start` {node, config}: spawn the node; answered with its `ready` event, or refused with the end of its log;
- `send` {node, messages, wake}: hand messages to the node in order; answered with the answer to the last one. `wake` first
  continues a frozen process, which then finds the messages waiting;
- `kill` {node, cause}: SIGKILL; `freeze` {node}: the node stops itself while it holds its store lock, or is stopped after a
  second;
- `answer` {node, line}: answer a request of a node; `stop`: end every node.

Events of nodes are passed on as `{"event": ..., "from": node, ...}`; `spawned` {pid} and `exit` {boot, code, cause} are the
agent's own. When the controller is gone, all nodes are killed. The agent writes the last journal line of a node that died
without writing it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mocknode.mock.cluster.channel import Channel, ChannelClosedError, Message, UnreachableNodeError
from mocknode.mock.cluster.dead_node import ended, record_state, tail
from mocknode.mock.node.refusals import RefusedError
from mocknode.system.processes import Process, fork, spawn

START_LIMIT_S: Final = 30.0
"""A node is ready within a second; a cold disk or a loaded CI machine needs longer."""
COMMAND_LIMIT_S: Final = 5.0
"""A node answers within a millisecond, or within tens of them while it hashes an upload."""
FREEZE_LIMIT_S: Final = 1.0
"""How long a node may wait for its store lock before it is stopped without it."""
STOP_GRACE_S: Final = 2.0
"""How long a node may take to close its listeners and connections when the cluster ends."""
_STOPPED_POLL_S: Final = 0.002
_WAKE_POLL_S: Final = 0.02
_FORKS: Final = hasattr(os, "pidfd_open") and sys.platform == "linux"
_NODE: Final = "mocknode.mock.node.__main__"
"""Module of a node's process; run as a program, or called by the server that forks nodes."""


@dataclass(slots=True)
class _Node:
    """One node process and the channel to it."""

    name: str
    boot: int
    process: Process
    channel: Channel
    run_dir: Path
    ready: asyncio.Future[Message]
    announced: Message = field(default_factory=dict)
    """The last state that the node announced."""
    death: str | None = None
    """Why we killed it; None if we did not."""
    error: str | None = None
    """The error with which it gave up at its start."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it has ended and the controller was informed."""

    @property
    def stopped(self) -> bool:
        """True while the process is stopped by a signal."""
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(errors="replace")
            return stat.rpartition(")")[2].split()[0] == "T"
        return False


async def _start_process(name: str, log: Path, fd: int) -> Process:
    """Start a node's process that serves `fd`; its imports take longer than all else, so on Linux nodes share them."""
    if _FORKS:
        return await fork(_NODE, name=name, log=log, fd=fd)
    return spawn([sys.executable, "-m", _NODE, "--control-fd", str(fd)], name=name, log=log, pass_fds=[fd])


class Agent:
    """Runs the nodes of one host until the controller is gone."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._controller: Channel | None = None

    async def run(self, sock: socket.socket) -> None:
        """Serve a controller over a connected socket until it closes; then no node is left."""
        self._controller = await Channel.connect(sock, lambda _, message: self._later(self._serve(message)))
        try:
            await self._controller.closed()
        finally:
            for node in self._nodes.values():
                node.process.kill()
            await asyncio.gather(*(node.process.end(0) for node in list(self._nodes.values())))
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._controller.close()

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send_to_controller(self, message: Message) -> None:
        if self._controller is not None:
            self._controller.send(message)

    async def _serve(self, message: Message) -> None:
        verbs: dict[str, Callable[[Message], Awaitable[Any]]] = {
            "start": self._start,
            "send": self._send,
            "kill": self._kill,
            "freeze": self._freeze,
            "answer": self._answer,
            "stop": self._stop,
        }
        try:
            answer: Message = {"ok": True, "result": await verbs[message["do"]](message)}
        except RefusedError as exc:
            answer = {"ok": False, "error": exc.document() | {"unreachable": isinstance(exc, UnreachableNodeError)}}
        except OSError as exc:
            answer = {"ok": False, "error": {"detail": _unreachable(message, exc), "unreachable": True}}
        self._send_to_controller({"id": message["id"], **answer})

    async def _start(self, message: Message) -> Message:
        config = message["config"]
        run_dir = Path(config["run_dir"])
        log = run_dir / "log" / f"{config['name']}.log"
        log.parent.mkdir(exist_ok=True)
        ours, theirs = socket.socketpair()
        with theirs:
            process = await _start_process(config["name"], log, theirs.fileno())
        self._send_to_controller({"event": "spawned", "from": config["name"], "pid": process.pid})
        ready: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        channel = await Channel.connect(ours, lambda _, line: self._on_message(node, line))
        node = self._nodes[config["name"]] = _Node(
            name=config["name"],
            boot=config["boot"],
            process=process,
            channel=channel,
            run_dir=run_dir,
            ready=ready,
        )
        channel.send({"config": config})
        self._later(self._watch(node))
        try:
            return {"pid": process.pid, **await asyncio.wait_for(asyncio.shield(ready), START_LIMIT_S)}
        except (ChannelClosedError, TimeoutError) as exc:
            node.death = "start"
            code = await process.end(0)
            if node.error is not None:
                raise RefusedError(f"{node.name} did not start: {node.error}") from exc
            late = f"was not ready within {START_LIMIT_S:g} s"
            what = late if isinstance(exc, TimeoutError) else f"ended with {ended(code)} before it was ready"
            raise RefusedError(f"{node.name} {what}; {log} ends with:\n{tail(log)}") from exc

    def _on_message(self, node: _Node, line: Message) -> None:
        event = line.get("event")
        if event == "ready" and not node.ready.done():
            node.ready.set_result({key: line[key] for key in ("http_port", "https_port", "tentacle_port")})
            return
        if event == "error":
            node.error = line["detail"]
            return
        if event == "state":
            node.announced = line
        self._send_to_controller({**line, "from": node.name})

    async def _watch(self, node: _Node) -> None:
        code = await node.process.wait()
        # Lines that it wrote before it died are still in the socket.
        await node.channel.closed()
        await node.channel.close()
        if not node.ready.done():
            node.ready.set_exception(ChannelClosedError("ended before it was ready"))
            node.ready.exception()
        del self._nodes[node.name]
        by_trigger = node.announced.get("how") == "crash"
        cause = node.death or ("trigger" if by_trigger else f"died: {ended(code)}")
        if node.death is None and not by_trigger:
            self._record(node, "crash", cause, time.monotonic_ns())
        self._send_to_controller({"event": "exit", "from": node.name, "boot": node.boot, "code": code, "cause": cause})
        node.gone.set()

    def _running(self, message: Message) -> _Node:
        node = self._nodes.get(message["node"])
        if node is None:
            # The controller receives the exit event before this answer.
            raise UnreachableNodeError(f"{message['node']} is not running")
        return node

    async def _send(self, message: Message) -> Any:
        node = self._running(message)
        if node.stopped and not message["wake"]:
            raise RefusedError(f"{node.name} is frozen and takes no commands")
        asked = [asyncio.create_task(node.channel.request(line, COMMAND_LIMIT_S)) for line in message["messages"]]
        # The lines are in the socket before the process runs again.
        await asyncio.sleep(0)
        waking = asyncio.create_task(self._keep_awake(node)) if message["wake"] else None
        try:
            answers = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            if waking is not None:
                waking.cancel()
        # Only the last answer counts: earlier lines were queued for a frozen process, and may be out of date.
        if isinstance(answers[-1], ChannelClosedError):
            await node.gone.wait()  # the controller knows that the node is dead before it gets this answer
        if isinstance(answers[-1], BaseException):
            raise answers[-1]
        return answers[-1]

    async def _keep_awake(self, node: _Node) -> None:
        # A node that was stopped while it waited for its store lock stops itself once more when it gets the lock.
        while True:
            if node.stopped:
                node.process.signal(signal.SIGCONT)
            await asyncio.sleep(_WAKE_POLL_S)

    async def _kill(self, message: Message) -> None:
        node = self._running(message)
        node.death = message["cause"]
        killed_ns = time.monotonic_ns()
        await node.process.end(0)
        self._record(node, "crash", message["cause"], killed_ns)

    async def _freeze(self, message: Message) -> None:
        node = self._running(message)
        line = {"do": "state", "state": "offline", "how": "freeze", "after": None}
        asked = asyncio.create_task(node.channel.request(line, FREEZE_LIMIT_S))
        deadline = time.monotonic() + FREEZE_LIMIT_S
        while not node.stopped and time.monotonic() < deadline:
            if asked.done() and isinstance(asked.exception(), RefusedError):
                await asked
            await asyncio.sleep(_STOPPED_POLL_S)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        if not node.stopped:
            node.process.signal(signal.SIGSTOP)
            if node.announced.get("how") != "freeze":
                self._record(node, "freeze", "command", time.monotonic_ns())
            # On a busy machine the signal waits until the process gets a core.
            await self._stops(node)

    async def _stops(self, node: _Node) -> None:
        for _ in range(round(FREEZE_LIMIT_S / _STOPPED_POLL_S)):
            if node.stopped:
                return
            await asyncio.sleep(_STOPPED_POLL_S)

    def _record(self, node: _Node, how: str, cause: str, t_ns: int) -> None:
        record_state(node.run_dir, node.name, node.boot, t_ns, state="offline", how=how, cause=cause)

    async def _answer(self, message: Message) -> None:
        self._running(message).channel.send(message["line"])

    async def _stop(self, message: Message) -> None:
        await asyncio.gather(*(self._stop_one(node) for node in list(self._nodes.values())))

    async def _stop_one(self, node: _Node) -> None:
        node.death = "stop"
        if not node.stopped:
            node.channel.send({"id": 0, "do": "stop"})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(node.process.wait(), STOP_GRACE_S)
        await node.process.end(0)


def _unreachable(message: Message, exc: OSError) -> str:
    """Say why a node could not be reached; a `TimeoutError` and a closed channel are `OSError`s too."""
    node = message.get("node")
    if isinstance(exc, ChannelClosedError):
        return f"{node} died during the command {message['do']}"
    if isinstance(exc, TimeoutError):
        return f"{node} did not answer the command {message['do']} in time"
    return f"{node}: {message['do']}: {exc}"
