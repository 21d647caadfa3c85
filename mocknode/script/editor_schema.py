"""The JSON Schema of scenario files, made from the declarations that the parser reads with. Editors complete and explain from it.

It is of draft-07, which editors know best. It says less than the parser: names of nodes and streams, and what contradicts what, are known
to the parser alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mocknode.script import layout
from mocknode.script.declared import ConditionShape, Field, StreamShape, Verb
from mocknode.script.model import VERSION
from mocknode.script.values import (
    BOUND,
    COUNT,
    DURATION,
    DURATIONS,
    NODE,
    OPTION,
    PARAMETER_KINDS,
    SHARE,
    SIZE,
    SIZES,
    STATUS,
    STREAM,
    TEXT,
    UPLOADS,
    WITHIN,
    WORD,
    Kind,
)
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
ID: Final = "https://mocknode.invalid/scenario-1.schema.json"
_VARIABLE: Final[Mapping[str, Any]] = {
    "type": "string",
    "pattern": r"^\$[A-Za-z]",
    "description": "A parameter or the variable of a loop.",
}
_STEPS: Final[Mapping[str, Any]] = {"type": "array", "items": {"$ref": "#/definitions/step"}}
_SHARED: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        DURATION,
        DURATIONS,
        WITHIN,
        BOUND,
        SIZE,
        SIZES,
        SHARE,
        COUNT,
        STATUS,
        WORD,
        TEXT,
        OPTION,
        NODE,
        STREAM,
        UPLOADS,
    )
}
"""Kinds that many fields have; each is one definition."""
_WAITING: Final = [verb for verb in VERBS.values() if any(field.kind is None for field in verb.fields)]
_CONDITION: Final[Mapping[str, Any]] = {"$ref": "#/definitions/condition"}


def scenario_schema() -> Schema:
    """Return the schema."""
    parts = {
        layout.VERSION_KEY: {"const": VERSION},
        "name": _value(WORD),
        "claim": _value(TEXT),
        "needs": {"type": "array", "items": dict(layout.NEED.schema)},
        "parameters": _named(_parameter()),
        "cluster": _object(layout.CLUSTER),
        "workload": {**_named({"$ref": "#/definitions/stream"}), "minProperties": 1},
        "steady-state": _object(layout.STEADY_STATE),
        "schedule": dict(_STEPS),
        "expect": _expect(),
    }
    return {
        "$schema": DRAFT,
        "$id": ID,
        "title": "mocknode scenario",
        "type": "object",
        "properties": {key: {**schema, "description": layout.TOP[key]} for key, schema in parts.items()},
        "required": list(layout.REQUIRED),
        "additionalProperties": False,
        "definitions": {
            **{_kind(kind): {"anyOf": _choices(kind)} for kind in _SHARED.values()},
            "step": {"anyOf": [*(_verb(verb) for verb in VERBS.values()), *_blocks()]},
            "condition": {"anyOf": _looked_at()},
            **{
                _inside(verb): {"anyOf": [_with(choice, _beside(verb)) for choice in _looked_at()]} for verb in _WAITING
            },
            "expectation": {
                "anyOf": [choice for shape in CONDITIONS.values() if shape.judge for choice in _condition(shape)]
            },
            "stream": {"anyOf": [_stream(shape) for shape in STREAMS.values()]},
        },
    }


def _parameter() -> Schema:
    default = {
        "description": "The value without --set.",
        "anyOf": [dict(kind.schema) for kind in PARAMETER_KINDS.values()],
    }
    found = _object(layout.PARAMETER)
    found["properties"][layout.DEFAULT] = default
    found["required"].append(layout.DEFAULT)
    return found


def _expect() -> Schema:
    times: Schema = {}
    for when, about in layout.WHENS.items():
        items: Schema = {"$ref": "#/definitions/expectation"}
        if when == "eventually":
            bound = {"within": {**_value(DURATION), "description": "The longest wait after the schedule."}}
            shapes = [shape for shape in CONDITIONS.values() if shape.look]
            items = {
                "anyOf": [_with(choice, bound, required=["within"]) for shape in shapes for choice in _condition(shape)]
            }
        times[when] = {"type": "array", "items": items, "description": about}
    return {"type": "object", "properties": times, "additionalProperties": False, "minProperties": 1}


def _verb(verb: Verb) -> Schema:
    """Return `{drain: node-1}`, `{offline: {node: node-1, how: crash}}` and `{wait: ..., within: 60s}`."""
    short = next((field for field in verb.fields if field.name == verb.short), None)
    others = _beside(verb)
    if short is not None and short.kind is None:
        # Fields of the verb stand beside the condition or in its mapping.
        inside = {"anyOf": [{"$ref": f"#/definitions/{_inside(verb)}"}], "description": verb.about}
        return _entry(verb.word, {verb.word: inside, **others})
    value = {**_word_value(verb.fields, verb.short), "description": verb.about}
    return _entry(verb.word, {verb.word: value, **others})


def _beside(verb: Verb) -> Schema:
    return {field.name: _field(field) for field in verb.fields if field.name != verb.short}


def _inside(verb: Verb) -> str:
    """Name of the definition of a condition that has the verb's other fields in its mapping: `{quiet: node-1, for: 15s}`."""
    return f"condition-of-{verb.word}"


