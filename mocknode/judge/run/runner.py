"""Runs the checks of a plan, lane by lane, and reports after every one.

With lanes of our own: heavy uploads alone first, then everything side by side, each lane with its own cluster and balancer.
With the one balancer that runs already: idle first, then heavy uploads, then the checks that wait, then those that disturb.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.lab import calibrate
from mocknode.judge.lab.lab import Lab, SteadyStateLostError
from mocknode.judge.lab.lanes import POLLING, REGION, LaneError, Lanes, share_calibration
from mocknode.judge.lab.loop_watch import LoopWatch
from mocknode.judge.lab.preflight import (
    BalancerUnreachableError,
    CannotJoinError,
    NotOurClusterError,
    preflight,
    refuse_unjoinable,
    refuse_unreachable,
)
from mocknode.judge.record import ledger
from mocknode.judge.record.history import History
from mocknode.judge.report import BalancerFacts, Report, RunFacts, Timeline, build
from mocknode.judge.report import timeline as draw_timeline
from mocknode.judge.run.judging import Facts, detection, for_timeline, judge
from mocknode.judge.run.run_directory import calibration_of, save
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.outcome import EXIT_CODES, CheckResult, Result, overall
from mocknode.mock.cluster.client import ControlError, ControlUnreachableError
from mocknode.mock.cluster.controller import StartError
from mocknode.mock.cluster.ports import PortError
from mocknode.mock.cluster.running_cluster import RunDirectoryError

# Lanes whose checks disturb nobody and share an instance, named after the first.
CALM: Final = ("heavy", "light", "waiting")
# Lanes whose checks poll; they share an instance, named after the first.
POLLED: Final = (POLLING, "silence")
LANE_OF_CALIBRATION: Final = "drains"
# Between the starts of checks that wait side by side: each has its uploads under way before the next provokes failures
# that a balancer may hold against a node for a while (nginx' `fail_timeout`).
STAGGER_S: Final = 2.0
# What is no fault of the balancer's configuration, and no finding either.
ENVIRONMENT: Final = (
    SteadyStateLostError,
    NotOurClusterError,
    CannotJoinError,
    BalancerUnreachableError,
    ControlError,
    ControlUnreachableError,
    StartError,
    PortError,
    RunDirectoryError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run and what the report says about it.

    Attributes:
        facts: Without lanes, durations and errors, which the run fills in.
        report: Called with the document after every check.
    """

    checks: tuple[Check, ...]
    facts: Facts
    seed: int
    run_dir: Path
    versions: Mapping[str, str]
    binary: str | None
    mode: str | None
    reproduce: str
    notes: tuple[str, ...]
    say: Callable[[str], None]
    report: Callable[[Report, Sequence[CheckResult]], None]


