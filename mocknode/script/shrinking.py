"""Makes a failing scenario small: fewer steps, shorter times, less load, as long as it fails in the same way. No I/O.

The caller runs the candidates. A balancer is not deterministic, so a candidate counts as failing if two of at most three runs fail.
Steps are dropped by delta debugging (Zeller and Hildebrandt 2002), in units that leave a schedule which makes sense: what is done to
a node goes together with what brings it back.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mocknode.script.contradictions import find
from mocknode.script.declared import ONLINE
from mocknode.script.model import Condition, Scenario, Step
from mocknode.script.vocabulary import VERBS

RUNS_MAX: Final = 3
"""Runs of one candidate."""
FAILURES: Final = 2
"""Failing runs that a candidate needs."""
SHORTEST_S: Final = 1.0
"""Times are not made shorter than this: a balancer needs that long to notice anything."""
USERS: Final = ("users", "monitors", "rate")
"""Fields of streams that say how much is sent."""

Fails = Callable[[Scenario], Awaitable[bool]]
"""Runs a scenario once and says whether it failed in the way that is looked for. Raises `StopSearchError` to end the search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """What was found.

    Attributes:
        candidates: How many smaller scenarios were tried.
        runs: How many runs that took.
        finished: Whether nothing smaller is left to try; otherwise the budget had run out.
    """

    scenario: Scenario
    candidates: int
    runs: int
    finished: bool


class StopSearchError(Exception):
    """The search ends with what it has: the budget has run out, or the caller's run was interrupted."""


async def shrink(
    scenario: Scenario,
    fails: Fails,
    nodes: Sequence[str],
    *,
    budget_s: float,
    clock: Callable[[], float],
    until: str = "",
) -> Shrunk:
    """Return the smallest scenario that was found to fail in the same way.

    Args:
        scenario: A failing scenario without chaos: `Plan.drawn`.
        nodes: Names of the nodes.
        budget_s: No run starts that would probably end later than this.
        clock: Returns seconds.
        until: Place of the step that failed; what comes after it was not needed. Empty where no step failed.
    """
    search = _Search(scenario, fails, nodes, budget_s, clock)
    finished = True
    try:
        await search.truncate(until)
        await search.drop_steps()
        await search.drop_streams()
        await search.shorten()
    except StopSearchError:
        finished = False
    return Shrunk(scenario=search.best, candidates=search.candidates, runs=search.runs, finished=finished)


