"""A plan: the schedule with everything decided that can be decided before a run. It has no times that depend on events. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mocknode.script import layout
from mocknode.script.as_written import step_text
from mocknode.script.chaos import draw
from mocknode.script.contradictions import find
from mocknode.script.model import Scenario, Step
from mocknode.script.reading import ScenarioError
from mocknode.script.values import CALIBRATED

NODES: Final = ("node-1", "node-2", "node-3")
"""Nodes of a plan whose scenario does not say how many there are; `mocknode up` starts as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A step of a plan.

    Attributes:
        id: Unique in the plan, and the same for every seed: `3`, `1.2.4`, and `5.1.7` in a branch.
        text: The step on one line.
        branches: Steps side by side; chaos has one branch, with the disturbances that the seed drew.
        left_out: Disturbances of chaos that the seed does not use.
    """

    id: str
    step: Step
    text: str
    branches: tuple[tuple["Planned", ...], ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run carries out.

    Attributes:
        nodes: Names of the nodes.
    """

    scenario: Scenario
    seed: int
    nodes: tuple[str, ...]
    steps: tuple[Planned, ...]

    @property
    def all_steps(self) -> Iterator[Planned]:
        """Every step, those in branches included, in the order of the plan."""
        return _walk(self.steps)

    @property
    def drawn(self) -> Scenario:
        """The scenario with the disturbances that the seed drew in place of chaos; it needs no seed any more."""
        return replace(self.scenario, schedule=_drawn(self.steps))

    @property
    def calibrated(self) -> bool:
        """Whether a bound has to be measured before the run: `within: calibrated`."""
        return any(planned.step.args.get("within") == CALIBRATED for planned in self.all_steps)


def plan(scenario: Scenario, nodes: Sequence[str] | None = None, seed: int = 1, source: str = "scenario") -> Plan:
    """Plan a scenario for a cluster.

    Args:
        nodes: Names of its nodes; None takes as many as the scenario says.
        source: Name of the file, for messages.

    Raises:
        ScenarioError: a step names a node or a stream that does not exist, or contradicts another step.
    """
    if nodes is None:
        nodes = NODES if scenario.nodes is None else [f"node-{number}" for number in range(1, scenario.nodes + 1)]
    placed = replace(scenario, schedule=_placed(scenario.schedule, ""))
    if mistakes := find(placed, nodes):
        raise ScenarioError(source, mistakes)
    steps = tuple(_planned(step, nodes, seed) for step in placed.schedule)
    return Plan(scenario=placed, seed=seed, nodes=tuple(nodes), steps=steps)


def _placed(steps: Sequence[Step], prefix: str) -> tuple[Step, ...]:
    """Number the steps that no file has numbered."""
    found = []
    for number, step in enumerate(steps, 1):
        place = step.place or f"{prefix}{number}"
        branches = tuple(_placed(branch, f"{place}.{count}.") for count, branch in enumerate(step.branches, 1))
        found.append(replace(step, place=place, branches=branches))
    return tuple(found)


def _planned(step: Step, nodes: Sequence[str], seed: int) -> Planned:
    text = step_text(step)
    if step.verb != layout.CHAOS:
        branches = tuple(tuple(_planned(inner, nodes, seed) for inner in branch) for branch in step.branches)
        return Planned(id=step.place, step=step, text=text, branches=branches)
    drawn = draw(step, step.args["nodes"] or nodes, seed)
    inner = (
        Planned(id=f"{step.place}.{number}", step=replace(one, line=step.line, column=step.column), text=step_text(one))
        for number, one in enumerate(drawn.steps, 1)
    )
    return Planned(id=step.place, step=step, text=text, branches=(tuple(inner),), left_out=drawn.left_out)


def _walk(steps: Sequence[Planned]) -> Iterator[Planned]:
    for planned in steps:
        yield planned
        for branch in planned.branches:
            yield from _walk(branch)


def _drawn(steps: Sequence[Planned]) -> tuple[Step, ...]:
    found: list[Step] = []
    for planned in steps:
        branches = tuple(_drawn(branch) for branch in planned.branches)
        if planned.step.verb == layout.CHAOS:
            found += branches[0]
        else:
            # Steps that chaos drew get their ids, so that a record of the run finds them.
            found.append(replace(planned.step, place=planned.id, branches=branches))
    return tuple(found)
