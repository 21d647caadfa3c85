"""Steps, conditions and streams as people write them, on one line: for plans, messages and timelines."""

from collections.abc import Mapping, Sequence
from typing import Any

from mocknode.script import layout
from mocknode.script.declared import OFFLINE, Field
from mocknode.script.model import Condition, Step, Stream
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS


def step_text(step: Step) -> str:
    """Return a step, such as `wait upload-on node-1, at 30%, within 60s`."""
    if step.verb == layout.PARALLEL:
        return f"{step.verb}, {len(step.branches)} branches"
    if step.verb == layout.CHAOS:
        picks = ", ".join(f"{word} {weight}" for word, weight in step.args[layout.PICK])
        return f"{step.verb} {_details(step.args, layout.CHAOS_FIELDS)}, {layout.PICK} {picks}"
    verb = VERBS[step.verb]
    # How a node is taken away belongs on the line even where it is the default.
    away = verb.after is not None and verb.after(step.args) == OFFLINE
    return _line(step.verb, step.args, verb.fields, verb.short, all_of_them=away)


def words_of(condition: Condition) -> str:
    """Return a condition, such as `upload-on node-1, at 30%`."""
    shape = CONDITIONS[condition.word]
    return _line(condition.word, condition.args, shape.fields, shape.short)


def stream_text(stream: Stream) -> str:
    """Return what a stream sends, such as `push users 8, sizes 64KiB..16MiB`."""
    return f"{stream.kind} {_details(stream.args, STREAMS[stream.kind].fields, all_of_them=True)}".strip()


def _line(
    word: str, args: Mapping[str, Any], fields: Sequence[Field], short: str | None, *, all_of_them: bool = False
) -> str:
    own = next((field for field in fields if field.name == short and args[field.name] is not None), None)
    rest = _details(args, [field for field in fields if field is not own], all_of_them=all_of_them)
    if own is None:
        return f"{word} {rest}".strip()
    return ", ".join(filter(None, (f"{word} {_shown(args[own.name], own)}", rest)))


def _details(args: Mapping[str, Any], fields: Sequence[Field], *, all_of_them: bool = False) -> str:
    return ", ".join(
        f"{field.name} {_shown(args[field.name], field)}"
        for field in fields
        if args[field.name] is not None and (field.required or all_of_them or args[field.name] != field.default)
    )


def _shown(value: Any, field: Field) -> str:
    if field.many:
        return f"[{', '.join(_one(item, field) for item in value)}]"
    return _one(value, field)


def _one(value: Any, field: Field) -> str:
    return words_of(value) if field.kind is None else field.kind.show(value)