@dataclass(slots=True)
class Run:
    """A run under way: what is done, and the lanes it is done in."""

    plan: Plan
    lanes: Lanes
    started: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    began: float = field(default_factory=time.monotonic)
    labs: dict[str, Lab] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    durations_s: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    watch: LoopWatch = field(default_factory=LoopWatch)
    document: Report | None = None
    results: list[CheckResult] = field(default_factory=list)
    reporting: asyncio.Lock = field(default_factory=asyncio.Lock)
    timelines: dict[str, Timeline] = field(default_factory=dict)

    async def run(self) -> int:
        """Everything; gives the exit code. The report is written in every case.

        Raises:
            LaneError: the environment is not as it must be.
        """
        try:
            if self._of(REGION):
                await self._regional()
            elif self.lanes.shared:
                await self._shared()
            else:
                await self._side_by_side()
        except ENVIRONMENT as exc:
            raise LaneError(str(exc)) from exc
        finally:
            self._report()
        return EXIT_CODES[self._result()]

    def _of(self, *lanes: str) -> list[Check]:
        return [check for check in self.plan.checks if check.lane in lanes]

    async def _shared(self) -> None:
        """One balancer: idle first, as nothing makes it idle again for Envoy; those that wait; those that disturb."""
        async with self.lanes.open("all") as lab, self.watch:
            self.labs = dict.fromkeys((*CALM, "idle", "status", "drains", *POLLED), lab)
            self._refuse_a_node_alone()
            await lab.sync()
            # A balancer that probes these nodes is the right one; any other is refused before something waits for it.
            probed = any(not p.forwarded for p in lab.history.probes)
            if not probed:
                await self._preflight(lab)
            else:
                await refuse_unreachable(lab.front)
            if self._of("idle"):
                self.plan.say(
                    "idle first: the balancer forwards nothing while HC-06 waits, then everything else follows"
                )
            idle_s = [await self._idle(check, lab) for check in self._of("idle")]
            if probed:
                await self._preflight(lab)
            await self._heavy(lab)
            await self._light(lab)
            await self._polled(lab)
            if self._of("drains", "status", "idle"):
                await calibrate.wait_for_probe_interval(lab)
                await self._calibrate(lab)
                # What it did while idle is judged by how it reacts otherwise.
                await self._finish(self._of("idle"), sum(idle_s))
                await self._disturbing(lab, self._of("drains"))
                await self._disturbing(lab, self._of("status"))

    def _refuse_a_node_alone(self) -> None:
        """What a balancer does with a node that is away shows where it has another; with one alone it would be misread.

        Raises:
            LaneError: naming the checks that need two.
        """
        need_two = self._of("idle", "drains", "status")
        if len(self.lanes.nodes) == 1 and need_two:
            ids = ", ".join(check.id for check in need_two)
            raise LaneError(
                f"the cluster has one node, and a check needs another while it is away ({ids}); start two or more "
                "(`mocknode up --nodes 2`), or name the checks that you want with --only"
            )

    async def _regional(self) -> None:
        """Two clusters behind one balancer: calibrated at the primary one, which the check then takes away and gives back."""
        async with self.lanes.open(REGION) as lab, self.watch:
            self.labs = {REGION: lab, LANE_OF_CALIBRATION: lab}
            await self._preflight(lab)
            await calibrate.wait_for_probe_interval(lab)
            await self._calibrate(lab)
            for check in self._of(REGION):
                # Not restored: where traffic goes back by hand only, the primary nodes stay out whatever is healed.
                await self._one(check, lab)

    async def _idle(self, check: Check, lab: Lab) -> float:
        took_s = await self._execute(check, lab, [check])
        await lab.control.reset()
        return took_s

    async def _side_by_side(self) -> None:
        """A lane each, and heavy uploads run before the others do anything. Silence begins first, as it is what takes longest: its lane
        is used while the others start."""
        names = [name for name in ("idle", "status", "drains") if self._of(name)]
        if names and LANE_OF_CALIBRATION not in names:
            names.append(LANE_OF_CALIBRATION)
        names += ["heavy"] if self._of(*CALM) else []
        heavy_done = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            if not self._of(*POLLED):
                await self._lanes(names, heavy_done, stack)
                return
            self.labs = dict.fromkeys(POLLED, await stack.enter_async_context(self.lanes.open(POLLING)))
            await _all(self._lane(POLLING, heavy_done), self._lanes(names, heavy_done, stack))

    async def _lanes(self, names: Sequence[str], heavy_done: asyncio.Event, stack: contextlib.AsyncExitStack) -> None:
        """Open them all at once, then use them."""
        opened = await _all(*(stack.enter_async_context(self.lanes.open(name)) for name in names))
        self.labs |= dict(zip(names, opened, strict=True))
        # From here on nothing may stand still; imports and starts were allowed to.
        await stack.enter_async_context(self.watch)
        if "heavy" in self.labs:
            self.labs |= dict.fromkeys(CALM, self.labs["heavy"])
        else:
            heavy_done.set()
        if LANE_OF_CALIBRATION in self.labs:
            share_calibration(list(self.labs.values()), self.labs[LANE_OF_CALIBRATION].calibrated)
        await _all(*(self._lane(name, heavy_done) for name in names))

    async def _lane(self, name: str, heavy_done: asyncio.Event) -> None:
        lab = self.labs[name]
        match name:
            case "heavy":
                await self._preflight(lab)
                await self._heavy(lab)
                heavy_done.set()
                await self._light(lab)
            case "idle":
                await heavy_done.wait()
                await self._disturbing(lab, self._of(name))
            case "polling":
                await self._preflight(lab)
                await self._polled(lab, heavy_done)
            case _:
                await self._preflight(lab)
                await calibrate.wait_for_probe_interval(lab)
                await heavy_done.wait()
                if name == LANE_OF_CALIBRATION:
                    await self._calibrate(lab)
                await self._disturbing(lab, self._of(name))

    async def _preflight(self, lab: Lab) -> None:
        if await lab.sent_to_https() and lab.front.scheme == "http":  # Another lane may have found it out meanwhile.
            for each in self.labs.values():
                each.use_https()
            self.lanes.url = lab.front.url
            self.plan.say("the balancer sends HTTP to HTTPS, so everything is asked for by HTTPS")
        await lab.ready()
        found = await preflight(lab.front, lab.journals, lab.recording.attempt)
        await lab.sync()
        if found.nodes:
            lab.serving = tuple(node for node in lab.nodes if node in found.nodes)
        if not found.attempt_header:
            for each in self.labs.values():
                each.tag_requests()
        self.plan.say(f"preflight: {found.summary()}")
        refuse_unjoinable(found)

    async def _calibrate(self, lab: Lab) -> None:
        self.plan.say("calibrating: who probes, how often, and how fast a drained node leaves")
        calibration = await calibrate.run(lab)
        self.plan.say(_calibrated(calibration))
        await lab.restore("calibration")
        await self._finish([check for check in self._of("drains") if check.run is None], 0.0)

    async def _heavy(self, lab: Lab) -> None:
        for check in self._of("heavy"):
            await self._one(check, lab)

    async def _light(self, lab: Lab) -> None:
        """The short ones one by one, then those that wait, side by side."""
        for check in self._of("light"):
            await self._one(check, lab)
        await _all(*(self._later(index * STAGGER_S, check, lab) for index, check in enumerate(self._of("waiting"))))

    async def _polled(self, lab: Lab, heavy_done: asyncio.Event | None = None) -> None:
        """Silence beside everything else, which leaves its nodes alone as long."""
        await _all(*(self._one(check, lab) for check in self._of("silence")), self._polling(lab, heavy_done))

    async def _polling(self, lab: Lab, heavy_done: asyncio.Event | None) -> None:
        # Handshakes take the processor that heavy uploads are measured on.
        if heavy_done is not None:
            await heavy_done.wait()
        # Those first that disturb no node: meanwhile it is silent.
        for check in sorted(self._of("polling"), key=lambda check: lab.tier in check.disturbs):
            await self._one(check, lab)
            if lab.tier in check.disturbs and lab.tentacles:
                await lab.restore(check.id)

    async def _later(self, delay_s: float, check: Check, lab: Lab) -> None:
        await asyncio.sleep(delay_s)
        await self._one(check, lab)

    async def _disturbing(self, lab: Lab, checks: Sequence[Check]) -> None:
        """One after another; checks that read one walk share it."""
        walked: set[object] = set()
        for check in checks:
            if check.run is None or check.run in walked:
                continue
            walked.add(check.run)
            await self._one(check, lab, [other for other in checks if other.run is check.run])
            await lab.restore(check.id)

    async def _one(self, check: Check, lab: Lab, readers: Sequence[Check] = ()) -> None:
        await self._finish(readers or (check,), await self._execute(check, lab, readers or [check]))

    async def _execute(self, check: Check, lab: Lab, readers: Sequence[Check]) -> float:
        """Run a check, not judged yet; how long it took."""
        assert check.run is not None
        began = time.monotonic()
        try:
            await check.run(lab)
        except SteadyStateLostError:
            raise
        except Exception as exc:  # noqa: BLE001  # one broken check must not take the others' results with it
            for reader in readers:
                self.errors[reader.id] = f"{type(exc).__name__}: {exc}"
        await lab.sync()
        return time.monotonic() - began

    async def _finish(self, checks: Sequence[Check], duration_s: float) -> None:
        """Judge and report so far. In a thread, as other lanes are in the middle of something; the lists they append to
        are only ever read here."""
        async with self.reporting:
            for check in checks:
                self.done.append(check.id)
                self.durations_s[check.id] = duration_s
            await asyncio.to_thread(self._report)
        for result in self.results:
            if result.id in {check.id for check in checks}:
                self.plan.say(f"{result.id} {result.outcome.value}: {result.summary}")

    def _facts(self) -> Facts:
        lanes = {id_: self.labs[CHECKS[id_].lane].name for id_ in self.done}
        return dataclasses.replace(
            self.plan.facts,
            nodes=self.lanes.nodes,
            lanes=lanes,
            durations_s=dict(self.durations_s),
            errors=dict(self.errors),
        )

    def _result(self) -> Result:
        return overall(self.results, trusted=self.watch.trusted)

    def _calibrated_lane(self) -> str | None:
        lab = self.labs.get(LANE_OF_CALIBRATION)
        return lab.name if lab is not None and lab.history.steps_of("calibration") else None

    def _report(self) -> None:
        """Judge what is done so far, save it and hand out the report."""
        # What is called done must be on disk: a run that is killed now is judged again from there.
        for lab in self.labs.values():
            lab.recording.flush()
        histories = {lab.name: lab.history for lab in self.labs.values()}
        facts = self._facts()
        calibration = calibration_of(histories, self._calibrated_lane(), self.lanes.nodes)
        self.results = judge(self.done, facts, histories, calibration, self.started.date())
        # A kind that is known needs no search through thousands of answers after every check.
        detected = detection(list(histories.values())).kind if facts.kind is None else None
        for id_ in self.done:
            if id_ not in self.timelines:
                self.timelines[id_] = timeline_of(id_, facts, histories)
        report = {
            "seed": self.plan.seed,
            "started": self.started.isoformat(),
            "duration_s": time.monotonic() - self.began,
            "versions": dict(self.plan.versions),
            "binary": self.plan.binary,
            "mode": self.plan.mode,
            "url": self.lanes.url,
            "configuration": dict(getattr(self.lanes, "configuration", {})),
            "reproduce": self.plan.reproduce,
            "planned": [check.id for check in self.plan.checks],
            "notes": [*self.plan.notes, *self.watch.notes()],
            "trusted": self.watch.trusted,
            "detected": detected,
        }
        save(self.plan.run_dir, facts, done=tuple(self.done), calibrated_lane=self._calibrated_lane(), report=report)
        self.document = report_document(
            report, facts, self.results, histories, calibration, self.plan.run_dir, self.timelines
        )
        self.plan.report(self.document, self.results)


