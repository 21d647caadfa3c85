"""The recipe "Add a balancer" of ARCHITECTURE.md, followed to the letter."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from mocknode.judge.balancers.template_variables import TemplateVariables
from tests import recipe

KIND = "lean"
TITLE = "Add a balancer"


def test_the_recipe_lists_every_variable_that_a_template_gets() -> None:
    table = re.findall(r"^\| (`.*?) \|", recipe.section(TITLE), re.MULTILINE)
    named = [name for cell in table for name in re.findall(r"`(\w+)", cell)]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(TemplateVariables))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("balancer")
    touched = recipe.build(TITLE, folder)
    own = {
        f"mocknode/judge/balancers/{KIND}/{name}" for name in ("__init__.py", "fixes.yaml", "recommended.lean.cfg.j2")
    }
    assert set(touched) == own | {"mocknode/judge/balancers/registry.py", "pyproject.toml"}
    return folder


@pytest.mark.balancer
def test_the_example_is_judged_as_a_real_process(scratch: Path) -> None:
    done = recipe.run(
        scratch,
        *("mocknode", "check", "--with", KIND, "--quick", "--only", "HC-01,PR-01,UP-02", "--json", "report.json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Lean 2." in done.stdout
    report = json.loads((scratch / "report.json").read_text(encoding="utf-8"))
    assert report["balancer"]["kind"] == KIND
    assert {check["id"]: check["outcome"] for check in report["checks"]} == {
        "HC-01": "pass",
        "PR-01": "pass",
        "UP-02": "pass",
    }


@pytest.mark.balancer
def test_the_example_prints_a_configuration_for_production(scratch: Path) -> None:
    done = recipe.run(scratch, "mocknode", "balancer", "config", KIND)
    assert done.returncode == 0, done.stderr
    assert "# --- /etc/lean/lean.cfg" in done.stdout
    assert "nbthread" not in done.stdout


@pytest.mark.balancer
def test_the_example_passes_the_tests_of_every_balancer(scratch: Path) -> None:
    done = recipe.run_tests(
        scratch,
        # On the wire the example is HAProxy, and its fixes are two of fifty.
        *("tests/judge/balancers", "-k", f"{KIND} and not fixed_or_a_limitation and not real_one_is_known"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
