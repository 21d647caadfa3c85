"""The verdict on a run, from its record."""

import json
from typing import Any
from xml.etree import ElementTree as ET

from mocknode.script import script_report
from mocknode.script.model import Expectation, Scenario
from mocknode.script.record import EventRecord, LateLook, Record, StepRecord, StreamFigures, load
from mocknode.script.verdicts import Verdict, judge
from tests.script.script_stage import condition, record

NOTHING_LOST = Expectation(
    when="always", condition=condition("ledger", stream="builds", lost=0, delivered_twice=0), line=7
)
NO_ERRORS = Expectation(when="always", condition=condition("errors", stream="people", is_=0))
FAST = Expectation(when="finally", condition=condition("latency", stream="people", p99=0.3))
BACK = Expectation(when="eventually", condition=condition("fair-share"), within=30.0)


def scenario(*expectations: Expectation) -> Scenario:
    return Scenario(name="a-patch", claim="It costs nothing.", workload=(), schedule=(), expectations=expectations)


def builds(**classes: int) -> dict[str, StreamFigures]:
    return {
        "builds": StreamFigures(kind="push", attempts=sum(classes.values()), classes=classes),
        "people": StreamFigures(kind="browse", attempts=5, acknowledged=5, latency_s={"p99": 0.1}),
    }


def step(ended: str = "failed", **facts: Any) -> StepRecord:
    usual = {
        "id": "3",
        "text": "wait idle node-1",
        "began_s": 1.0,
        "ended_s": 2.0,
        "ended": ended,
        "saw": "2 uploads under way",
    }
    return StepRecord(**{**usual, **facts})  # type: ignore[arg-type]


def verdict(found: Record, *expectations: Expectation) -> Verdict:
    return judge(scenario(*expectations), found)


def test_everything_held() -> None:
    found = verdict(record(), NOTHING_LOST, NO_ERRORS, FAST)
    assert (found.result, found.exit_code, found.signature) == ("held", 0, "")
    assert [item.outcome for item in found.judged] == ["held"] * 3


def test_a_loss_fails_even_where_the_generator_was_short_of_time() -> None:
    found = verdict(record(streams=builds(delivered_once=3, lost=1), problems=("starved",)), NOTHING_LOST)
    assert (found.result, found.exit_code) == ("failed", 1)


def test_a_slow_answer_says_nothing_where_the_generator_was_short_of_time() -> None:
    slow = {"people": StreamFigures(kind="browse", attempts=5, acknowledged=5, latency_s={"p99": 3.0})}
    assert verdict(record(streams=slow), FAST).result == "failed"
    assert verdict(record(streams=slow, problems=("starved",)), FAST).result == "untrusted"


def test_an_upload_that_was_delivered_twice_has_a_cause_and_a_fix() -> None:
    found = verdict(record(streams=builds(delivered_once=3, delivered_twice=1)), NOTHING_LOST)
    assert [item.cause for item in found.judged] == ["upload-redelivered"]
    assert found.signature.endswith("(upload-redelivered)")
    (fix,) = document(found, record())["fixes"]
    assert (fix["cause"], "retry" in fix["snippet"]) == ("upload-redelivered", True)


def test_an_upload_cut_by_a_drain_is_told_apart_from_other_failures() -> None:
    cut = {"people": StreamFigures(kind="push", attempts=9, failed=1, failed_undisturbed=1, cut_on_drain=1)}
    assert [item.cause for item in verdict(record(streams=cut), NO_ERRORS).judged] == ["drain-cuts-upload"]
    other = {"people": StreamFigures(kind="push", attempts=9, failed=1, failed_undisturbed=1)}
    assert [item.cause for item in verdict(record(streams=other), NO_ERRORS).judged] == [None]


def test_a_step_that_failed_fails_the_run_and_shows_the_events_near_it() -> None:
    found = verdict(record(steps=(step("done"), step(nearest=("1.9 s node-1 draining",)))), NOTHING_LOST)
    assert (found.result, found.judged[0].when, found.judged[0].nearest) == (
        "failed",
        "step",
        ("1.9 s node-1 draining",),
    )


def test_a_drained_node_that_is_never_quiet_has_its_cause() -> None:
    found = verdict(record(steps=(step(text="wait quiet node-1"),)))
    assert found.judged[0].cause == "drained-node-gets-requests"


def test_a_step_that_saw_nothing_is_no_failure_of_the_balancer() -> None:
    found = verdict(record(steps=(step("unseen", text="expect quiet node-1"),)))
    assert (found.result, found.exit_code, found.judged[0].cause) == ("unknown", 4, None)


def test_an_expectation_that_was_never_looked_at_is_unknown() -> None:
    assert verdict(record(), BACK).result == "unknown"
    assert verdict(record(late=(LateLook(index=0, holds=True, saw="fair"),)), BACK).result == "held"
    assert verdict(record(late=(LateLook(index=0, holds=False, saw="not fair"),)), BACK).result == "failed"


def test_what_is_not_restored_or_was_interrupted_is_no_verdict() -> None:
    lost = builds(delivered_once=3, lost=1)
    assert verdict(record(restored=False, left="node-1 is draining", streams=lost), NOTHING_LOST).exit_code == 3
    assert verdict(record(interrupted=True), NOTHING_LOST).exit_code == 130
    assert verdict(record(rehearsed=True), NOTHING_LOST).result == "rehearsed"


def document(found: Verdict, of_record: Record) -> script_report.ScenarioReport:
    return script_report.build(
        scenario(NOTHING_LOST), of_record, found, url="http://lb", balancer="haproxy", seed=1, reproduce="mocknode ...", run_dir="/run"
    )  # fmt: skip


def test_every_format_says_what_failed_and_escapes_it() -> None:
    of_record = record(streams=builds(delivered_once=3, delivered_twice=1), left="", steps=(step(saw="<&|\x1b> \n"),))
    found = document(verdict(of_record, NOTHING_LOST), of_record)
    assert json.loads(json.dumps(found)) == found
    assert "FAILED" in script_report.screen(found)
    suite = ET.fromstring(script_report.junit(found))
    assert {case.get("name"): case.find("failure") is not None for case in suite.iter("testcase")} == {
        "step: 3 wait idle node-1": True,
        f"always: {found['expectations'][1]['text']}": True,
        "the cluster is restored": False,
    }
    assert "<&\\|" in script_report.markdown(found)


def test_a_record_survives_its_file() -> None:
    found = record(
        steps=(step(),), events=(EventRecord(at_s=1.0, text="x"),), late=(LateLook(index=0, holds=True, saw="y"),)
    )
    assert load(json.loads(json.dumps(found.document()))) == found
