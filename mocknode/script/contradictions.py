"""Mistakes of a schedule as a whole: names that do not exist, two disturbances of one node, no node left to serve. No I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mocknode.script import layout
from mocknode.script.declared import OFFLINE, ONLINE, Field
from mocknode.script.model import Condition, Scenario, Step
from mocknode.script.reading import Mistake, Position
from mocknode.script.values import NODE, STREAM, UPLOADS, short
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS
from mocknode.text.suggestions import did_you_mean

UNREACHABLE: Final = ("crash", "freeze")
"""Forms of being offline in which a node takes no fault, because its process does not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Now:
    """The state of a node, and the line of the step that it comes from."""

    state: str = ONLINE
    how: str | None = None
    line: int = 0

    def __str__(self) -> str:
        return (f"{self.state} ({self.how})" if self.how else self.state) + (
            f" since line {self.line}" if self.line else ""
        )


def find(scenario: Scenario, nodes: Sequence[str]) -> list[Mistake]:
    """Return the mistakes of a scenario for a cluster with these nodes."""
    walk = _Walk(nodes)
    for step in _all(scenario.schedule):
        fields, args = _declared(step)
        walk.mistakes += [_mistake(step, text) for text in _unknown(args, fields, nodes, scenario)]
    for expectation in scenario.expectations:
        at = Position(expectation.line, 1 if expectation.line else 0)
        walk.mistakes += [Mistake(at, text) for text in _unknown_in(expectation.condition, nodes, scenario)]
    for condition in scenario.steady_state.conditions:
        walk.mistakes += [Mistake(Position(), text) for text in _unknown_in(condition, nodes, scenario)]
    if not walk.mistakes:
        walk.steps(scenario.schedule, {node: _Now() for node in nodes})
        walk.refuse_no_node()
    return walk.mistakes


