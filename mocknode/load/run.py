"""A load run: starts the generator, disturbs the nodes on schedule, reads what both sides recorded, and closes the ledger."""

import asyncio
import contextlib
import dataclasses
import datetime
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mocknode.judge.lab.lab import Lab
from mocknode.judge.lab.lanes import LaneError, Lanes
from mocknode.judge.lab.loop_watch import LoopWatch
from mocknode.judge.lab.preflight import preflight
from mocknode.judge.record.ledger import Ledger
from mocknode.judge.run.environment_errors import ENVIRONMENT_ERRORS
from mocknode.judge.traffic import FrontDoor
from mocknode.load.conditions import ALWAYS, Condition
from mocknode.load.early import Failing
from mocknode.load.generator import FINISH_S, Generator, GeneratorError, Workload
from mocknode.load.health import Health
from mocknode.load.lines import Tail
from mocknode.load.load_ledger import LoadLedger, LoadLedgerError
from mocknode.load.outages import Outages
from mocknode.load.schedule import Event, first_outage
from mocknode.load.schema import LoadFacts, ScheduleStep
from mocknode.load.unverified import Unverified
from mocknode.mock.cluster.client import ControlError, ControlUnreachableError

READ_S: Final = 0.5
"""Pause between two reads of what both sides recorded; short enough that one page of the journal holds what is new."""
SAY_S: Final = 5.0
SETTLE_S_MAX: Final = 15.0
"""How long nodes may take to finish their open requests after every client is done."""
CUT_S: Final = 10.0
"""How long uploads in progress may go on when a run ends because it has failed: most end by then, and the user is waiting."""
PAGE: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to run.

    Attributes:
        events: Returns the schedule for nodes of these names.
        conditions: The user's conditions, in addition to those of every run.
        secure: Upload over HTTPS, through a balancer that we started.
        abort: End the run as soon as it is certain to fail.
        web: Where locust's own web UI listens; None serves none.
        facts: What the report repeats: versions, balancer, command line.
    """

    workload: Workload
    events: Callable[[Sequence[str]], Sequence[Event]]
    conditions: Sequence[Condition]
    secure: bool
    run_dir: Path
    facts: LoadFacts
    say: Callable[[str], None]
    abort: bool = False
    web: tuple[str, int] | None = None


@dataclass(slots=True)
class LoadRun:
    """A run in progress, and what is known about it.

    Attributes:
        steps: What was done to the nodes, with seconds since the load began.
        ledger: What both sides wrote, joined; None before the load flows.
        totals: Uploads by class, once the accounts are closed. Always None with `--unverified`.
        aborted: The condition that ended the run early.
        broken: Why the record ends before the run does.
        environment: What went wrong outside the run after its load had begun.
        url: URL of the front door that the load goes to, once it flows.
    """

    plan: LoadPlan
    lanes: Lanes | Unverified
    started: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    health: Health = field(default_factory=Health)
    watch: LoopWatch = field(default_factory=LoopWatch)
    events: Sequence[Event] = ()
    steps: list[ScheduleStep] = field(default_factory=list)
    outages: Outages = field(default_factory=lambda: Outages(0))
    dead_workers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    began_ns: int = 0
    ended_ns: int = 0
    interrupted: bool = False
    aborted: str | None = None
    broken: str | None = None
    environment: str | None = None
    url: str = ""
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    ledger: LoadLedger | None = None
    totals: Ledger | None = None
    done: int = 0
    failed: int = 0
    uploads: int = 0
    _away: dict[str, Event] = field(default_factory=dict)
    _pushing: set[str] = field(default_factory=set)
    _failing: Failing = field(init=False)
    _ending: bool = False
    _cursor: str | None = None
    _tail: Tail = field(init=False)

    def __post_init__(self) -> None:
        self.records.mkdir()
        self._tail = Tail(self.records)
        self._failing = Failing([*ALWAYS, *self.plan.conditions])

    @property
    def records(self) -> Path:
        """Directory that the generator writes to."""
        return self.plan.run_dir / "records"

    async def run(self) -> None:
        """Do the whole run. The ledger is closed in any case, so that a cancelled run keeps what was measured.

        Raises:
            LaneError: the environment is not as it must be.
            GeneratorError: locust is not there, or failed.
        """
        try:
            if isinstance(self.lanes, Unverified):
                await self._unverified(self.lanes)
                return
            async with self.lanes.open("load") as lab:
                await self.on(lab)
        except ENVIRONMENT_ERRORS as exc:
            self.environment = str(exc)
            raise LaneError(str(exc)) from exc
        except (LaneError, GeneratorError) as exc:
            self.environment = str(exc)
            raise

    async def on(self, lab: Lab) -> None:
        """Do the whole run in a lane that is open."""
        await self._prepare(lab)
        front = lab.secure if self.plan.secure and lab.secure is not None else lab.front
        async with self.watch:
            await self._flow(front, lab.api_key, lab)

    async def _unverified(self, servers: Unverified) -> None:
        self.plan.say(await servers.meet())
        self.ledger = self._new_ledger()
        async with self.watch:
            await self._flow(servers.front, servers.api_key, None)

    def _new_ledger(self, clock_offset_ns: int = 0) -> LoadLedger:
        return LoadLedger(self.plan.run_dir / "ledger.sqlite", clock_offset_ns, followed=self.plan.abort)

    async def _prepare(self, lab: Lab) -> None:
        self.events = self.plan.events(lab.nodes)
        self.outages = Outages(len(lab.nodes))
        assert not isinstance(self.lanes, Unverified)
        if await lab.sent_to_https():
            lab.use_https()
            self.lanes.url = lab.front.url
        if not self.lanes.shared:
            await lab.ready()  # A balancer that has just started does not know any healthy node yet.
        found = await preflight(lab.front, lab.control, lab.recording.attempt)
        self.plan.say(f"preflight: {found.summary()}")
        if not found.attempt_header:
            raise LaneError(
                "the balancer removes the header X-Mocknode-Attempt, which the ledger needs to match uploads; let it pass for a load test"
            )
        self.ledger = self._new_ledger(lab.clock_offset_ns)
        # The requests of the preflight do not belong into the ledger.
        await self._read_journal(lab, keep=("state", "boot", "dropped"))

    async def _flow(self, front: FrontDoor, api_key: str, lab: Lab | None) -> None:
        workload, self.url = self.workload, front.url
        self.plan.say(f"{workload.pushers} pushers at {front.url} for {workload.duration_s:.0f} s")
        if self.plan.web is not None:
            self.plan.say(f"locust's web UI: http://{self.plan.web[0]}:{self.plan.web[1]}")
        generator = Generator.start(
            workload,
            front,
            self.records,
            self.plan.run_dir / "locust.log",
            {"MOCKNODE_LOAD_KEY": api_key},
            self.plan.web,
        )
        try:
            async with contextlib.nullcontext() if lab is None else self._disturbing(lab):
                said = time.monotonic()
                while not await generator.ended(READ_S):
                    await self._follow(lab)
                    self._end_early(generator)
                    if time.monotonic() - said >= SAY_S:
                        said = time.monotonic()
                        self._progress()
            self.dead_workers = generator.dead_workers()
            generator.check()
        except asyncio.CancelledError:
            self.interrupted = True
        finally:
            await self._end(generator, lab)
        if self.interrupted:
            raise asyncio.CancelledError

    async def _end(self, generator: Generator, lab: Lab | None) -> None:
        """Stop the generator, read the rest, and close the ledger. An interruption meanwhile skips the rest of the reading."""
        try:
            await generator.stop()
            await self._settle(lab)
        except asyncio.CancelledError:
            self.interrupted = True
            generator.kill()
        finally:
            self._close(lab)

    @property
    def workload(self) -> Workload:
        """The workload, with the times of a storm taken from the first outage."""
        span = first_outage(self.events) if self.plan.workload.shape == "storm" else None
        if span is None:
            return self.plan.workload
        return dataclasses.replace(self.plan.workload, shape=f"storm:{span[0]:g}s..{span[1]:g}s")

    def _end_early(self, generator: Generator) -> None:
        """End the generator when nothing more that it could do is of use."""
        if self._ending:
            return
        limit = self.plan.workload.uploads
        if self.plan.abort and self.broken is None:
            assert self.ledger is not None
            for news in self.ledger.news(self.outages.spans()):
                self._failing.take(*news)
            if (condition := self._failing.first()) is not None:
                self.aborted = condition.text
                self.plan.say(f"{condition.text} is certain to hold: ending the run")
        useless = self.aborted or self.broken
        if useless or (limit and self.uploads >= limit):
            self._ending = True
            generator.finish(CUT_S if useless else FINISH_S)

    @contextlib.asynccontextmanager
    async def _disturbing(self, lab: Lab) -> AsyncIterator[None]:
        """Carry out the schedule during the block; afterwards, bring every node online."""
        task = asyncio.create_task(self._disturb(lab), name="schedule")
        try:
            yield
            # The generator may end a little before the last event, which then has nothing left to disturb.
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if self.events:
                await lab.control.reset()
            # An event that lasts until the load ends needs an end in the record.
            for event in list(self._away.values()):
                self._step(event, time.monotonic_ns(), begins=False)

    async def _disturb(self, lab: Lab) -> None:
        """Carry out the events one after another. Their time starts with the first upload, not with the generator's process."""
        await self.flowing.wait()
        pending = [(e.at_s, 1, e) for e in self.events] + [(e.at_s + e.for_s, 0, e) for e in self.events]
        for at_s, begins, event in sorted(pending, key=lambda item: item[:2]):
            await asyncio.sleep(max(0.0, self.began_ns / 1e9 + at_s - time.monotonic()))
            state, how = event.state if begins else ("online", None)
            before_ns = time.monotonic_ns()
            if event.outage and begins:
                self.outages.begin(event.node, before_ns)
            await lab.control.set_state(event.node, state, how)
            if event.outage and not begins:
                self.outages.end(event.node, time.monotonic_ns())
            self.plan.say(f"{event.node} {event.verb if begins else 'online'}")
            self._step(event, before_ns, begins=bool(begins))

    def _step(self, event: Event, at_ns: int, *, begins: bool) -> None:
        if begins:
            self._away[event.node] = event
        else:
            del self._away[event.node]
        at_s = (at_ns - self.began_ns) / 1e9
        self.steps.append({"at_s": at_s, "node": event.node, "verb": event.verb, "begins": begins})

    @property
    def unseen(self) -> Sequence[Event]:
        """Events that the load ended before."""
        return self.events[sum(step["begins"] for step in self.steps) :]

    async def _follow(self, lab: Lab | None) -> None:
        """Read what is needed while the load flows. Journals are read at the end, unless they can end the run: joining them takes CPU
        that the load would lack."""
        if lab is None or self.plan.abort:
            await self._read(lab)
        else:
            await self._read(None)
            await lab.control.cluster()  # Fails if it is gone.

    async def _read(self, lab: Lab | None) -> None:
        if self.broken is not None:
            return
        try:
            self._read_clients()
            if lab is not None:
                await self._read_journal(lab)
        except LoadLedgerError as exc:
            self.broken = (
                f"the record in {self.plan.run_dir} can no longer be written ({exc}); later attempts are not in it"
            )
        except ValueError as exc:
            self.broken = f"{exc}; later attempts are not in the ledger"

    def _read_clients(self) -> None:
        assert self.ledger is not None
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
            self._pushing.update(line["id"] for line in found if line["t"] == "start" and line["kind"] == "push")
            pushed = self._pushing.intersection(line["id"] for line in ends)
            self._pushing -= pushed
            self.uploads += len(pushed)
            for line in ends:
                if line["told"] == "acknowledged":
                    self.outages.answered(line["at"])
            if found and not self.began_ns:
                self.began_ns = min(line["at"] for line in found)
                self.flowing.set()
            self.ledger.clients(found)

    async def _read_journal(self, lab: Lab, keep: tuple[str, ...] = ("request", "state", "boot", "dropped")) -> None:
        assert self.ledger is not None
        began_ns, more = time.monotonic_ns(), True
        while more:
            page = await lab.control.journal(self._cursor, kind="request,state,boot,dropped", limit=PAGE)
            self._cursor, more = page.cursor, page.more
            self.ledger.journal(record for record in page.records if record["kind"] in keep)
        # Uploads without an attempt id must not count as lost.
        self.ledger.adopt()
        self.ledger.synced_ns = began_ns

    def _progress(self) -> None:
        assert self.ledger is not None
        self.plan.say(f"{self.done} requests, {self.failed} failed, {self.ledger.open_attempts()} in progress")

    async def _settle(self, lab: Lab | None) -> None:
        """Read all of the journals, and go on until no node has an open request of this run."""
        assert self.ledger is not None
        if lab is None or self.broken is not None:
            await self._read(lab)
            return
        with contextlib.suppress(ControlError, ControlUnreachableError):
            await self._read(lab)
            deadline = time.monotonic() + SETTLE_S_MAX
            while self.ledger.open_requests() and time.monotonic() < deadline and not self.interrupted:
                await asyncio.sleep(READ_S)
                await self._read(lab)
            return
        self.notes.append(
            "the control API did not answer at the end, so the last requests that the nodes saw are not in the ledger"
        )

    def _close(self, lab: Lab | None) -> None:
        assert self.ledger is not None
        if lab is not None:
            self.totals = self.ledger.close_accounts(self.outages.spans(closed=True))
        self.ended_ns = time.monotonic_ns()


__all__ = ["GeneratorError", "LoadPlan", "LoadRun"]
