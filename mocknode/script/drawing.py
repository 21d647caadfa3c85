"""A plan as text for people, and as JSON values for programs. The same plan is always the same bytes."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mocknode.script import layout
from mocknode.script.as_written import stream_text, words_of
from mocknode.script.model import Condition
from mocknode.script.planning import Plan, Planned
from mocknode.script.values import short

VERSION: Final = 1
"""Version of the JSON document."""
_STRIP: Final = 60
"""Characters of a node's line in the picture of chaos."""
_LETTERS: Final = {"drain": "d", "offline": "x", "fault": "f"}
_ENDS: Final = ("resume", "online", "heal")


def text(plan: Plan) -> str:
    """Return the plan as it is printed."""
    return "".join(f"{line}\n" for line in _lines(plan))


def document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON values; durations are seconds and sizes bytes."""
    scenario = plan.scenario
    return {
        "mocknode-plan": VERSION,
        "scenario": scenario.name,
        "claim": scenario.claim,
        "needs": list(scenario.needs),
        "seed": plan.seed,
        "nodes": list(plan.nodes),
        "calibrated": plan.calibrated,
        "workload": {one.name: {"kind": one.kind, **_values(one.args)} for one in scenario.workload},
        "steady-state": {
            "within": scenario.steady_state.within,
            "all": [_value(condition) for condition in scenario.steady_state.conditions],
        },
        "steps": [_step(planned) for planned in plan.steps],
        "expect": [
            {"when": one.when, **({"within": one.within} if one.within else {}), **_value(one.condition)}
            for one in scenario.expectations
        ],
    }


def _step(planned: Planned) -> dict[str, Any]:
    step = planned.step
    found: dict[str, Any] = {"id": planned.id, "verb": step.verb, "text": planned.text, **_values(step.args)}
    if step.line:
        found["line"] = step.line
    if planned.branches:
        found["branches"] = [[_step(inner) for inner in branch] for branch in planned.branches]
    if step.verb == layout.CHAOS:
        found["left-out"] = list(planned.left_out)
    return found


def _values(args: Any) -> dict[str, Any]:
    """Return arguments in the order of their names, without those that are not given."""
    return {name: _value(args[name]) for name in sorted(args) if args[name] is not None}


def _value(value: Any) -> Any:
    if isinstance(value, Condition):
        return {"condition": value.word, **_values(value.args)}
    return [_value(item) for item in value] if isinstance(value, tuple) else value


def _lines(plan: Plan) -> Iterator[str]:
    scenario = plan.scenario
    yield f"{scenario.name}: {scenario.claim}"
    yield f"seed {plan.seed}, nodes {', '.join(plan.nodes)}"
    if scenario.needs:
        yield f"needs {', '.join(scenario.needs)}"
    yield from ("", "workload")
    width = max(len(one.name) for one in scenario.workload)
    yield from (f"  {one.name:{width}}  {stream_text(one)}" for one in scenario.workload)
    steady = scenario.steady_state
    if steady.conditions:
        yield from ("", f"steady state, within {short(steady.within)}")
        yield from (f"  {words_of(condition)}" for condition in steady.conditions)
    yield from ("", "schedule")
    yield from _schedule(plan.steps, plan.nodes, "  ")
    yield from ("", "expect")
    for one in scenario.expectations:
        bound = f", within {short(one.within)}" if one.within else ""
        yield f"  {one.when:10}  {words_of(one.condition)}{bound}"


def _schedule(steps: Sequence[Planned], nodes: Sequence[str], indent: str) -> Iterator[str]:
    if not steps:
        yield f"{indent}nothing is done to the nodes"
    width = max((len(planned.id) for planned in steps), default=0)
    shown = ""
    for planned in steps:
        if planned.step.round != shown:
            shown = planned.step.round
            if shown:
                yield f"{indent}{shown}"
        inner = f"{indent}  " if shown else indent
        yield f"{inner}{planned.id:{width}}  {planned.text}"
        if planned.step.verb == layout.CHAOS:
            yield from _chaos(planned, nodes, f"{inner}  ")
        else:
            for number, branch in enumerate(planned.branches, 1):
                yield f"{inner}  branch {number}"
                yield from _schedule(branch, nodes, f"{inner}    ")


def _chaos(planned: Planned, nodes: Sequence[str], indent: str) -> Iterator[str]:
    """Draw each node's disturbances on a line of time, then list them with their times."""
    if planned.left_out:
        yield f"{indent}this seed leaves out {', '.join(planned.left_out)}"
    timed = list(_timed(planned.branches[0]))
    whole_s = max((at_s for at_s, _ in timed), default=0.0)
    strips = {node: ["."] * _STRIP for node in nodes}
    open_: dict[str, tuple[float, str, str]] = {}
    for at_s, one in timed:
        verb, args = one.step.verb, one.step.args
        if verb in _LETTERS:
            open_[args["as"] if verb == "fault" else args["node"]] = (at_s, args["node"], _LETTERS[verb])
        elif verb in _ENDS:
            began_s, node, letter = open_.pop(args["fault"] if verb == "heal" else args["node"])
            first, last = int(began_s / whole_s * (_STRIP - 1)), int(at_s / whole_s * (_STRIP - 1))
            strips[node][first : last + 1] = [letter] * (last + 1 - first)
    yield from (f"{indent}{node}  {''.join(strip)}" for node, strip in strips.items())
    yield f"{indent}0s to {short(whole_s)}; d drained, x offline, f fault"
    yield from (f"{indent}{one.id}  at {at_s:.3f}s  {one.text}" for at_s, one in timed if one.step.verb != "sleep")


def _timed(steps: Sequence[Planned]) -> Iterator[tuple[float, Planned]]:
    """Yield the steps of chaos with the seconds since it began."""
    at_s = 0.0
    for planned in steps:
        if planned.step.verb == "sleep":
            at_s = round(at_s + planned.step.args["for"], 3)
        yield at_s, planned
