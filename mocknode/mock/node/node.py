"""A node: its condition, faults, triggers and counters, and what they mean for each request.

The pure parts decide (lifecycle, triggers, fault book); this holds their state and carries changes out: it moves listeners,
kills or stops the process, wakes what hangs, and tells journal and agent.
"""

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mocknode.mock.data.directory import Directory
from mocknode.mock.data.store import StoreError
from mocknode.mock.data.tasks import Tasks
from mocknode.mock.node.active_faults import TIMER_SLACK_S, Faulting
from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.faults.effects import BODY_END, Raw, Reply
from mocknode.mock.node.faults.spec import FaultSpec
from mocknode.mock.node.heartbeat import Heartbeat
from mocknode.mock.node.http.bulk import Batches
from mocknode.mock.node.http.held_connections import PeerWatch
from mocknode.mock.node.http.ping import ping_document
from mocknode.mock.node.http.quick_ping import QuickPings
from mocknode.mock.node.journal import Journal
from mocknode.mock.node.lifecycle import ONLINE, Condition, Form, State, step
from mocknode.mock.node.packages.cataloguing import Cataloguing
from mocknode.mock.node.rest.gate import Gate
from mocknode.mock.node.rest.spaces import Spaces
from mocknode.mock.node.rest.tokens import Tokens
from mocknode.mock.node.task_runner import LOST, TaskRunner
from mocknode.mock.node.triggers import Measure, Trigger
from mocknode.mock.node.web import networks

if TYPE_CHECKING:
    from mocknode.mock.node.http.effects_runner import Plan
    from mocknode.mock.node.http.exchange import Exchange
    from mocknode.mock.node.http.protocol import NodeProtocol
    from mocknode.mock.node.http.server import Server
    from mocknode.mock.node.tentacles import Tentacles

GARBAGE_BYTES: Final = 64
OVERDUE_S: Final = 0.25
"""A time that was missed by more was missed because the process stood still."""
HEARING_S: Final = 0.05
"""For reading what was written to the control channel while the process stood still; it is there already."""
FREEZE_DECISION_S: Final = 1.0
"""How long the loop may take to decide on a stop; then the agent stops the process from outside."""

