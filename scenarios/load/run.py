"""A load run: cluster and balancer ready, generator started, nodes disturbed on schedule, both sides read, accounts closed."""

import asyncio
import contextlib
import datetime
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mocknode.cluster.client import ControlError, ControlUnreachableError
from scenarios.audit import LoopWatch
from scenarios.lab import Lab
from scenarios.lanes import LaneError, Lanes
from scenarios.ledger import Ledger
from scenarios.load.book import Book, Outage
from scenarios.load.conditions import Condition
from scenarios.load.generator import Generator, GeneratorError, Workload
from scenarios.load.health import Health
from scenarios.load.lines import Tail
from scenarios.load.schedule import Event
from scenarios.preflight import preflight
from scenarios.runner import ENVIRONMENT

READ_S: Final = 0.5
"""Between two looks at what both sides wrote: often enough that a page of the journal holds it."""
SAY_S: Final = 5.0
SETTLE_S_MAX: Final = 15.0
"""How long nodes may take to end the requests that they still have when every client is done."""
PAGE: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to run.

    Attributes:
        events: The schedule for nodes of these names.
        conditions: Those of the user, beside the ones of every run.
        secure: Through the HTTPS front of a balancer of our own.
        facts: What the report repeats: versions, balancer, command.
    """

    workload: Workload
    events: Callable[[Sequence[str]], Sequence[Event]]
    conditions: Sequence[Condition]
    secure: bool
    run_dir: Path
    facts: Mapping[str, Any]
    say: Callable[[str], None]


@dataclass(slots=True)
class LoadRun:
    """A run under way, and what is known of it.

    Attributes:
        steps: What was done to the nodes, with seconds since the load began.
        ledger: Once the accounts are closed.
    """

    plan: LoadPlan
    lanes: Lanes
    started: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    health: Health = field(default_factory=Health)
    watch: LoopWatch = field(default_factory=LoopWatch)
    events: Sequence[Event] = ()
    steps: list[dict[str, Any]] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    dead_workers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    began_ns: int = 0
    ended_ns: int = 0
    interrupted: bool = False
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    book: Book | None = None
    ledger: Ledger | None = None
    done: int = 0
    failed: int = 0
    _cursor: str | None = None
    _tail: Tail = field(init=False)

    def __post_init__(self) -> None:
        self.records.mkdir()
        self._tail = Tail(self.records)

    @property
    def records(self) -> Path:
        """Where the generator writes."""
        return self.plan.run_dir / "records"

    async def run(self) -> None:
        """Everything. What was measured before a cancellation is kept: the accounts are closed in every case.

        Raises:
            LaneError: the environment is not as it must be.
            GeneratorError: locust is not there, or failed.
        """
        try:
            async with self.lanes.open("load") as lab:
                await self.on(lab)
        except ENVIRONMENT as exc:
            raise LaneError(str(exc)) from exc

    async def on(self, lab: Lab) -> None:
        """Everything, in a lane that is open."""
        await self._prepare(lab)
        async with self.watch:
            await self._flow(lab)

    async def _prepare(self, lab: Lab) -> None:
        self.events = self.plan.events(lab.nodes)
        if not self.lanes.shared:
            await lab.ready()  # A balancer that just started knows no healthy node yet.
        found = await preflight(lab.front, lab.control, lab.recording.attempt)
        self.plan.say(f"preflight: {found.summary()}")
        if not found.attempt_header:
            raise LaneError(
                "the balancer strips X-Mocknode-Attempt, by which uploads are joined; let it through for a load test"
            )
        self.book = Book(self.plan.run_dir / "book.sqlite", lab.clock_offset_ns)
        # What the preflight did belongs to no ledger.
        await self._read_journal(lab, keep=("state", "boot", "dropped"))

    async def _flow(self, lab: Lab) -> None:
        front = lab.secure if self.plan.secure and lab.secure is not None else lab.front
        self.plan.say(f"{self.plan.workload.users} pushers at {front.url} for {self.plan.workload.duration_s:.0f} s")
        generator = Generator.start(
            self.plan.workload,
            front,
            self.records,
            self.plan.run_dir / "locust.log",
            {"MOCKNODE_LOAD_KEY": lab.api_key},
        )
        try:
            async with self._disturbing(lab):
                said = time.monotonic()
                while not await generator.ended(READ_S):
                    await self._read(lab)
                    if time.monotonic() - said >= SAY_S:
                        said = time.monotonic()
                        self._progress()
            self.dead_workers = generator.dead_workers()
            generator.check()
        except asyncio.CancelledError:
            self.interrupted = True
        finally:
            await generator.stop()
            await self._settle(lab)
            self._close()
        if self.interrupted:
            raise asyncio.CancelledError

    @contextlib.asynccontextmanager
    async def _disturbing(self, lab: Lab) -> AsyncIterator[None]:
        """The schedule, while the block runs; then every node is online again."""
        task = asyncio.create_task(self._disturb(lab), name="schedule")
        try:
            yield
            # The generator may end a little before the last event: its uploads are done, and nothing is left to disturb.
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self.events:
                await lab.control.reset()

    async def _disturb(self, lab: Lab) -> None:
        """Events one after another; they begin with the first upload, not with the start of the process."""
        await self.flowing.wait()
        pending = [(e.at_s, 1, e) for e in self.events] + [(e.at_s + e.for_s, 0, e) for e in self.events]
        for at_s, begins, event in sorted(pending, key=lambda item: item[:2]):
            await asyncio.sleep(max(0.0, self.began_ns / 1e9 + at_s - time.monotonic()))
            state, how = event.state if begins else ("online", None)
            before_ns = time.monotonic_ns()
            await lab.control.set_state(event.node, state, how)
            now_ns = time.monotonic_ns()
            self.plan.say(f"{event.node} {event.verb if begins else 'online'}")
            self.steps.append(
                {
                    "at_s": (before_ns - self.began_ns) / 1e9,
                    "node": event.node,
                    "verb": event.verb,
                    "begins": bool(begins),
                }
            )
            if event.outage and begins:
                self.outages.append(Outage(node=event.node, since_ns=before_ns, until_ns=1 << 62))
            elif event.outage:
                index = next(i for i, o in enumerate(self.outages) if o.node == event.node and o.until_ns == 1 << 62)
                self.outages[index] = Outage(node=event.node, since_ns=self.outages[index].since_ns, until_ns=now_ns)

    async def _read(self, lab: Lab) -> None:
        self._read_clients()
        await self._read_journal(lab)

    def _read_clients(self) -> None:
        assert self.book is not None
        more = True
        while more:
            lines, more = self._tail.read()
            for line in lines:
                if line["t"] == "audit":
                    self.health.take(line)
            found = [line for line in lines if line["t"] != "audit"]
            ends = [line for line in found if line["t"] == "end"]
            self.done += len(ends)
            self.failed += sum(line["told"] != "acknowledged" for line in ends)
            if found and not self.began_ns:
                self.began_ns = min(line["at"] for line in found)
                self.flowing.set()
            self.book.clients(found)

    async def _read_journal(self, lab: Lab, keep: tuple[str, ...] = ("request", "state", "boot", "dropped")) -> None:
        assert self.book is not None
        began_ns, more = time.monotonic_ns(), True
        while more:
            page = await lab.control.journal(self._cursor, kind="request,state,boot,dropped", limit=PAGE)
            self._cursor, more = page.cursor, page.more
            self.book.journal(record for record in page.records if record["kind"] in keep)
        self.book.synced_ns = began_ns

    def _progress(self) -> None:
        assert self.book is not None
        self.plan.say(f"{self.done} requests, {self.failed} failed, {self.book.open_attempts()} under way")

    async def _settle(self, lab: Lab) -> None:
        """Read to the end: until no node has anything open of ours."""
        assert self.book is not None
        deadline = time.monotonic() + SETTLE_S_MAX
        with contextlib.suppress(ControlError, ControlUnreachableError):
            while True:
                await self._read(lab)
                if not self.book.open_requests() or time.monotonic() >= deadline or self.interrupted:
                    return
                await asyncio.sleep(READ_S)
        self.notes.append("the control API was gone at the end: what the nodes saw last is not in the ledger")

    def _close(self) -> None:
        assert self.book is not None
        self.ledger = self.book.close_accounts(self.outages)
        self.ended_ns = time.monotonic_ns()


__all__ = ["GeneratorError", "LoadPlan", "LoadRun"]
