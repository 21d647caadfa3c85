"""Scenarios as text that `parsing` reads: what Python code made, or what a plan drew. Loops are written unrolled, and values as they are."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mocknode.script import layout
from mocknode.script.declared import Field
from mocknode.script.fields import is_typed
from mocknode.script.model import VERSION, Condition, Scenario, Step
from mocknode.script.values import short
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.%-]*", re.ASCII)
"""Text that needs no quotes anywhere."""


def written(scenario: Scenario, comments: Sequence[str] = ()) -> str:
    """Return the text of a scenario.

    Args:
        comments: Lines to put at the top, such as how it was found.
    """
    return "".join(f"{line}\n" for line in [*(f"# {comment}".rstrip() for comment in comments), *_lines(scenario)])


def _lines(scenario: Scenario) -> Iterator[str]:
    yield f"{layout.VERSION_KEY}: {VERSION}"
    yield f"name: {_text(scenario.name)}"
    yield f"claim: {_text(scenario.claim)}"
    if scenario.needs:
        yield f"needs: [{', '.join(scenario.needs)}]"
    cluster = {"nodes": scenario.nodes, "tasks-per-node": scenario.tasks_per_node}
    if given := ", ".join(f"{name}: {value}" for name, value in cluster.items() if value is not None):
        yield f"cluster: {{{given}}}"
    yield "workload:"
    for stream in scenario.workload:
        yield f"  {stream.name}: {{{stream.kind}: {{{_given(stream.args, STREAMS[stream.kind].fields)}}}}}"
    steady = scenario.steady_state
    if steady.conditions:
        conditions = ", ".join(_condition(condition) for condition in steady.conditions)
        yield f"steady-state: {{within: {short(steady.within)}, all: [{conditions}]}}"
    yield "schedule:" if scenario.schedule else "schedule: []"
    yield from (f"  - {_step(step)}" for step in scenario.schedule)
    yield "expect:"
    for when in layout.WHENS:
        expectations = [one for one in scenario.expectations if one.when == when]
        if expectations:
            yield f"  {when}:"
        for one in expectations:
            condition = _condition(one.condition)
            yield f"    - {condition[:-1]}, within: {short(one.within)}}}" if one.within else f"    - {condition}"


def _step(step: Step) -> str:
    if step.verb == layout.PARALLEL:
        branches = ", ".join(f"[{', '.join(_step(inner) for inner in branch)}]" for branch in step.branches)
        return f"{{{step.verb}: [{branches}]}}"
    if step.verb == layout.CHAOS:
        picks = ", ".join(f"{word}: {weight}" for word, weight in step.args[layout.PICK])
        return f"{{{step.verb}: {{{_given(step.args, layout.CHAOS_FIELDS)}, {layout.PICK}: {{{picks}}}}}}}"
    return _entry(step.verb, step.args, VERBS[step.verb].fields, VERBS[step.verb].short)


def _condition(condition: Condition) -> str:
    shape = CONDITIONS[condition.word]
    return _entry(condition.word, condition.args, shape.fields, shape.short)


def _entry(word: str, args: Mapping[str, Any], fields: Sequence[Field], first: str | None) -> str:
    """Return `{drain: node-1}`, or `{offline: {node: node-1, how: crash}}` where fields beside the first one are given."""
    own = next((field for field in fields if field.name == first), None)
    rest = [field for field in fields if field is not own]
    if own is None or args[own.name] is None:
        return f"{{{word}: {{{_given(args, fields)}}}}}"
    beside = _given(args, rest)
    return f"{{{word}: {_value(args[own.name], own)}{', ' if beside else ''}{beside}}}"


def _given(args: Mapping[str, Any], fields: Sequence[Field]) -> str:
    """Return the fields whose values are not the defaults."""
    return ", ".join(
        f"{field.name}: {_value(args[field.name], field)}"
        for field in fields
        if args[field.name] is not None and (field.required or args[field.name] != field.default)
    )


def _value(value: Any, field: Field) -> str:
    if field.many:
        return f"[{', '.join(_one(item, field) for item in value)}]"
    return _one(value, field)


def _one(value: Any, field: Field) -> str:
    if field.kind is None:
        return _condition(value)
    shown = field.kind.show(value)
    return shown if field.kind.schema.get("type") == "integer" else _text(shown)


def _text(text: str) -> str:
    """Return text, in quotes where YAML could take it for something else."""
    return text if _PLAIN.fullmatch(text) and not is_typed(text) else json.dumps(text, ensure_ascii=False)
