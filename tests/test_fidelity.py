"""FIDELITY.md makes no claim without a source and a test that exists, and says where switches are."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from mocknode.cli.up import up

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "mocknode" / "FIDELITY.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| behaviour")
]
SOURCE = re.compile(r"(D|S|C|N|\?|-|I( (docs#)?\d+)?)")


@cache
def functions(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}


def test_there_are_claims():
    assert len(ROWS) >= 50


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_claim_has_a_source_and_a_test(row):
    behaviour, source, tests = row
    assert behaviour
    assert all(SOURCE.fullmatch(one.strip()) for one in source.split(",")), source
    named = re.findall(r"`([^`]+)::(\w+)`", tests)
    assert named
    assert re.sub(r"`[^`]+`(, )?", "", tests) == "", "something besides tests"
    for path, name in named:
        assert name.startswith("test_")
        assert name in functions(path), f"{path} has no {name}"


def test_flags_that_are_named_exist():
    known = {option for parameter in up.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--cancel-tasks",
        "--wait",
    }
    named = set(re.findall(r"`(--[\w-]+)`", PAGE))
    assert named
    assert named <= known