def report_document(
    report: Mapping[str, Any], facts: Facts, results: Sequence[CheckResult], histories: Mapping[str, History],
    calibration: Calibration, run_dir: Path, timelines: Mapping[str, Timeline],
) -> Report:  # fmt: skip
    """The report of a run, live or saved."""
    kind = facts.kind or report["detected"]
    run = RunFacts(
        result=overall(results, trusted=report["trusted"]),
        seed=report["seed"],
        started=datetime.datetime.fromisoformat(report["started"]),
        duration_s=report["duration_s"],
        versions=report["versions"],
        balancer=BalancerFacts(
            kind=kind,
            detected=facts.kind is None and kind is not None,
            url=report["url"],
            version=report["versions"].get(kind) if kind else None,
            mode=report["mode"],
            binary=report["binary"],
            configuration=report["configuration"],
        ),
        nodes=facts.nodes,
        calibration=calibration.document() if calibration.drained or calibration.probers else None,
        reproduce=report["reproduce"],
        run_dir=str(run_dir),
        tier=facts.tier,
        planned=tuple(report["planned"]),
        notes=tuple(report["notes"]),
    )
    claims = {result.id: CHECKS[result.id].claim for result in results}
    return build(run, results, ledger.balance(histories.values()).document(), timelines, claims=claims)


def timeline_of(id_: str, facts: Facts, histories: Mapping[str, History]) -> Timeline:
    """The timeline of a check that is done."""
    return draw_timeline(for_timeline(histories[facts.lanes[id_]], CHECKS[id_]), id_)


def _calibrated(calibration: Calibration) -> str:
    balancers = [p for p in calibration.probers if p.role == "balancer"]
    if not balancers:
        return "calibrated: nobody probes the nodes"
    reaction = "a drained node does not leave"
    if calibration.reacts:
        back = f"{calibration.in_after_s:.1f} s" if calibration.in_after_s is not None else "not seen"
        reaction = f"a drained node leaves after {calibration.out_after_s:.1f} s, returns after {back}"
    return f"calibrated: {balancers[0].method} every {calibration.interval_s or 0:.1f} s; {reaction}"


async def _all(*work: Awaitable[Any]) -> list[Any]:
    """All at once; the first failure cancels the others and is raised bare, as a group would hide what went wrong."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
