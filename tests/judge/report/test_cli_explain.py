"""`mocknode explain`: saved reports, the catalogue, and what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from mocknode.cli.explain import explain
from mocknode.judge import balancers
from mocknode.judge.catalogue import registry as catalogue


def run(*arguments: str) -> Result:
    return CliRunner().invoke(explain, arguments)


@pytest.fixture
def report(tmp_path: Path, document: dict[str, Any]) -> str:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_saved_report_is_explained_offline(report: str) -> None:
    result = run("up-04", report)
    assert result.exit_code == 0
    assert result.output.startswith("· UP-04 node-think-time · advice")
    assert "timeout server 15m" in result.output


def test_the_directory_of_a_run_stands_for_its_report(report: str) -> None:
    assert run("UP-04", str(Path(report).parent)).output == run("UP-04", report).output
    assert run("UP-04", "/").exit_code == 2


@pytest.mark.parametrize("check_id", list(catalogue.CHECKS))
def test_catalogue_entry_names_the_claim(check_id: str) -> None:
    result = run(check_id)
    assert result.exit_code == 0
    check = catalogue.CHECKS[check_id]
    assert result.output.startswith(f"{check_id} {check.name} · {check.profile}\n")
    assert check.claim.split()[-1] in result.output


def test_catalogue_entry_shows_the_fix_of_each_balancer_that_has_one() -> None:
    cause = catalogue.cause_of("response-timeout")
    found = [fix for kind in balancers.KINDS if (fix := balancers.fix(kind, cause))]
    assert found
    output = run("UP-04").output
    for fix in [*found, balancers.generic_fix(cause)]:
        assert fix.snippet.split()[0] in output
        assert fix.file in output


def test_fix_and_limitation_of_several_causes_are_shown_once() -> None:
    output = run("HC-02").output
    redirect = catalogue.cause_of("accepts-redirect")
    fix, reason = balancers.fix("envoy", redirect), balancers.limitation("nginx", redirect)
    assert fix is not None
    assert fix == balancers.fix("envoy", catalogue.cause_of("accepts-4xx"))
    assert output.count(f"Envoy: {fix.file} (") == 1
    assert reason is not None
    assert output.count("nginx (accepts-redirect, accepts-other-2xx") == 1
    assert reason.split(".")[0][:40] in " ".join(output.split())


def test_unknown_check_is_a_usage_error_with_close_matches() -> None:
    result = run("UP-4")
    assert result.exit_code == 2
    assert re.search(r"ID: got 'UP-4', allowed: HC-01, .*did you mean UP-04\?", result.output)


def test_check_that_the_report_lacks_is_a_usage_error(report: str) -> None:
    result = run("TL-01", report)
    assert result.exit_code == 2
    assert "got 'TL-01', allowed: HC-01, HC-02" in result.output


def test_check_that_was_planned_and_not_judged_is_a_usage_error(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**document, "unfinished": ["TL-01"]}), encoding="utf-8")
    result = run("TL-01", str(path))
    assert result.exit_code == 2
    assert "TL-01 was planned, but the run ended before it was judged" in result.output


def test_report_of_another_schema_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"schema": "mocknode-report/9"}', encoding="utf-8")
    result = run("UP-04", str(path))
    assert result.exit_code == 2
    assert "has the schema 'mocknode-report/9'; this version shows 'mocknode-report/1'" in result.output


def test_report_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = run("UP-04", str(tmp_path / "none.json"))
    assert result.exit_code == 2
    assert "No such file" in result.output


def test_it_is_a_click_command() -> None:
    assert isinstance(explain, click.Command)
