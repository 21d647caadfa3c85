"""FIDELITY.md makes no claim without a source and a test that exists, and says where switches are."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from mocknode.cli.up import up

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "mocknode" / "FIDELITY.md").read_text()
# The matrix makes no claims, it has what a run found.
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## The client matrix")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| behaviour")
]
SOURCE = re.compile(r"(D|S|C|M|K|N|\?|-|I( (docs#)?\d+)?)")


@cache
def functions(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}


def test_there_are_claims():
    assert len(ROWS) >= 50


def flaws(row: list[str]) -> list[str]:
    """What keeps a row from being a claim with a source and a test."""
    behaviour, source, tests = row
    found = [] if behaviour else ["no behaviour"]
    found += [f"source {one!r}" for one in source.split(",") if not SOURCE.fullmatch(one.strip())]
    named = re.findall(r"`([^`]+)::(\w+)`", tests)
    if not named or re.sub(r"`[^`]+::\w+`(, )?", "", tests):
        found.append("something besides tests, or none")
    for path, name in named:
        if not name.startswith("test_") or not (ROOT / path).is_file() or name not in functions(path):
            found.append(f"{path} has no test {name}")
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_claim_has_a_source_and_a_test(row):
    assert flaws(row) == []


@pytest.mark.parametrize(
    ("row", "flaw"),
    [
        (["", "D", "`tests/test_fidelity.py::test_there_are_claims`"], "no behaviour"),
        (["x", "hearsay", "`tests/test_fidelity.py::test_there_are_claims`"], "source 'hearsay'"),
        (["x", "", "`tests/test_fidelity.py::test_there_are_claims`"], "source ''"),
        (["x", "D, I 7964", ""], "something besides tests, or none"),
        (["x", "D", "by hand"], "something besides tests, or none"),
        (["x", "D", "`tests/test_fidelity.py::test_there_are_claims`, soon"], "something besides tests, or none"),
        (["x", "D", "`tests/test_fidelity.py::functions`"], "tests/test_fidelity.py has no test functions"),
        (["x", "D", "`tests/test_fidelity.py::test_gone`"], "tests/test_fidelity.py has no test test_gone"),
        (["x", "D", "`tests/test_gone.py::test_gone`"], "tests/test_gone.py has no test test_gone"),
    ],
)
def test_a_claim_without_one_is_found(row, flaw):
    assert flaws(row) == [flaw]


def test_flags_that_are_named_exist():
    known = {option for parameter in up.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--cancel-tasks",
        "--wait",
    }
    named = set(re.findall(r"`(--[\w-]+)`", PAGE))
    assert named
    assert named <= known
