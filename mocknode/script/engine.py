"""Carries a plan out: starts the streams, walks the steps, follows both sides, and restores the cluster, whatever happens."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx

from mocknode.judge.lab import calibrate
from mocknode.judge.lab.cleanup import delete_packages
from mocknode.judge.lab.lab import Lab, SteadyStateLostError
from mocknode.judge.lab.lanes import LaneError, Lanes
from mocknode.judge.lab.loop_watch import LoopWatch
from mocknode.judge.lab.preflight import preflight
from mocknode.judge.run.environment_errors import ENVIRONMENT_ERRORS
from mocknode.load.figures import percentile
from mocknode.load.health import Health
from mocknode.load.load_ledger import LoadLedger
from mocknode.load.outages import Outages
from mocknode.mock.cluster.client import ControlError, ControlUnreachableError
from mocknode.script.as_written import words_of
from mocknode.script.context import Look, NotSeenError, StepFailedError
from mocknode.script.declared import ONLINE
from mocknode.script.evidence import Evidence
from mocknode.script.model import Condition, Scenario
from mocknode.script.planning import Planned, plan
from mocknode.script.record import (
    Ended,
    EventRecord,
    LateLook,
    MomentRecord,
    Record,
    StateRecord,
    StepRecord,
    StreamFigures,
    UploadRecord,
)
from mocknode.script.streams_running import Streams
from mocknode.script.values import CALIBRATED
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS

READ_S: Final = 0.2
"""Pause between two reads of what both sides recorded. With the read itself a wait reacts within half a second."""
PAGE: Final = 5000
FINISH_S: Final = 120.0
"""How long uploads under way may take to end after the schedule: a gigabyte over a line of 10 MB/s."""
SETTLE_S_MAX: Final = 15.0
"""How long nodes may take to finish their open requests after every client is done."""
FLOW_S_MAX: Final = 30.0
"""Locust needs a second to start; a busy machine needs several."""
COLUMNS: Final = 300
"""Most intervals of a stream's figures over time."""
UPLOADS_SHOWN: Final = 60
"""Uploads that the report draws one by one."""
NEAREST: Final = 5
"""Events shown beside a wait that ran out."""
REHEARSED: Final = ("sleep", "mark", "task")
"""What a rehearsal carries out. Waits are left out with the disturbances whose effects they wait for."""
CALIBRATED_SLACK: Final = 2.0
"""A wait within `calibrated` may take so many times the reaction that was measured."""


class _ScheduleEndedError(Exception):
    """A step failed, so the rest of the schedule is left out."""


