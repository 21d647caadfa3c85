"""The schema that editors use: it is valid, takes what the parser takes, and refuses the commonest mistakes."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import yaml
from jsonschema import Draft7Validator

from mocknode.script import layout, sources
from mocknode.script.editor_schema import scenario_schema
from mocknode.script.parsing import parse
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS


class Yaml12(yaml.SafeLoader):
    """A loader that takes the key `on` for a word, as the YAML 1.2 of editors does."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    return Draft7Validator(scenario_schema())


def wrong(validator: Draft7Validator, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(yaml.load(text, Loader=Yaml12))]


def test_it_is_a_schema_of_draft_07() -> None:
    Draft7Validator.check_schema(scenario_schema())


def test_every_word_has_a_place_and_a_description() -> None:
    schema = scenario_schema()
    found = _described(schema)
    assert {*VERBS, *CONDITIONS, *STREAMS, *layout.BLOCKS, *layout.TOP} <= found


def _described(schema: Any) -> set[str]:
    """Names of all properties that have a description."""
    if isinstance(schema, list):
        return {name for item in schema for name in _described(item)}
    if not isinstance(schema, dict):
        return set()
    properties = schema.get("properties")
    own = (
        {name for name, value in properties.items() if "description" in value}
        if isinstance(properties, dict)
        else set()
    )
    return own | {name for value in schema.values() for name in _described(value)}


def test_it_takes_a_file_that_has_every_part(validator: Draft7Validator, patch: str) -> None:
    assert wrong(validator, patch) == []


@pytest.mark.parametrize("name", sources.names())
def test_it_takes_the_library(validator: Draft7Validator, name: str) -> None:
    assert wrong(validator, sources.text_of(name)) == []


@pytest.mark.parametrize(
    "schedule",
    [
        "- drain: node-1\n- drain: {node: node-1}\n- resume: node-1",
        "- {restart: node-1, away: 5s}\n- restart: {node: node-1, away: 5s}",
        "- {wait: fair-share, within: 5s}\n- {wait: {upload-on: node-1, at: 5%}, within: calibrated}\n- wait: {quiet: node-1, within: 5s}",
        "- expect: {quiet: node-1, for: 15s}\n- {expect: {errors: {stream: builds, at-most: 3}}, within: 5s}",
        "- fault: {node: node-1, kind: think, options: [for=5s], first: 3, on: ping, as: slow}\n- heal: slow",
        "- for-each: {node: all}\n  do: [{drain: $node}, {resume: $node}]\n- {repeat: 2, do: [{mark: again}]}",
        "- parallel:\n  - [{drain: node-1}, {sleep: 5s}, {resume: node-1}]\n  - {task: 30s, count: 2}",
        "- chaos: {for: 1m, every: 1s..5s, lasting: 1s, pick: {drain: 4, fault reset: 1}, nodes: [node-1]}",
    ],
)  # fmt: skip
def test_schema_and_parser_take_the_same_steps(
    validator: Draft7Validator, schedule: str, with_schedule: Callable[[str], str]
) -> None:
    text = with_schedule(schedule)
    assert parse(text).schedule
    assert wrong(validator, text) == []


@pytest.mark.parametrize(
    "schedule",
    [
        "- dran: node-1",
        "- {drain: node-1, when: now}",
        "- offline: {node: node-1, how: crush}",
        "- sleep: 5",
        "- wait: {quit: node-1}\n  within: 5s",
        "- {wait: {quiet: node-1}, within: 5}",
        "- mark: 5",
        "- chaos: {for: 1m, every: 1s, lasting: 1s, pick: {crush: 1}}",
        "- {repeat: 2}",
    ],
)
def test_schema_and_parser_refuse_the_same_steps(
    validator: Draft7Validator, schedule: str, with_schedule: Callable[[str], str]
) -> None:
    text = with_schedule(schedule)
    with pytest.raises(ValueError, match=r"allowed|missing"):
        parse(text)
    assert wrong(validator, text)
