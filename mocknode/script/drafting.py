"""Writes new scenario files, with the schema that an editor completes them from."""

import json
import re
from pathlib import Path
from typing import Final

from mocknode.script import sources
from mocknode.script.editor_schema import scenario_schema
from mocknode.script.parsing import parse

SCHEMA_FILE: Final = "mocknode-scenario.schema.json"
_NAME: Final = re.compile(r"^name: .*$", re.MULTILINE)
_FIRST: Final = re.compile(r"[^A-Za-z]*")
_OTHER: Final = re.compile(r"[^A-Za-z0-9-]+")


def write(file: Path, source: str) -> Path:
    """Write a new scenario that runs as it is, and the schema beside it; return the schema's path.

    Args:
        source: Scenario to begin with: a name of the library, or a file.

    Raises:
        ScenarioError: there is no such scenario, or it has mistakes.
        OSError: a file exists already or cannot be written.
    """
    text = sources.text_of(source)
    parse(text, source)
    name = _OTHER.sub("-", _FIRST.sub("", file.stem, count=1)).strip("-")[:64] or "scenario"
    lines = f"# yaml-language-server: $schema={SCHEMA_FILE}\n{_NAME.sub(f'name: {name}', text, count=1)}"
    with file.open("x", encoding="utf-8") as new:
        new.write(lines)
    schema = file.with_name(SCHEMA_FILE)
    schema.write_text(f"{json.dumps(scenario_schema(), indent=2)}\n", encoding="utf-8")
    return schema