AskDrain = Callable[[str, bool], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingState:
    """A change of state that waits for its trigger."""

    wanted: Condition
    trigger: Trigger
    set_s: float
    set_pings: int


class Node:
    """One node. `server` is set before the first connection.

    Args:
        emit: Sends an event to the agent.
        ask_drain: Brings a node, by name, into or out of draining and returns the agent's reply.
    """

    server: "Server"
    quick_pings: QuickPings

    def __init__(
        self,
        config: NodeConfig,
        journal: Journal,
        directory: Directory,
        emit: Callable[[dict[str, Any]], None],
        ask_drain: AskDrain,
        tasks: Tasks,
    ) -> None:
        self.config, self.journal, self.emit, self.ask_drain = config, journal, emit, ask_drain
        self.directory, self.store = directory, directory.store
        self.tokens, self.spaces, self.gate = Tokens(directory.token_secret), Spaces(), Gate(config.web)
        self.trusted = networks(config.web.trusted_proxies)
        self.condition = ONLINE
        # Each boot has its own stream, so that a restarted node does not repeat what it did before.
        self._rng = random.Random(f"{config.seed}/{config.name}/{config.boot}")
        self.faults = Faulting(journal, random.Random(self._rng.random()), emit)
        self.store_thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.digest_thread = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self.cataloguing = Cataloguing(self.store, self.store_thread)
        self.batches = Batches()
        self.heartbeat = Heartbeat(self)
        self.tasks = TaskRunner(self, tasks)
        self._watch = PeerWatch(self.spawn)
        self.tentacles = self._tentacles()
        self.pings = self.requests = 0
        self._connections = self._requests_seen = 0
        self._in_flight: dict[int, Exchange] = {}
        self._pending: list[PendingState] = []
        self._resets = 0
        self._works: set[asyncio.Task[None]] = set()
        self.watches_uploads = False

    def _tentacles(self) -> "Tentacles | None":
        config = self.config
        if config.tentacle_port is None or config.tentacle_identity is None:
            return None
        # A node without this port starts a fifth of a second sooner without these imports.
        from mocknode.mock.node.tentacles import Tentacles

        return Tentacles(self, Path(config.tentacle_identity), config.null_message_s)

    # Conditions

    @property
    def silent(self) -> bool:
        """Whether this node reads and writes nothing."""
        return self.condition.form is Form.BLACKHOLE

    @property
    def draining(self) -> bool:
        """Whether the ping says 418."""
        return self.condition.state is State.DRAINING

    async def become(self, wanted: Condition, cause: str) -> None:
        """Change the condition, for as long as it takes the listeners to follow.

        Raises:
            StateError: the node cannot become that now; nothing changed.
        """
        before, self.condition = self.condition, step(self.condition, wanted)
        facts = {**wanted.document(), "cause": cause}
        self.journal.add("state", time.monotonic_ns(), **facts)
        self.emit({"event": "state", **facts})
        if wanted.form in (Form.CRASH, Form.FREEZE):
            await asyncio.sleep(0)  # The loop writes the event to the channel at the end of its round.
        if wanted.form is Form.CRASH:
            os.kill(os.getpid(), signal.SIGKILL)
        if wanted.form is Form.FREEZE:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self.store_thread, self._freeze, loop)
            return
        await self.server.follow(before, wanted)
        self.heartbeat.beat()
        if wanted.form is Form.REFUSE:
            self.tasks.stopped()
        elif before.form is Form.REFUSE:
            await self.tasks.abandon(LOST)

    def _freeze(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop this process while no transaction of it is open.

        The loop decides in the end: a node that was told to be something else while it waited for the lock is not stopped.
        """
        decided = threading.Event()

        def stop() -> None:
            if self.condition.form is Form.FREEZE:
                os.kill(os.getpid(), signal.SIGSTOP)
            decided.set()

        with self.store.locked():
            loop.call_soon_threadsafe(stop)
            decided.wait(FREEZE_DECISION_S)

    def schedule(self, wanted: Condition, trigger: Trigger) -> None:
        """Change the condition when the trigger comes; a later one for the same moment does not replace it."""
        pending = PendingState(wanted=wanted, trigger=trigger, set_s=time.monotonic(), set_pings=self.pings)
        self._pending.append(pending)
        if trigger.measure is Measure.TIME:
            asyncio.get_running_loop().call_later(trigger.value + TIMER_SLACK_S, self._move)
        self._look_for_uploads()

    def ping_document(self) -> dict[str, Any]:
        """What a ping says now."""
        return ping_document(
            self.config.name, self.config.version, last_seen_s=self.heartbeat.last_seen_s, draining=self.draining,
            task_cap=self.heartbeat.task_cap,
        )  # fmt: skip

    @property
    def pings_are_plain(self) -> bool:
        """Whether nothing is to be done to a ping but to answer it."""
        return (
            self.condition.form is None
            and self.condition.state is not State.STARTING
            and not self._pending
            and not self.faults.any
            and self.config.web.force_ssl is None
            and not self.config.web.limits_ping
        )

    # Faults

    def add_fault(self, spec: FaultSpec) -> None:
        """Set a fault."""
        self.faults.add(spec, pings=self.pings, later=self._move)
        self._look_for_uploads()

    def clear_faults(self) -> None:
        """Take every fault out."""
        self.faults.clear()
        self._look_for_uploads()

    # Requests

    def next_connection(self) -> int:
        """Number of a new connection, from 1."""
        self._connections += 1
        return self._connections

    def next_request(self) -> int:
        """Number of a new request, from 1."""
        self._requests_seen += 1
        return self._requests_seen

    def admit(self, exchange: "Exchange") -> None:
        """A head arrived: what shall be done to this request?"""
        self._in_flight[exchange.req] = exchange
        exchange.begin(self._plan(exchange))

    def _plan(self, exchange: "Exchange") -> "Plan":
        match self.condition.form, self.condition.state:
            case Form.STATUS, _:
                return [(None, Reply(at=BODY_END, status=self.condition.status or 503))]
            case Form.GARBAGE, _:
                return [(None, Raw(at=BODY_END, data=b"\xff" + self._rng.randbytes(GARBAGE_BYTES - 1)))]
            case _, State.STARTING:
                return [(None, Reply(at=BODY_END, status=503))]
        return self.faults.plan(exchange)

    def dismiss(self, exchange: "Exchange") -> None:
        """A request is over."""
        self._in_flight.pop(exchange.req, None)
        if exchange.ping:
            self.pings += 1
        else:
            self.requests += 1
        self._move()

    def upload_moved(self, exchange: "Exchange") -> None:
        """An upload came further, and a trigger waits for that."""
        self._move(exchange)

    def _look_for_uploads(self) -> None:
        changes = any(p.trigger.measure in (Measure.SHARE, Measure.BYTES) for p in self._pending)
        self.watches_uploads = changes or self.faults.waits_for_uploads()

    def _move(self, upload: "Exchange | None" = None) -> None:
        """Let every trigger that has come act."""
        now_s = time.monotonic()
        received, length = (-1, None) if upload is None else (upload.received, upload.length)
        for pending in list(self._pending):
            elapsed_s, pings = now_s - pending.set_s, self.pings - pending.set_pings
            if pending.trigger.met(elapsed_s=elapsed_s, pings=pings, received=received, length=length):
                self._pending.remove(pending)
                late = pending.trigger.measure is Measure.TIME and elapsed_s > pending.trigger.value + OVERDUE_S
                self.spawn(self._trigger(pending.wanted, self._resets, late=late))
        self.faults.activate(pings=self.pings, upload=upload)
        if self.watches_uploads:
            self._look_for_uploads()

    async def _trigger(self, wanted: Condition, resets: int, *, late: bool) -> None:
        if late:
            # This process was stopped when it was due. What it was told meanwhile counts first.
            await asyncio.sleep(HEARING_S)
        if resets != self._resets:
            return
        with contextlib.suppress(ValueError):  # Superseded: the node was moved where this is not possible any more.
            await self.become(wanted, "trigger")

    # Data

    async def data_changed(self, restores: int) -> None:
        """All data were replaced, for so many times by now: what this node remembers of them is void.

        Every upload that began before is refused from now on.
        """
        self.cataloguing.restores = max(self.cataloguing.restores, restores)
        self.spaces.forget()
        self.tasks.stopped()
        if self.tentacles is not None:
            await self.tentacles.read_again()

    # The rest of the process

    async def start(self) -> None:
        """Faults and condition of the configuration first, then the listeners: active from the first connection.

        Raises:
            OSError: an address cannot be listened on. StoreError: the node cannot check in.
        """
        config = self.config
        self.journal.add("boot", time.monotonic_ns(), wall_offset_ns=time.time_ns() - time.monotonic_ns(), pid=os.getpid(),
                         version=config.version)  # fmt: skip
        self.condition = config.state
        self.journal.add("state", time.monotonic_ns(), **self.condition.document(), cause="command")
        for spec in config.faults:
            self.add_fault(spec)
        await self.heartbeat.first()
        restores = await asyncio.get_running_loop().run_in_executor(self.store_thread, self.store.restores)
        self.cataloguing.restores = restores
        await self.server.start(self.condition)
        self.spawn(self.heartbeat.run())
        self.spawn(self.tasks.run())
        if self.tentacles is not None:
            self.spawn(self.tentacles.watch())

    async def stop(self, grace_s: float) -> None:
        """End in order: listeners, answers in flight, what hangs; then say offline to the others."""
        self.faults.release_all()
        await self.server.stop(grace_s)
        row = self.heartbeat.row(offline=True)
        with contextlib.suppress(StoreError):
            await asyncio.get_running_loop().run_in_executor(self.store_thread, self.store.heartbeat, row)
        for task in list(self._works):
            task.cancel()
        self.journal.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the requests, owned by the node."""
        task = asyncio.get_running_loop().create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    def watch(self, protocol: "NodeProtocol") -> None:
        """Notice when the peer of a connection that is not read gives up."""
        self._watch.add(protocol)

    def tls_facts(self, ssl_object: Any) -> dict[str, Any] | None:
        """Version, cipher, SNI and ALPN of a TLS connection."""
        return self.server.tls_facts(ssl_object)

    async def reset(self) -> None:
        """Online, no faults, no triggers, nothing held."""
        self._resets += 1
        self._pending.clear()
        self.clear_faults()
        self.tasks.stopped()
        if self.condition != ONLINE:
            await self.become(ONLINE, "reset")
        else:
            # Said again, as others may believe otherwise: a signal from outside stopped this process without its knowing.
            self.emit({"event": "state", **ONLINE.document(), "cause": "reset"})
            self.heartbeat.beat()  # Somebody may have deleted it from the table of nodes.

    def status(self) -> dict[str, Any]:
        """Counters and what is pending, for the agent."""
        return {
            **self.condition.document(),
            "pings": self.pings,
            "requests": self.requests,
            "uploads_in_flight": sum(e.upload for e in self._in_flight.values()),
            "requests_in_flight": len(self._in_flight),
            "connections": self.server.connection_count,
            "tentacles": None if self.tentacles is None else self.tentacles.status(),
            "journal": {"entries": self.journal.entries, "dropped": self.journal.dropped},
            "tasks_running": self.tasks.count,
            "rss_bytes": rss_bytes(),
            "pending": [{**p.wanted.document(), "after": p.trigger.text} for p in self._pending],
        }


def rss_bytes() -> int | None:
    """Resident memory of this process, None where the platform does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
