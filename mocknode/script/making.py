"""Scenarios written in Python: steps, conditions and streams by their words, with the defaults of the fields that are not given."""

from collections.abc import Sequence
from typing import Any

from mocknode.script.declared import Field
from mocknode.script.model import Condition, Step, Stream
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS


def step(verb: str, **args: Any) -> Step:
    """Return a step, such as `step("offline", node="node-1", how="crash")`; durations are seconds.

    Raises:
        TypeError: a field that the verb does not have, or that is missing.
    """
    return Step(verb=verb, args=_filled(verb, VERBS[verb].fields, args))


def condition(word: str, **args: Any) -> Condition:
    """Return a condition, such as `condition("quiet", node="node-1")`.

    Raises:
        TypeError: a field that the condition does not have, or that is missing.
    """
    return Condition(word=word, args=_filled(word, CONDITIONS[word].fields, args))


def stream(name: str, kind: str, **args: Any) -> Stream:
    """Return a stream, such as `stream("builds", "push", users=8)`.

    Raises:
        TypeError: a field that the kind of stream does not have, or that is missing.
    """
    return Stream(name=name, kind=kind, args=_filled(kind, STREAMS[kind].fields, args))


def _filled(word: str, fields: Sequence[Field], args: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by the names of the fields: `in_the_last` is `in-the-last`, `for_` is `for`."""
    given = {name.rstrip("_").replace("_", "-"): value for name, value in args.items()}
    known = {field.name: field for field in fields}
    if unknown := [name for name in given if name not in known]:
        raise TypeError(f"{word}: got {unknown[0]!r}, allowed: {', '.join(known)}")
    if missing := [field.name for field in fields if field.required and field.name not in given]:
        raise TypeError(f"{word}: the field {missing[0]!r} is missing")
    return {name: given.get(name, field.default) for name, field in known.items()}