class ScriptRun:
    """One run of a scenario.

    Args:
        source: Name of the scenario's file, for messages.
        secure: Send everything over HTTPS.
        rehearse: Do everything but the disturbances.

    Attributes:
        url: The front door, once it is known.
    """

    def __init__(
        self,
        scenario: Scenario,
        lanes: Lanes,
        run_dir: Path,
        say: Callable[[str], None],
        *,
        seed: int = 1,
        source: str = "scenario",
        secure: bool = False,
        rehearse: bool = False,
    ) -> None:
        self.scenario, self.lanes, self.run_dir, self.say = scenario, lanes, run_dir, say
        self._seed, self._source = seed, source
        self.url = ""
        self.faults: dict[str, tuple[str, str]] = {}
        self._secure, self._rehearse = secure, rehearse
        self._watch = LoopWatch()
        self._health = Health()
        self._steps: list[StepRecord] = []
        self._late: list[LateLook] = []
        self._problems: list[str] = []
        self._interrupted = False
        self._began_ns = 0
        self._news = asyncio.Event()
        self._cursor: str | None = None
        self._left = ""

    async def run(self) -> Record:
        """Do the whole run and return its record. A run that was cancelled returns what it has.

        Raises:
            LaneError: the environment is not as it must be; nothing was disturbed.
        """
        try:
            async with self.lanes.open("scenario") as lab:
                return await self._on(lab)
        except ENVIRONMENT_ERRORS as exc:
            raise LaneError(str(exc)) from exc

    async def _on(self, lab: Lab) -> Record:
        self._lab = lab
        self.plan = plan(self.scenario, lab.nodes, self._seed, self._source)
        self.nodes = lab.control
        scenario = self.scenario
        await self._prepare(lab)
        self.evidence = Evidence(lab.nodes, [stream.name for stream in scenario.workload], lab.clock_offset_ns)
        self._outages = Outages(len(lab.nodes))
        self._down: set[str] = set()
        self._ledger = LoadLedger(self.run_dir / "ledger.sqlite", lab.clock_offset_ns)
        self._streams = Streams(scenario.workload, self._seed, self.run_dir)
        # What the journals hold so far belongs to the preparation.
        await self._read_journal(keep=False)
        front = lab.secure if self._secure and lab.secure is not None else lab.front
        self.url = front.url
        async with self._watch:
            try:
                self._streams.start(front, lab.api_key, lab.control)
                async with self._following():
                    await self._play()
            except asyncio.CancelledError:
                self._interrupted = True
            finally:
                await self._end()
        return self._record()

    async def _prepare(self, lab: Lab) -> None:
        if await lab.sent_to_https():
            lab.use_https()
            self.lanes.url = lab.front.url
        await lab.ready()
        if self.scenario.nodes not in (None, len(lab.nodes)):
            raise LaneError(f"the scenario is for {self.scenario.nodes} nodes, and the cluster has {len(lab.nodes)}")
        found = await preflight(lab.front, lab.control, lab.recording.attempt)
        self.say(f"preflight: {found.summary()}")
        if not found.attempt_header:
            raise LaneError(
                "the balancer removes the header X-Mocknode-Attempt, which the ledger needs; let it pass for a scenario"
            )
        self._reaction = (0.0, 0.0)
        if self.plan.calibrated or self.scenario.needs:
            self.say("calibrating: how fast a drained node leaves and returns")
            await calibrate.wait_for_probe_interval(lab)
            found_calibration = await calibrate.run(lab)
            await lab.restore("calibration")
            if not found_calibration.reacts and self.scenario.needs:
                raise SkippedError("this balancer does not take a drained node out of rotation")
            self._reaction = found_calibration.out_budget_s, found_calibration.in_budget_s

    # What verbs use: see `context.Stage`.

    async def until(self, condition: Condition, within: float | str) -> Look:
        """Wait until a condition holds."""
        bound_s = CALIBRATED_SLACK * max(self._reaction) + 5.0 if within == CALIBRATED else float(within)
        began = time.monotonic()
        since, last = began, ""
        while True:
            look = self._look(condition)
            if look.holds:
                return look
            if look.saw != last:
                since, last = time.monotonic(), look.saw
            if time.monotonic() - began >= bound_s:
                unchanged = time.monotonic() - since
                raise StepFailedError(
                    f"waited {bound_s:.1f} s for {words_of(condition)}; last seen: {look.saw} (unchanged for {unchanged:.1f} s)"
                )
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + bound_s - time.monotonic())):
                    await self._news.wait()

    async def held(self, condition: Condition, for_s: float) -> Look:
        """Look until one look does not hold, or the time is over."""
        since_ns = time.monotonic_ns()
        while True:
            self._news.clear()
            await self._news.wait()
            look = self._look(condition, since_ns if for_s else 0)
            if look.holds is False or time.monotonic_ns() >= since_ns + for_s * 1e9:
                return look

    async def pause(self, seconds: float) -> None:
        """Let this time pass."""
        await asyncio.sleep(seconds)

    def left(self, node: str) -> None:
        """Take note that a node is down on purpose."""
        if node not in self._down:
            self._down.add(node)
            self._outages.begin(node, time.monotonic_ns())

    def returned(self, node: str) -> None:
        """Take note that it is back."""
        if node in self._down:
            self._down.remove(node)
            self._outages.end(node, time.monotonic_ns())

    def _look(self, condition: Condition, since_ns: int = 0) -> Look:
        shape = CONDITIONS[condition.word]
        assert shape.look is not None
        self.evidence.now_ns, self.evidence.since_ns = time.monotonic_ns(), since_ns
        return shape.look(condition.args, self.evidence)

    # The schedule.

    async def _play(self) -> None:
        await self._flowing()
        for condition in self.scenario.steady_state.conditions:
            try:
                await self.until(condition, self.scenario.steady_state.within)
            except StepFailedError as exc:
                raise LaneError(f"no steady state before the first step: {exc}") from exc
        self.say("steady; the schedule begins")
        with contextlib.suppress(_ScheduleEndedError):
            await self._walk(self.plan.steps)
        await self._await_late()

    async def _flowing(self) -> None:
        """Wait for the first request of each stream that sends any."""
        wanted = [s.name for s in self.scenario.workload if STREAMS[s.kind].workload is not None]
        deadline = time.monotonic() + FLOW_S_MAX
        while not all(self.evidence.streams[name].started for name in wanted):
            if failed := await self._streams.ended():
                raise LaneError(failed[0])
            if time.monotonic() > deadline:
                raise LaneError(f"no request of {', '.join(wanted)} within {FLOW_S_MAX:g} s")
            await asyncio.sleep(READ_S)

    async def _walk(self, steps: Sequence[Planned]) -> None:
        for planned in steps:
            if planned.branches:
                await _all(self._walk(branch) for branch in planned.branches)
            elif not self._rehearse or planned.step.verb in REHEARSED:
                await self._carry_out(planned)

    async def _carry_out(self, planned: Planned) -> None:
        step, began_ns = planned.step, time.monotonic_ns()
        ended: Ended = "done"
        nearest: tuple[str, ...] = ()
        try:
            verb = VERBS[step.verb]
            saw = await verb.run(step.args, self)
            if verb.after is not None and verb.after(step.args) == ONLINE:
                self.evidence.returned(step.args["node"], time.monotonic_ns())
        except StepFailedError as exc:
            ended, saw = ("missed" if step.verb == "expect" else "failed"), str(exc)
            near = self.evidence.nearest(time.monotonic_ns(), NEAREST)
            nearest = tuple(f"{self._seconds(at_ns):.1f} s {text}" for at_ns, text in near)
        except NotSeenError as exc:
            ended, saw = "unseen", str(exc)
        except (ControlError, ControlUnreachableError) as exc:
            ended, saw = "failed", str(exc)
        except asyncio.CancelledError:
            ended, saw = "interrupted", "interrupted"
            raise
        finally:
            self._steps.append(
                StepRecord(
                    id=planned.id, text=planned.text, began_s=self._seconds(began_ns), ended_s=self._seconds(time.monotonic_ns()),
                    ended=ended, saw=saw, line=step.line, nearest=nearest,
                )
            )  # fmt: skip
        self.say(f"{planned.id} {planned.text}: {saw}")
        if ended == "failed":
            raise _ScheduleEndedError

    async def _await_late(self) -> None:
        for index, expectation in enumerate(self.scenario.expectations):
            if expectation.when == "eventually":
                try:
                    look = await self.until(expectation.condition, expectation.within)
                except StepFailedError as exc:
                    look = Look(holds=False, saw=str(exc))
                self._late.append(LateLook(index=index, holds=bool(look.holds), saw=look.saw))

    # The record.

    @contextlib.asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        """Read both sides during the block; a failure to read ends it."""
        outer = asyncio.current_task()
        assert outer is not None
        failure: list[Exception] = []

        async def follow() -> None:
            try:
                while True:
                    await self._read()
                    self._news.set()
                    await asyncio.sleep(READ_S)
            except Exception as exc:  # noqa: BLE001  # whatever it is, the run cannot go on without evidence
                failure.append(exc)
                outer.cancel()

        task = asyncio.create_task(follow(), name="follow")
        try:
            yield
        except asyncio.CancelledError:
            if failure:
                outer.uncancel()
                self._problems.append(f"the record could no longer be read: {failure[0]}")
                return
            raise
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _read(self) -> None:
        self.evidence.now_ns = time.monotonic_ns()
        self._read_clients()
        await self._read_journal()
        self.evidence.counters(await self._lab.control.nodes())

    def _read_clients(self) -> None:
        for stream, lines in self._streams.news():
            for line in lines:
                if line["t"] == "audit":
                    self._health.take(line)
            found = [line for line in lines if line["t"] != "audit"]
            for line in found:
                self._began_ns = self._began_ns or line["at"]
                self.evidence.client(stream, line)
                if line["t"] == "end" and line["told"] == "acknowledged":
                    self._outages.answered(line["at"])
            self._ledger.clients(found, stream)

    async def _read_journal(self, *, keep: bool = True) -> None:
        began_ns, more = time.monotonic_ns(), True
        while more:
            page = await self._lab.control.journal(self._cursor, kind="request,probe,state,boot,dropped", limit=PAGE)
            self._cursor, more = page.cursor, page.more
            if keep:
                for record in page.records:
                    self.evidence.journal(record)
                self._ledger.journal(page.records)
        self._ledger.adopt()
        self._ledger.synced_ns = began_ns

    # The end.

    async def _end(self) -> None:
        """Let clients finish, read the rest, and restore the cluster. A cancellation cuts the waiting, never the restoring."""
        try:
            await self._streams.finish(0.0 if self._interrupted or self._problems else FINISH_S)
        except asyncio.CancelledError:
            self._interrupted = True
        await self._streams.stop()
        await self._restore()
        with contextlib.suppress(ControlError, ControlUnreachableError):
            await self._settle()
        self._ledger.close_accounts(self._outages.spans(closed=True))
        await self._delete_packages()

    async def _settle(self) -> None:
        deadline = time.monotonic() + SETTLE_S_MAX
        await self._read()
        while self._ledger.open_requests() and time.monotonic() < deadline:
            await asyncio.sleep(READ_S)
            await self._read()

    async def _restore(self) -> None:
        try:
            await self._lab.restore("scenario")
            left = [
                f"{n['name']} is {n['state']}"
                for n in await self._lab.control.nodes()
                if n["state"] != "online" or n["faults"]
            ]
            self._left = ", ".join(left)
        except (SteadyStateLostError, ControlError, ControlUnreachableError) as exc:
            self._left = str(exc)
        for node in list(self._down):
            self.returned(node)

    async def _delete_packages(self) -> None:
        """Remove this run's packages from a cluster that goes on."""
        if not self.lanes.shared:
            return
        with contextlib.suppress(ControlError, ControlUnreachableError, httpx.HTTPError):
            await delete_packages(await self._lab.control.cluster(), self._ledger.uploads_of_run())

    def _seconds(self, at_ns: int) -> float:
        return round((at_ns - self._began_ns) / 1e9, 3) if self._began_ns else 0.0

    def _record(self) -> Record:
        duration_s = self._seconds(time.monotonic_ns())
        problems = [*self._problems, *self._watch.notes(), *([] if self._interrupted else self._health.problems())]
        if self._ledger.dropped:
            problems.append(f"the nodes' journals dropped {self._ledger.dropped} entries")
        return Record(
            duration_s=duration_s,
            streams={stream.name: self._figures(stream.name, stream.kind) for stream in self.scenario.workload},
            steps=tuple(self._steps),
            events=tuple(EventRecord(at_s=self._seconds(at_ns), text=text) for at_ns, text in self.evidence.noted),
            states=tuple(
                StateRecord(at_s=self._seconds(at_ns), node=node, state=state, how=how)
                for at_ns, node, state, how in self.evidence.states
            ),
            uploads=tuple(self._uploads()),
            nodes=tuple(self._lab.nodes),
            width_s=self._width_s(),
            late=tuple(self._late),
            problems=tuple(problems),
            interrupted=self._interrupted,
            restored=not self._left,
            left=self._left,
            rehearsed=self._rehearse,
        )

    def _figures(self, name: str, kind: str) -> StreamFigures:
        counts = self._ledger.of_stream(name)
        took = counts.took_s
        latency = {f"p{q}": percentile(took, q) for q in (50, 90, 99)} | {"max": took[-1] if took else None}
        return StreamFigures(
            kind=kind,
            attempts=counts.attempts,
            acknowledged=len(took),
            failed=counts.failed,
            failed_undisturbed=counts.failed_undisturbed,
            latency_s={key: round(value, 4) for key, value in latency.items() if value is not None},
            classes=counts.classes,
            cut_on_drain=sum(self._ledger.broken_at(node, span, name) for node, span in self._drains()),
            over_time=tuple(self._over_time(name)),
        )

    def _width_s(self) -> float:
        return max(1.0, self._seconds(time.monotonic_ns()) / COLUMNS)

    def _over_time(self, name: str) -> Iterator[MomentRecord]:
        width_s = self._width_s()
        columns: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for due, ended, told, _size, _node, _kind in self._ledger.ends_of(name):
            columns[int(self._seconds(ended) / width_s)].append(((ended - due) / 1e9, told))
        for column, attempts in sorted(columns.items()):
            took = sorted(took_s for took_s, told in attempts if told == "acknowledged")
            yield MomentRecord(
                at_s=round(column * width_s, 3), acknowledged=len(took), failed=len(attempts) - len(took),
                p50_s=percentile(took, 50), p99_s=percentile(took, 99),
            )  # fmt: skip

    def _uploads(self) -> list[UploadRecord]:
        """Return the uploads that are drawn one by one: those that failed, and the longest."""
        found = [
            UploadRecord(
                stream=stream.name, began_s=self._seconds(due), ended_s=self._seconds(ended), node=node, told=told, size=size or 0
            )
            for stream in self.scenario.workload
            for due, ended, told, size, node, kind in self._ledger.ends_of(stream.name)
            if kind == "push"
        ]  # fmt: skip
        found.sort(key=lambda upload: (upload.told == "acknowledged", upload.began_s - upload.ended_s))
        return sorted(found[:UPLOADS_SHOWN], key=lambda upload: upload.began_s)

    def _drains(self) -> list[tuple[str, tuple[int, int]]]:
        """Return the times in which nodes only drained."""
        spans: list[tuple[str, tuple[int, int]]] = []
        since: dict[str, int] = {}
        for at_ns, node, state, _how in sorted(self._ledger.states):
            if state == "draining":
                since.setdefault(node, at_ns)
            elif node in since:
                spans.append((node, (since.pop(node), at_ns)))
        return spans + [(node, (at_ns, time.monotonic_ns())) for node, at_ns in since.items()]


class SkippedError(LaneError):
    """The scenario needs something that this balancer does not have."""


async def _all(work: Iterable[Awaitable[None]]) -> None:
    """Carry out branches side by side; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
