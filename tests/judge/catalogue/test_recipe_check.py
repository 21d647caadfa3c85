"""The recipe "Add a check" of ARCHITECTURE.md, followed to the letter."""

import json
from pathlib import Path
from typing import Any

import pytest

from mocknode.judge.balancers import KINDS
from tests import recipe

pytestmark = pytest.mark.balancer
ID = "PR-90"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    touched = recipe.build("Add a check", folder)
    fixes = [f"mocknode/judge/balancers/{kind}/fixes.yaml" for kind in KINDS]
    registry = "mocknode/judge/catalogue/registry.py"
    product = {path for path in touched if not path.startswith("tests/")}
    assert product == {"mocknode/judge/catalogue/pr_90.py", registry, *fixes}
    return folder


def judged(scratch: Path, balancer: str) -> dict[str, Any]:
    done = recipe.run(
        scratch, "mocknode", "check", "--with", balancer, "--quick", "--only", ID, "--json", f"{balancer}.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (check,) = json.loads((scratch / f"{balancer}.json").read_text(encoding="utf-8"))["checks"]
    assert check["id"] == ID
    return dict(check)


def test_the_example_passes_a_real_haproxy(scratch: Path) -> None:
    check = judged(scratch, "haproxy")
    assert (check["outcome"], check["cause"], check["fixes"]) == ("pass", None, [])


def test_the_example_finds_its_cause_in_a_real_nginx_and_shows_the_fix(scratch: Path) -> None:
    check = judged(scratch, "nginx")
    assert (check["outcome"], check["cause"]) == ("advice", "underscore-header-dropped")
    assert [fix["snippet"] for fix in check["fixes"]] == ["+ underscores_in_headers on;"]


def test_the_example_is_explained_with_the_fix_of_each_product(scratch: Path) -> None:
    done = recipe.run(scratch, "mocknode", "explain", ID)
    assert done.returncode == 0, done.stderr
    for line in (
        "+ underscores_in_headers on;",
        "- http-request del-header _ -m sub",
        "DROP_HEADER",
        "+ expected_underscore_headers",
    ):
        assert line in done.stdout


def test_the_example_passes_the_tests_of_every_check(scratch: Path) -> None:
    done = recipe.run_tests(
        scratch,
        *("tests/judge/catalogue/test_causes.py", "tests/judge/balancers/test_balancer_fixes.py"),
        *("tests/judge/run/test_any_history.py", "tests/judge/report/test_cli_explain.py"),
        *("-k", f"{ID} or underscore-header-dropped or declare or lines_to_paste or does_not_exist"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