def _looked_at() -> list[Schema]:
    return [choice for shape in CONDITIONS.values() if shape.look for choice in _condition(shape)]


def _condition(shape: ConditionShape) -> list[Schema]:
    others = {field.name: _field(field) for field in shape.fields if field.name != shape.short}
    value = {**_word_value(shape.fields, shape.short), "description": shape.about}
    found = [_entry(shape.word, {shape.word: value, **others})]
    if not any(field.required for field in shape.fields):
        found.append({"const": shape.word, "description": shape.about})
    return found


def _stream(shape: StreamShape) -> Schema:
    return _entry(shape.word, {shape.word: {**_word_value(shape.fields, shape.short), "description": shape.about}})


def _word_value(fields: Sequence[Field], short: str | None) -> Schema:
    """Return what stands behind a word: the short field alone, or a mapping of all fields."""
    bare = next((field for field in fields if field.name == short), None)
    choices = [_object(fields, required=False)]
    if bare is not None:
        choices.insert(0, _field(bare))
    if not any(field.required for field in fields):
        choices.append({"type": "null"})
    return {"anyOf": choices}


def _blocks() -> list[Schema]:
    chaos = _object(layout.CHAOS_FIELDS)
    weight = {"type": "integer", "minimum": 1, "maximum": layout.WEIGHT_MAX}
    picks = {word: dict(weight) for word in layout.DISTURBANCES}
    chaos["properties"][layout.PICK] = {**_object_of(picks, []), "minProperties": 1, "description": layout.PICK_ABOUT}
    chaos["required"].append(layout.PICK)
    values = {"anyOf": [{"type": "array", "minItems": 1}, {"const": layout.ALL}]}
    branches = {"type": "array", "items": {"anyOf": [dict(_STEPS), {"$ref": "#/definitions/step"}]}}
    body = {**_STEPS, "minItems": 1, "description": "The steps of a round."}
    shapes: dict[str, tuple[Schema, Schema]] = {
        layout.FOR_EACH: ({**_named(values), "minProperties": 1, "maxProperties": 1}, {layout.DO: body}),
        layout.REPEAT: (_value(COUNT), {layout.DO: body}),
        layout.PARALLEL: (branches, {}),
        layout.CHAOS: (chaos, {}),
    }
    return [
        _entry(word, {word: {**shape, "description": layout.BLOCKS[word]}, **beside}, list(beside))
        for word, (shape, beside) in shapes.items()
    ]


def _field(field: Field) -> Schema:
    one = dict(_CONDITION) if field.kind is None else _value(field.kind)
    found: Schema = {"anyOf": [{"type": "array", "items": one}, one]} if field.many else one
    if "$ref" in found:
        found = {"anyOf": [found]}
    default = field.default
    if field.kind is not None and default is not None and not field.many and not field.required:
        found = {
            **found,
            "default": default if field.kind.schema.get("type") == "integer" else field.kind.show(default),
        }
    return {**found, "description": field.about}


def _value(kind: Kind) -> Schema:
    if _SHARED.get(kind.name) is kind:
        return {"anyOf": [{"$ref": f"#/definitions/{_kind(kind)}"}]}
    return {"anyOf": _choices(kind)}


def _kind(kind: Kind) -> str:
    return f"kind-{kind.name.replace(' ', '-')}"


def _choices(kind: Kind) -> list[Schema]:
    own = kind.schema.get("anyOf", [kind.schema])
    return [*(dict(schema) for schema in own), dict(_VARIABLE)]


def _object(fields: Sequence[Field], *, required: bool = True) -> Schema:
    needed = [field.name for field in fields if field.required] if required else []
    return _object_of({field.name: _field(field) for field in fields}, needed)


def _entry(word: str, properties: Mapping[str, Any], required: Sequence[str] = ()) -> Schema:
    """Return the mapping that a word begins; editors list it under its title."""
    return {"title": word, **_object_of(properties, [word, *required])}


def _object_of(properties: Mapping[str, Any], required: Sequence[str]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False}


def _with(schema: Schema, properties: Mapping[str, Any], required: Sequence[str] = ()) -> Schema:
    """Add keys to a schema of an object; another one is returned as it is."""
    if "properties" not in schema:
        return schema
    return {
        **schema,
        "properties": {**schema["properties"], **properties},
        "required": [*schema["required"], *required],
    }


def _named(values: Schema) -> Schema:
    return {"type": "object", "patternProperties": {WORD.schema["pattern"]: values}, "additionalProperties": False}
