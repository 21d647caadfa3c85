"""A node: puts its parts together, changes its condition, and starts, resets and stops it."""

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mocknode.mock.data.store import StoreError
from mocknode.mock.data.tasks import Tasks
from mocknode.mock.node.active_faults import ActiveFaults
from mocknode.mock.node.admission import Admission
from mocknode.mock.node.heartbeat import Heartbeat
from mocknode.mock.node.http.server import HttpServer
from mocknode.mock.node.lifecycle import ONLINE, Condition, Form, step
from mocknode.mock.node.listening import Listeners
from mocknode.mock.node.packages.cataloguing import Cataloguing
from mocknode.mock.node.rest.app import NodeApp
from mocknode.mock.node.rest.context import RestContext
from mocknode.mock.node.rest.gate import Gate
from mocknode.mock.node.rest.known_spaces import KnownSpaces
from mocknode.mock.node.rest.routes import api_document
from mocknode.mock.node.rest.tokens import Tokens
from mocknode.mock.node.scheduled_states import ScheduledStates
from mocknode.mock.node.services import Services
from mocknode.mock.node.task_runner import LOST, TaskRunner

if TYPE_CHECKING:
    from mocknode.mock.node.tentacle_side import TentacleSide

FREEZE_DECISION_S: Final = 1.0
"""How long the loop may take to decide on a stop; then the agent stops the process from outside."""

AskDrain = Callable[[str, bool], Awaitable[dict[str, Any]]]


