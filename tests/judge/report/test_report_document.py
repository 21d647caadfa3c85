"""The document: what its schema demands, and what may be handed to it."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.record.ledger import CLASSES, LedgerCounts
from mocknode.judge.report import ReportError, build, html, load, terminal
from mocknode.judge.report.explain import explain
from mocknode.judge.report.print_schema import schema
from mocknode.judge.verdict.outcome import Fix, Outcome, OutcomeName, Variant, merge
from tests.judge.report.uploads import NO_UPLOADS

VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_schema_is_a_schema_and_the_document_keeps_it(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(json.loads(json.dumps(document)), schema())


def test_report_of_an_earlier_version_keeps_the_schema_and_is_shown() -> None:
    path = Path(__file__).with_name("earlier_report.json")
    document = load(path)
    VALIDATOR.validate(document)
    assert "HAProxy 2.8.25 recommended" in terminal.render(document)
    assert "TL-03" in html.render(document)
    assert explain("TL-03", document)


def test_the_schema_is_printed_by_a_command() -> None:
    command = [sys.executable, "-m", "mocknode.judge.report.print_schema"]
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout) == schema()


def test_document_is_what_a_json_reader_gets_back(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize("where", ["", "balancer", "ledger", "check", "variant", "timeline"])
def test_unknown_keys_are_refused(document: dict[str, Any], where: str) -> None:
    check = document["checks"][1]
    places = {
        "": document,
        "balancer": document["balancer"],
        "ledger": document["ledger"],
        "check": check,
        "variant": check["variants"][0],
        "timeline": document["timelines"]["UP-04"],
    }
    places[where]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(document, schema())


def test_report_of_a_run_that_has_just_begun(facts: Any) -> None:
    run = facts(result="partial", calibration=None, planned=("HC-01", "HC-02"))
    document = build(run, [], NO_UPLOADS, {})
    jsonschema.validate(document, schema())
    assert document["unfinished"] == ["HC-01", "HC-02"]
    assert set(document["ledger"].values()) == {0}


def test_started_is_written_in_utc(document: dict[str, Any]) -> None:
    assert document["started"] == "2026-03-01T09:30:00.250Z"


def test_naive_start_is_refused(facts: Any) -> None:
    naive = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="aware"):
        build(facts(started=naive), [], NO_UPLOADS, {})


def test_the_ledger_has_the_classes_of_the_decision_table() -> None:
    assert tuple(LedgerCounts.__annotations__) == ("attempts", *CLASSES, "provoked")
    assert tuple(NO_UPLOADS) == tuple(LedgerCounts.__annotations__)


def test_outcomes_of_the_report_are_those_of_the_judge() -> None:
    assert list(get_args(OutcomeName)) == [outcome.value for outcome in Outcome]


def test_evidence_of_any_python_kind_becomes_json(facts: Any) -> None:
    evidence = {"nodes": {"b", "a"}, "sizes": (1, 2), "path": Path("/x"), "never": math.inf, "none": None}
    variant = Variant(name="v", level="core", tier="full", outcome=Outcome.PASS, summary="s", evidence=evidence)
    document = build(facts(), [merge("HC-01", "probe-contract", "web", [variant], duration_s=1)], NO_UPLOADS, {})
    found = document["checks"][0]["variants"][0]["evidence"]
    assert found == {"nodes": ["a", "b"], "sizes": [1, 2], "path": "/x", "never": "Infinity", "none": None}


@given(
    evidence=st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
    )
)
def test_any_evidence_is_written_as_strict_json(evidence: dict[str, Any], facts: Any) -> None:
    variant = Variant(name="v", level="core", tier="quick", outcome=Outcome.FAIL, summary="s", evidence=evidence)
    document = build(facts(), [merge("HC-01", "probe-contract", "web", [variant], duration_s=1)], NO_UPLOADS, {})
    VALIDATOR.validate(json.loads(json.dumps(document, allow_nan=False)))


def test_levels_are_those_of_the_variants(document: dict[str, Any]) -> None:
    levels = {check["id"]: check["levels"] for check in document["checks"]}
    assert levels["UP-04"] == ["core", "extended"]
    assert levels["DR-05"] == ["policy"]


def test_saved_report_is_loaded(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert load(path) == document


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "is not JSON"),
        ("[]", "has the schema None"),
        (
            '{"schema": "mocknode-report/2"}',
            r"has the schema 'mocknode-report/2'; this version shows 'mocknode-report/1'",
        ),
        ('{"schema": "mocknode-report/1"}', "it lacks balancer, calibration"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match=message):
        load(path)


def test_fix_that_mends_several_causes_is_there_once(facts: Any) -> None:
    fix = Fix(balancer="haproxy", file="haproxy.cfg", snippet="+ a", costs="Nothing.")
    result = replace(merge("HC-01", "probe-contract", "web", [], duration_s=1), fixes=(fix, fix))
    assert len(build(facts(), [result], NO_UPLOADS, {})["checks"][0]["fixes"]) == 1
