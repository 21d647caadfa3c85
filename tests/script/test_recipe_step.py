"""The recipe "Add a step" of ARCHITECTURE.md, followed to the letter."""

from pathlib import Path

import pytest

from tests import recipe

SCENARIO = """\
mocknode-scenario: 1
name: x
claim: A claim.
cluster: {nodes: 2}
workload: {builds: {push: {}}}
schedule:
  - hiccup: node-1
  - hiccup: {node: node-2, lasting: 2s}
  - drain: node-1
expect: {always: [{ledger: builds, lost: 0}]}
"""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("step")
    touched = recipe.build("Add a step", folder)
    assert set(touched) == {
        "mocknode/script/verbs/hiccup.py",
        "mocknode/script/vocabulary.py",
        "mocknode/guide/scenarios.md",
    }
    return folder


def test_the_example_is_planned(scratch: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    done = recipe.run(scratch, "mocknode", "scenario", "plan", str(file))
    assert done.returncode == 0, done.stderr
    assert "  1  hiccup node-1\n  2  hiccup node-2, lasting 2s\n  3  drain node-1\n" in done.stdout


def test_the_example_is_refused_where_its_node_is_away(scratch: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SCENARIO.replace("  - hiccup: node-1\n", "  - {offline: node-2, how: crash}\n"), encoding="utf-8")
    done = recipe.run(scratch, "mocknode", "scenario", "validate", str(file))
    assert done.returncode == 2
    assert (
        f"{file}:8:5: hiccup node-2: it is offline (crash) since line 7 here, allowed: a node that is online"
        in done.stderr
    )


def test_the_example_passes_the_tests_of_every_step(scratch: Path) -> None:
    done = recipe.run_tests(
        scratch, "tests/script/test_editor_schema.py", "tests/script/test_library.py", "-k", "every_word"
    )
    assert done.returncode == 0, done.stdout + done.stderr
