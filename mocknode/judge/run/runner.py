"""Runs the checks of a plan, lane by lane, and reports after each of them.

With our own lanes, heavy uploads run alone first; then all lanes work side by side, each with its own cluster and balancer. With one
balancer that runs already, checks run in this order: idle, heavy uploads, checks that wait, checks that disturb the nodes.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.lab import calibrate
from mocknode.judge.lab.lab import Lab, SteadyStateLostError
from mocknode.judge.lab.lanes import POLLING, REGION, LaneError, Lanes, share_calibration
from mocknode.judge.lab.loop_watch import LoopWatch
from mocknode.judge.lab.preflight import (
    NoNodeInRotationError,
    Preflight,
    preflight,
    refuse_unjoinable,
    refuse_unreachable,
)
from mocknode.judge.record.steps import PREFLIGHT
from mocknode.judge.run.environment_errors import ENVIRONMENT_ERRORS
from mocknode.judge.run.plan import Plan
from mocknode.judge.run.reporting import Reporter
from mocknode.judge.verdict import rotation
from mocknode.judge.verdict.calibration import DOES_NOT_PROBE_AFTER_S, Calibration, longest_reaction_s
from mocknode.judge.verdict.foreign import foreign_note
from mocknode.judge.verdict.outcome import EXIT_CODES

# These lanes leave the nodes alone; they share one cluster and balancer, named after the first.
CALM: Final = ("heavy", "light", "waiting")
# The checks of these lanes poll; they share one cluster and balancer, named after the first.
POLLED: Final = (POLLING, "silence")
LANE_OF_CALIBRATION: Final = "drains"
# Time between the starts of checks that wait side by side. Each has its uploads under way before the next one provokes failures,
# which a balancer may hold against a node for a while (nginx' `fail_timeout`).
STAGGER_S: Final = 2.0
# What a node in rotation answers to its ping.
HEALTHY: Final = 200
NOTHING_SEEN: Final = (
    "no node saw a check of its health: the nodes' addresses or ports in the balancer's configuration are wrong, or a firewall drops what it "
    "sends"
)
# Two probes of a balancer that probes every second, which is enough for it to notice a server that is no node.
FOREIGN_AGAIN_S: Final = 2.0


@dataclass(slots=True)
class Run:
    """A run under way, and the lanes that it uses."""

    plan: Plan
    lanes: Lanes
    watch: LoopWatch = field(default_factory=LoopWatch)
    reporting: asyncio.Lock = field(default_factory=asyncio.Lock)
    labs: dict[str, Lab] = field(default_factory=dict)
    reporter: Reporter = field(init=False)

    def __post_init__(self) -> None:
        self.reporter = Reporter(self.plan, self.lanes, self.watch, LANE_OF_CALIBRATION, self.labs)

    async def run(self) -> int:
        """Run all checks and return the exit code; the report is written in every case.

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
        except SteadyStateLostError as exc:
            # A balancer that does not bring its nodes back is a finding, and ends the run early.
            self.reporter.note("lost", str(exc))
            self.reporter.report()
            if self.reporter.result() != "nonconformant":
                raise LaneError(str(exc)) from exc
        except NoNodeInRotationError as exc:
            if self.reporter.result() != "nonconformant":
                raise LaneError(str(exc)) from exc
        except ENVIRONMENT_ERRORS as exc:
            raise LaneError(str(exc)) from exc
        finally:
            self.reporter.report()
        return EXIT_CODES[self.reporter.result()]

    def _of(self, *lanes: str) -> list[Check]:
        return [check for check in self.plan.checks if check.lane in lanes]

    async def _shared(self) -> None:
        """Use one balancer for all checks.

        The idle check comes first, because Envoy never becomes idle again after its first request. Then come the checks that leave
        the nodes alone, and last those that disturb them.
        """
        async with self.lanes.open("all") as lab, self.watch:
            self.labs |= dict.fromkeys((*CALM, "idle", "status", "drains", *POLLED), lab)
            self._refuse_a_node_alone()
            await lab.sync()
            # A balancer that probes these nodes is the right one. Any other must pass the preflight before a check waits for it.
            probed = await self._probed(lab)
            if not probed:
                await self._preflight(lab)
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
                # The idle check compares the idle balancer with how it reacts otherwise, so it is judged after the calibration.
                calibration, idle = lab.calibrated.result(), self._of("idle")
                again = [c for c in idle if c.too_early is not None and c.too_early(lab.history, calibration)]
                await self._finish([check for check in idle if check not in again], sum(idle_s))
                await self._disturbing(lab, self._of("drains"))
                await self._disturbing(lab, self._of("status"))
                for check in again:
                    await self._one(check, lab)

    async def _probed(self, lab: Lab) -> bool:
        """Return whether the nodes are probed now. Pings from before this run are a reason to wait for one, and no evidence."""
        if not self._of("idle") or not lab.recording.probed_before:
            return False
        await refuse_unreachable(lab.front)
        # The wait costs nothing: the idle check needs the balancer to be idle for longer.
        found = await lab.until(lambda history: any(not p.forwarded for p in history.probes), DOES_NOT_PROBE_AFTER_S)
        # Where the nodes refuse its pings, the preflight comes first and says why no node is in rotation.
        return found and any(p.status == HEALTHY for p in lab.history.probes if not p.forwarded)

    def _refuse_a_node_alone(self) -> None:
        """Refuse checks that take a node away if the balancer has no second node to send its requests to.

        Raises:
            LaneError: naming the checks that need two nodes.
        """
        need_two = self._of("idle", "drains", "status")
        if len(self.lanes.nodes) == 1 and need_two:
            ids = ", ".join(check.id for check in need_two)
            raise LaneError(
                f"the cluster has one node, and these checks take a node away and need a second one: {ids}; start two or more "
                "(`mocknode up --nodes 2`), or name the checks that you want with --only"
            )

    async def _regional(self) -> None:
        """Use two clusters behind one balancer: calibrate at the primary one, which the check then takes away and gives back."""
        async with self.lanes.open(REGION) as lab, self.watch:
            self.labs |= {REGION: lab, LANE_OF_CALIBRATION: lab}
            await self._preflight(lab)
            await calibrate.wait_for_probe_interval(lab)
            await self._calibrate(lab)
            for check in self._of(REGION):
                # Nothing to restore: if traffic goes back by hand only, the primary nodes stay out however healthy they are.
                await self._one(check, lab)

    async def _idle(self, check: Check, lab: Lab) -> float:
        took_s = await self._execute(check, lab, [check])
        await lab.control.reset()
        # The next check may be the first to know which nodes serve, so all must be back, however slow the balancer is.
        await lab.ready()
        return took_s

    async def _side_by_side(self) -> None:
        """Give each kind of check a lane of its own, and run heavy uploads before the other lanes send anything.

        The polling lane is used while the others start, because its check of silent connections takes longest.
        """
        names = [name for name in ("idle", "status", "drains") if self._of(name)]
        if names and LANE_OF_CALIBRATION not in names:
            names.append(LANE_OF_CALIBRATION)
        names += ["heavy"] if self._of(*CALM) else []
        heavy_done = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            if not self._of(*POLLED):
                await self._lanes(names, heavy_done, stack)
                return
            self.labs |= dict.fromkeys(POLLED, await stack.enter_async_context(self.lanes.open(POLLING)))
            await _all(self._lane(POLLING, heavy_done), self._lanes(names, heavy_done, stack))

    async def _lanes(self, names: Sequence[str], heavy_done: asyncio.Event, stack: contextlib.AsyncExitStack) -> None:
        """Open all lanes at once, then use them."""
        opened = await _all(*(stack.enter_async_context(self.lanes.open(name)) for name in names))
        self.labs |= dict(zip(names, opened, strict=True))
        # From here on the event loop must never stall; imports and starts were allowed to stall it.
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
        if await lab.sent_to_https() and lab.front.scheme == "http":  # Another lane may have noticed already.
            for each in self.labs.values():
                each.use_https()
            self.lanes.url = lab.front.url
            self.plan.say("the balancer sends HTTP to HTTPS, so every request uses HTTPS")
        await lab.ready()
        try:
            found = await self._settled(lab)
        except NoNodeInRotationError as exc:
            found = await self._once_more(lab, exc)
        await lab.sync()
        if found.nodes:
            lab.serving = tuple(node for node in lab.nodes if node in found.nodes)
        if not found.attempt_header:
            for each in self.labs.values():
                each.tag_requests()
        self.plan.say(f"preflight: {found.summary()}")
        refuse_unjoinable(found)
        if found.foreign is not None:
            lab.step(PREFLIGHT, found.foreign)
            self.reporter.note("foreign", foreign_note(found.foreign))

    async def _once_more(self, lab: Lab, error: NoNodeInRotationError) -> Preflight:
        """Wait until it is known what the nodes are asked and answer, and make the preflight again if they are healthy to the balancer.

        Raises:
            NoNodeInRotationError: still no node is in rotation; HC-01 says why if the nodes saw it.
        """
        self.plan.say(f"{error}; waiting for what the nodes are asked")
        await lab.until(lambda history: rotation.is_known(history, lab.nodes), DOES_NOT_PROBE_AFTER_S)
        reason = rotation.why(lab.history, lab.nodes)
        if reason is not None and reason.cause == "probe-expects-other":
            # It may only be slow to believe it.
            await calibrate.wait_for_probe_interval(lab)
            await lab.ready()
            with contextlib.suppress(NoNodeInRotationError):
                return await self._settled(lab)
        if reason is None:
            raise NoNodeInRotationError(f"{error}; {NOTHING_SEEN}", error.facts)
        lab.step(PREFLIGHT, error.facts)
        # HC-01 is judged from the lane that noticed, whether or not the run was asked for it: nothing else can be judged.
        self.labs[LANE_OF_CALIBRATION] = lab
        self.reporter.note("rotation", "no node is in rotation, so nothing but HC-01 could be judged")
        await self._finish([CHECKS["HC-01"]], 0.0)
        raise error

    async def _settled(self, lab: Lab) -> Preflight:
        """Make the preflight, again while a foreign server answers: a balancer that has just started may yet find out and leave it."""
        deadline = time.monotonic() + longest_reaction_s(lab.interval_s())
        while True:
            found = await preflight(lab.front, lab.journals, lab.recording.attempt)
            if found.foreign is None or time.monotonic() > deadline:
                return found
            await asyncio.sleep(FOREIGN_AGAIN_S)
            await lab.sync()

    async def _calibrate(self, lab: Lab) -> None:
        self.plan.say("calibrating: who probes, how often, and how fast a drained node leaves")
        calibration = await calibrate.run(lab)
        self.plan.say(_calibrated(calibration))
        readers = [check for check in self._of("drains") if check.run is None]
        try:
            await lab.restore("calibration")
        except SteadyStateLostError:
            await self._finish(readers, 0.0)
            raise
        await self._finish(readers, 0.0)

    async def _heavy(self, lab: Lab) -> None:
        for check in self._of("heavy"):
            await self._one(check, lab)

    async def _light(self, lab: Lab) -> None:
        """Run the short checks one after another, then those that mostly wait side by side."""
        for check in self._of("light"):
            await self._one(check, lab)
        await _all(*(self._later(index * STAGGER_S, check, lab) for index, check in enumerate(self._of("waiting"))))

    async def _polled(self, lab: Lab, heavy_done: asyncio.Event | None = None) -> None:
        """Run the check of silent connections beside the other polling checks, which send nothing on its connections."""
        await _all(*(self._one(check, lab) for check in self._of("silence")), self._polling(lab, heavy_done))

    async def _polling(self, lab: Lab, heavy_done: asyncio.Event | None) -> None:
        # Handshakes take the processor that heavy uploads are measured on.
        if heavy_done is not None:
            await heavy_done.wait()
        # Run the harmless checks first, while the silence check is still waiting.
        for check in sorted(self._of("polling"), key=lambda check: lab.tier in check.disturbs):
            await self._one(check, lab)
            if lab.tier in check.disturbs and lab.tentacles:
                await lab.restore(check.id)

    async def _later(self, delay_s: float, check: Check, lab: Lab) -> None:
        await asyncio.sleep(delay_s)
        await self._one(check, lab)

    async def _disturbing(self, lab: Lab, checks: Sequence[Check]) -> None:
        """Run checks one after another; those that read the same sequence of drains share it."""
        started: set[object] = set()
        for check in checks:
            if check.run is None or check.run in started:
                continue
            started.add(check.run)
            await self._one(check, lab, [other for other in checks if other.run is check.run])
            await lab.restore(check.id)

    async def _one(self, check: Check, lab: Lab, readers: Sequence[Check] = ()) -> None:
        began = time.monotonic()
        try:
            took_s = await self._execute(check, lab, readers or [check])
        except SteadyStateLostError:
            await self._finish(readers or (check,), time.monotonic() - began)
            raise
        await self._finish(readers or (check,), took_s)

    async def _execute(self, check: Check, lab: Lab, readers: Sequence[Check]) -> float:
        """Run a check, without judging it, and return how long it took."""
        assert check.run is not None
        began = time.monotonic()
        try:
            await check.run(lab)
        except SteadyStateLostError:
            raise
        except Exception as exc:  # noqa: BLE001  # one broken check must not take the others' results with it
            self.reporter.fail(readers, exc)
        await lab.sync()
        return time.monotonic() - began

    async def _finish(self, checks: Sequence[Check], duration_s: float) -> None:
        """Judge and report what is done so far."""
        async with self.reporting:
            self.reporter.add(checks, duration_s)
            # In a thread, because other lanes are measuring; judging only reads the lists that they append to.
            await asyncio.to_thread(self.reporter.report)
        for result in self.reporter.results:
            if result.id in {check.id for check in checks}:
                self.plan.say(f"{result.id} {result.outcome.value}: {result.summary}")


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
    """Await all at once. The first failure cancels the others and is raised as it is, not wrapped in an exception group."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