class _Search:
    """Tries candidates, and keeps the best one."""

    def __init__(
        self, best: Scenario, fails: Fails, nodes: Sequence[str], budget_s: float, clock: Callable[[], float]
    ) -> None:
        self.best = best
        self.candidates = self.runs = 0
        self._fails, self._nodes, self._clock = fails, nodes, clock
        self._end_s = clock() + budget_s
        self._longest_s = 0.0

    async def _keep(self, candidate: Scenario) -> bool:
        """Keep a candidate if it fails as well: run it until two runs agree."""
        if find(candidate, self._nodes):
            return False
        self.candidates += 1
        failed = 0
        for run in range(1, RUNS_MAX + 1):
            failed += await self._run(candidate)
            if failed >= FAILURES:
                self.best = candidate
                return True
            if run - failed > RUNS_MAX - FAILURES:
                break
        return False

    async def _run(self, candidate: Scenario) -> bool:
        began_s = self._clock()
        if began_s + self._longest_s > self._end_s:
            raise StopSearchError
        self.runs += 1
        failed = await self._fails(candidate)
        self._longest_s = max(self._longest_s, self._clock() - began_s)
        return failed

    async def truncate(self, until: str) -> None:
        """Drop what comes after the step that failed."""
        schedule = _up_to(self.best.schedule, until)
        if schedule != self.best.schedule:
            await self._keep(replace(self.best, schedule=schedule))

    async def drop_steps(self) -> None:
        """Drop as many units of steps as possible: large parts first, then smaller ones."""
        units = _units(self.best.schedule)
        parts = 2
        while len(units) >= 1:
            size = max(1, len(units) // parts)
            for start in range(0, len(units), size):
                rest = units[:start] + units[start + size :]
                if await self._keep(replace(self.best, schedule=_joined(rest))):
                    units, parts = rest, max(2, parts - 1)
                    break
            else:
                if size == 1:
                    return
                parts = min(len(units), 2 * parts)

    async def drop_streams(self) -> None:
        """Drop each stream that is not needed, with the expectations about it."""
        for stream in self.best.workload:
            steady = self.best.steady_state
            candidate = replace(
                self.best,
                workload=tuple(other for other in self.best.workload if other.name != stream.name),
                expectations=tuple(one for one in self.best.expectations if not _about(one.condition, stream.name)),
                steady_state=replace(
                    steady, conditions=tuple(one for one in steady.conditions if not _about(one, stream.name))
                ),
            )
            if candidate.workload and candidate.expectations:
                await self._keep(candidate)

    async def shorten(self) -> None:
        """Halve times and numbers of users, each until it no longer fails."""
        for index in range(len(self.best.schedule)):
            while (shorter := _shorter(self.best.schedule[index])) is not None:
                schedule = (*self.best.schedule[:index], shorter, *self.best.schedule[index + 1 :])
                if not await self._keep(replace(self.best, schedule=schedule)):
                    break
        for index in range(len(self.best.workload)):
            while (args := _less(self.best.workload[index].args)) is not None:
                smaller = replace(self.best.workload[index], args=args)
                workload = (*self.best.workload[:index], smaller, *self.best.workload[index + 1 :])
                if not await self._keep(replace(self.best, workload=workload)):
                    break


def _up_to(steps: Sequence[Step], place: str) -> tuple[Step, ...]:
    """Return the steps to the one that failed, or the one that contains it."""
    for index, step in enumerate(steps):
        if place and (step.place == place or (step.branches and place.startswith(f"{step.place}."))):
            return tuple(steps[: index + 1])
    return tuple(steps)


Unit = list[tuple[int, Step]]
"""Steps that are dropped together, with their places in the schedule."""


def _units(steps: Sequence[Step]) -> list[Unit]:
    """Divide a schedule: each step alone, but from a node's leaving to its return, or from a fault to its end, together."""
    units: list[Unit] = []
    away: dict[str, Unit] = {}
    for index, step in enumerate(steps):
        key = _disturbed(step)
        unit = away.get(key) if key else None
        if unit is None:
            unit = []
            units.append(unit)
        unit.append((index, step))
        if key:
            away[key] = unit
            if _ends(step):
                del away[key]
    return units


def _disturbed(step: Step) -> str:
    """Return the name of what a step disturbs or brings back; empty if it does neither."""
    if step.verb == "fault":
        return f"fault {step.args['as']}" if step.args["as"] else ""
    if step.verb == "heal":
        return f"fault {step.args['fault']}"
    return f"node {step.args['node']}" if step.verb in VERBS and VERBS[step.verb].before else ""


def _ends(step: Step) -> bool:
    if step.verb in ("fault", "heal"):
        return step.verb == "heal"
    after = VERBS[step.verb].after
    return after is not None and after(step.args) == ONLINE


def _joined(units: Sequence[Unit]) -> tuple[Step, ...]:
    return tuple(step for _, step in sorted((pair for unit in units for pair in unit), key=lambda pair: pair[0]))


def _about(condition: Condition, stream: str) -> bool:
    return condition.args.get("stream") == stream


def _shorter(step: Step) -> Step | None:
    """Return the step with half its time; None for one that takes no time of its own, or as little as makes sense."""
    for name in _times(step):
        seconds = step.args[name]
        if seconds > SHORTEST_S:
            return replace(step, args={**step.args, name: max(SHORTEST_S, round(seconds / 2, 3))})
    return None


def _times(step: Step) -> Iterator[str]:
    names = {"sleep": ("for",), "expect": ("for",), "restart": ("away",)}.get(step.verb, ())
    yield from (name for name in names if step.args[name] is not None)


def _less(args: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a stream's arguments with half as many users; None where one is left."""
    for name in USERS:
        if args.get(name, 0) > 1:
            return {**args, name: args[name] // 2}
    return None