class _Walk:
    """Follows the states of the nodes through a schedule, without time."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.mistakes: list[Mistake] = []
        self._nodes = nodes
        self._faults: dict[str, str] = {}
        self._served = False
        self._last_away: Step | None = None

    def steps(self, steps: Sequence[Step], states: dict[str, _Now]) -> set[str]:
        """Follow steps, change `states`, and return the nodes that they disturb."""
        touched: set[str] = set()
        for step in steps:
            if step.verb == layout.PARALLEL:
                touched |= self._parallel(step, states)
            elif step.verb == layout.CHAOS:
                touched |= self._chaos(step, states)
            else:
                touched |= self._step(step, states)
            if _takes_time(step) and any(now.state == ONLINE for now in states.values()):
                self._served = True
        return touched

    def refuse_no_node(self) -> None:
        """Note a schedule in which no node serves while time passes."""
        if self._last_away is not None and not self._served and not self.mistakes:
            text = "no node is online during any wait, sleep or expectation of the schedule; allowed: schedules in which one can serve"
            self.mistakes.append(_mistake(self._last_away, text))

    def _step(self, step: Step, states: dict[str, _Now]) -> set[str]:
        node = step.args.get("node")
        if step.verb in VERBS and VERBS[step.verb].before and isinstance(node, str):
            self._change(step, node, states)
            return {node}
        if step.verb == "fault" and isinstance(node, str):
            self._fault(step, node, states)
            return {node}
        if step.verb == "heal":
            name = step.args["fault"]
            if self._faults.pop(name, None) is None:
                allowed = ", ".join(self._faults) or "none is set here"
                self.mistakes.append(
                    _mistake(step, f"heal: got {name!r}, allowed: {allowed}{did_you_mean(name, list(self._faults))}")
                )
        return set()

    def _change(self, step: Step, node: str, states: dict[str, _Now]) -> None:
        now, verb = states[node], VERBS[step.verb]
        if now.state not in verb.before:
            allowed = f"a node that is {' or '.join(verb.before)}"
            self.mistakes.append(_mistake(step, f"{step.verb} {node}: it is {now} here, allowed: {allowed}"))
        after = ONLINE if verb.after is None else verb.after(step.args)
        how = step.args.get("how") if after == OFFLINE else None
        states[node] = _Now(state=after, how=how, line=step.line)
        if not any(state.state == ONLINE for state in states.values()):
            self._last_away = step

    def _fault(self, step: Step, node: str, states: dict[str, _Now]) -> None:
        if states[node].how in UNREACHABLE:
            self.mistakes.append(
                _mistake(step, f"fault {node}: it is {states[node]} here, allowed: a node whose process runs")
            )
        name = step.args["as"]
        if name is not None and name in self._faults:
            self.mistakes.append(
                _mistake(
                    step,
                    f"fault: got the name {name!r}, which a fault at {self._faults[name]} has; allowed: another name",
                )
            )
        if name is not None:
            self._faults[name] = node

    def _parallel(self, step: Step, states: dict[str, _Now]) -> set[str]:
        before, touched = dict(states), dict[str, int]()
        for number, branch in enumerate(step.branches, 1):
            own = dict(before)
            for node in sorted(self.steps(branch, own)):
                if node in touched:
                    text = (
                        f"branches {touched[node]} and {number} both disturb {node}; allowed: one branch for each node"
                    )
                    self.mistakes.append(_mistake(step, text))
                touched[node] = number
                states[node] = own[node]
        return set(touched)

    def _chaos(self, step: Step, states: dict[str, _Now]) -> set[str]:
        chosen = step.args["nodes"] or self._nodes
        for node in chosen:
            if states[node].state != ONLINE:
                self.mistakes.append(
                    _mistake(step, f"chaos: {node} is {states[node]} here, allowed: nodes that are online")
                )
        away, most = step.args["at-most-away"], len(self._nodes) - 1
        if not 1 <= away <= most:
            allowed = (
                f"1 to {most}, so that a node can serve"
                if most
                else "clusters of 2 nodes or more, so that a node can serve"
            )
            self.mistakes.append(_mistake(step, f"chaos: at-most-away: got {away}, allowed: {allowed}"))
        most_often = int(step.args["for"] / step.args["every"][0])
        if most_often > layout.DISTURBANCES_MAX:
            text = f"chaos: every {short(step.args['every'][0])} for {short(step.args['for'])} makes up to {most_often} disturbances"
            self.mistakes.append(_mistake(step, f"{text}, allowed: {layout.DISTURBANCES_MAX}"))
        return set(chosen)


def _takes_time(step: Step) -> bool:
    if step.verb == "expect":
        return step.args["within"] is not None or step.args["for"] is not None
    return step.verb in ("wait", "sleep", layout.CHAOS)


def _all(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        for branch in step.branches:
            yield from _all(branch)


def _declared(step: Step) -> tuple[Sequence[Field], Mapping[str, Any]]:
    if step.verb in VERBS:
        return VERBS[step.verb].fields, step.args
    return layout.CHAOS_FIELDS if step.verb == layout.CHAOS else (), step.args


def _unknown_in(condition: Condition, nodes: Sequence[str], scenario: Scenario) -> list[str]:
    return _unknown(condition.args, CONDITIONS[condition.word].fields, nodes, scenario)


def _unknown(args: Mapping[str, Any], fields: Sequence[Field], nodes: Sequence[str], scenario: Scenario) -> list[str]:
    found = []
    for field in fields:
        values = args[field.name] if field.many else (args[field.name],)
        for value in values:
            if isinstance(value, Condition):
                found += _unknown_in(value, nodes, scenario)
            elif value is not None and field.kind is not None:
                known: Sequence[str] | None = None
                if field.kind is NODE:
                    known = nodes
                elif field.kind in (STREAM, UPLOADS):
                    known = [s.name for s in scenario.workload if STREAMS[s.kind].uploads or field.kind is STREAM]
                if known is not None and value not in known:
                    allowed = ", ".join(known) or "none"
                    found.append(f"got {field.kind.name} {value!r}, allowed: {allowed}{did_you_mean(value, known)}")
    return found


def _mistake(step: Step, text: str) -> Mistake:
    return Mistake(Position(step.line, step.column), text if step.line else f"step {step.place}: {text}")