class Node:
    """One node.

    Args:
        ask_drain: Brings a node, by name, into or out of draining and returns the agent's reply.

    Attributes:
        faults: The faults that are set.
        admission: What happens to requests.
        tasks: The tasks that run here.
        tentacles: The Tentacle side; None without a Tentacle port.
        listeners: Everything that listens.
    """

    def __init__(self, services: Services, tasks: Tasks, ask_drain: AskDrain) -> None:
        config = services.config
        self.services = services
        # Each boot has its own stream, so that a restarted node does not repeat what it did before.
        rng = random.Random(f"{config.seed}/{config.name}/{config.boot}")
        self.faults = ActiveFaults(services.journal, random.Random(rng.random()), services.emit)
        self._heartbeat = Heartbeat(services)
        self.tasks = TaskRunner(services, self._heartbeat, tasks)
        scheduled = self._scheduled = ScheduledStates(services, self.become)
        self.admission = Admission(services, self._heartbeat, self.faults, scheduled, rng)
        self._cataloguing = Cataloguing(services.store, services.store_thread)
        self._spaces = KnownSpaces(services)
        self.tentacles = self._tentacles()
        self.listeners = Listeners(services, self._http_server(tasks, ask_drain), self.tentacles)

    def _tentacles(self) -> "TentacleSide | None":
        config = self.services.config
        if config.tentacle_port is None or config.tentacle_identity is None:
            return None
        # A node without this port starts a fifth of a second sooner without these imports.
        from mocknode.mock.node.tentacle_side import TentacleSide

        return TentacleSide(self.services, self.faults, Path(config.tentacle_identity))

    def _http_server(self, tasks: Tasks, ask_drain: AskDrain) -> HttpServer:
        services = self.services
        context = RestContext(
            services=services,
            gate=Gate(services.config.web),
            tokens=Tokens(services.directory.token_secret),
            spaces=self._spaces,
            cataloguing=self._cataloguing,
            tasks=tasks,
            tentacles=self.tentacles,
            digest_thread=ThreadPoolExecutor(1, thread_name_prefix="digest"),
            ping_state=self._heartbeat.ping_state,
            ask_drain=ask_drain,
            own_address=lambda: self.listeners.own_address,
            https_address=lambda: self.listeners.https_address,
            api_document=api_document,
        )
        return HttpServer(services.config, self.admission, NodeApp(context))

    async def become(self, wanted: Condition, cause: str) -> None:
        """Change the condition, and return when the listeners have followed.

        Raises:
            StateError: the node cannot become that now; nothing changed.
        """
        services = self.services
        before, services.condition = services.condition, step(services.condition, wanted)
        facts = {**wanted.document(), "cause": cause}
        services.journal.add("state", time.monotonic_ns(), **facts)
        services.emit({"event": "state", **facts})
        if wanted.form in (Form.CRASH, Form.FREEZE):
            await asyncio.sleep(0)  # The loop writes the event to the channel at the end of its round.
        if wanted.form is Form.CRASH:
            os.kill(os.getpid(), signal.SIGKILL)
        if wanted.form is Form.FREEZE:
            await services.stored(self._freeze, asyncio.get_running_loop())
            return
        await self.listeners.follow(before, wanted)
        self._heartbeat.beat()
        if wanted.refuses:
            self.tasks.stopped()
        elif before.refuses:
            await self.tasks.abandon(LOST)

    def _freeze(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop this process while no transaction of it is open.

        The loop decides in the end: a node that got another command while it waited for the lock is not stopped.
        """
        decided = threading.Event()

        def stop() -> None:
            if self.services.condition.form is Form.FREEZE:
                os.kill(os.getpid(), signal.SIGSTOP)
            decided.set()

        with self.services.store.locked():
            loop.call_soon_threadsafe(stop)
            decided.wait(FREEZE_DECISION_S)

    async def data_changed(self, restores: int) -> None:
        """Forget what this node remembers of the data: they were all replaced, for so many times by now.

        Every upload that began before is refused from now on.
        """
        self._cataloguing.restores = max(self._cataloguing.restores, restores)
        self._spaces.forget()
        self.tasks.stopped()
        if self.tentacles is not None:
            await self.tentacles.read_again()

    async def start(self) -> None:
        """Set faults and condition of the configuration, then listen: both hold from the first connection on.

        Raises:
            OSError: an address cannot be listened on. StoreError: the node cannot check in.
        """
        services, config = self.services, self.services.config
        services.journal.add("boot", time.monotonic_ns(), wall_offset_ns=time.time_ns() - time.monotonic_ns(), pid=os.getpid(),
                             version=config.version)  # fmt: skip
        services.condition = config.state
        services.journal.add("state", time.monotonic_ns(), **config.state.document(), cause="command")
        for spec in config.faults:
            self.admission.add_fault(spec)
        await self._heartbeat.check_in()
        self._cataloguing.restores = await services.stored(services.store.restores)
        await self.listeners.start(services.condition)
        services.spawn(self.listeners.watch())
        services.spawn(self._heartbeat.run())
        services.spawn(self.tasks.run())
        if self.tentacles is not None:
            services.spawn(self.tentacles.watch())

    async def stop(self, grace_s: float) -> None:
        """End in order: listeners, answers in flight, what hangs; then say offline to the others."""
        self.faults.release_all()
        await self.listeners.stop(grace_s)
        with contextlib.suppress(StoreError):
            await self._heartbeat.check_in(offline=True)
        self.services.cancel_work()
        self.services.journal.close()

    async def reset(self) -> None:
        """Become online again, without faults, triggers or tasks."""
        self.admission.clear()
        self.tasks.stopped()
        if self.services.condition != ONLINE:
            await self.become(ONLINE, "reset")
        else:
            # Said again, as others may believe otherwise: a signal from outside stopped this process without its knowing.
            self.services.emit({"event": "state", **ONLINE.document(), "cause": "reset"})
            self._heartbeat.beat()  # Somebody may have deleted it from the table of nodes.

    def status(self) -> dict[str, Any]:
        """Return counters and the changes of state that wait, for the agent."""
        admission, journal = self.admission, self.services.journal
        return {
            **self.services.condition.document(),
            "pings": admission.pings,
            "requests": admission.requests,
            "uploads_in_flight": admission.uploads_in_flight,
            "upload_progress": admission.upload_progress,
            "requests_in_flight": admission.in_flight,
            "connections": self.listeners.connection_count,
            "tentacles": None if self.tentacles is None else self.tentacles.status(),
            "journal": {"entries": journal.entries, "dropped": journal.dropped},
            "tasks_running": self.tasks.count,
            "rss_bytes": rss_bytes(),
            "pending": self._scheduled.documents(),
        }


def rss_bytes() -> int | None:
    """Return the resident memory of this process, None where the platform does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
