"""The part of judging that all checks share: merging, results, limitations, acceptances, and that nothing seen is never a pass."""

import datetime
from dataclasses import replace
from typing import Any

import pytest

from mocknode.judge.catalogue.pr_01 import SPOOFED
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.record.history import Dropped, History
from mocknode.judge.run.judging import Facts, detection, facts_from, judge
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.outcome import EXIT_CODES, Outcome, Variant, merge, overall
from tests.judge import polling_histories as polling
from tests.judge.histories import BLIND, NODES, PROBER, SEEING, attempt, case, probe, request, step
from tests.judge.histories import SECOND as S

TODAY = datetime.date(2026, 11, 23)


def variant(outcome: Outcome, **facts: Any) -> Variant:
    usual: dict[str, Any] = {"name": outcome.value, "level": "core", "tier": "full", "summary": outcome.value}
    return Variant(outcome=outcome, **{**usual, **facts})


def facts(*ids: str, **more: Any) -> Facts:
    usual: dict[str, Any] = {
        "nodes": NODES, "tier": "full", "patience_s": 75.0, "max_upload": 1 << 62, "public_name": "x",
        "lanes": dict.fromkeys(ids, "lane"),
    }  # fmt: skip
    return Facts(**{**usual, **more})


@pytest.mark.parametrize("id_", CHECKS)
def test_a_check_that_saw_nothing_is_unknown(id_: str) -> None:
    calibration = replace(SEEING, probers=(), out_after_s=None, drained=False)
    (result,) = judge([id_], facts(id_), {"lane": History()}, calibration, TODAY)
    assert result.outcome is Outcome.UNKNOWN
    assert all(v.outcome is Outcome.UNKNOWN for v in result.variants)


@pytest.mark.parametrize("id_", CHECKS)
def test_dropped_evidence_and_a_run_that_failed_are_unknown(id_: str) -> None:
    history = History(dropped=[Dropped(node="node-1", t_ns=1, entries=3)])
    (dropped,) = judge([id_], facts(id_), {"lane": history}, SEEING, TODAY)
    (broken,) = judge([id_], facts(id_, errors={id_: "boom"}), {"lane": History()}, SEEING, TODAY)
    assert dropped.outcome is broken.outcome is Outcome.UNKNOWN
    assert "3 entries" in dropped.summary
    assert "boom" in broken.summary


def test_what_the_nodes_limit_is_not_the_balancers_failure() -> None:
    def outcome(status: int) -> tuple[Outcome, str]:
        sent = [attempt(f"a{n}", check="PR-01", variant="http", status=status) for n in (1, 2)]
        seen = [request(a.id, status=status) for a in sent]
        (result,) = judge(["PR-01"], facts("PR-01"), {"lane": History(attempts=sent, requests=seen)}, SEEING, TODAY)
        return result.outcome, result.summary

    assert outcome(200)[0] is Outcome.FAIL  # no header says how the client came
    assert outcome(429)[0] is Outcome.UNKNOWN
    assert "refused 2 requests with 429" in outcome(429)[1]


def test_a_judge_that_raises_is_unknown() -> None:
    history = History(steps=[step("HC-02", "418", 1)])  # a step without its detail
    (result,) = judge(["HC-02"], facts("HC-02"), {"lane": history}, SEEING, TODAY)
    assert result.outcome is Outcome.UNKNOWN
    assert "judge failed" in result.summary


def test_a_fix_stands_at_the_root_alone_but_is_shown_where_the_root_was_not_judged() -> None:
    gone = {"by": "peer", "how": "fin", "ended_ns": 8 * S}
    stray = polling.one("TL-02", "dedicated", "node-2")
    silent = polling.one("TL-04", "35s", "node-2", marks={"message": S}, **gone)
    history = polling.history(stray, silent).history

    def fixes(*ids: str) -> dict[str, int]:
        results = judge(ids, facts(*ids, kind="haproxy"), {"lane": history}, SEEING, TODAY)
        return {result.id: len(result.fixes) for result in results}

    assert fixes("TL-02", "TL-04") == {"TL-02": 1, "TL-04": 0}
    assert fixes("TL-04") == {"TL-04": 1}


def test_the_worst_variant_speaks_and_the_first_of_equals() -> None:
    found = [
        variant(Outcome.PASS),
        variant(Outcome.ADVICE),
        variant(Outcome.FAIL, summary="first"),
        variant(Outcome.FAIL),
    ]
    result = merge("X", "x", "web", found, duration_s=0.0)
    assert (result.outcome, result.summary) == (Outcome.FAIL, "first")


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ([Outcome.PASS, Outcome.ADVICE, Outcome.OBSERVED, Outcome.SKIP, Outcome.ACCEPTED], "conformant"),
        ([Outcome.PASS, Outcome.LIMITATION], "limited"),
        ([Outcome.LIMITATION, Outcome.UNKNOWN], "partial"),
        ([Outcome.UNKNOWN, Outcome.FAIL], "nonconformant"),
        ([], "partial"),
    ],
)
def test_results_and_exit_codes(outcomes: list[Outcome], result: str) -> None:
    results = [merge("X", "x", "web", [variant(o)], duration_s=0.0) for o in outcomes]
    assert overall(results) == result
    assert overall(results, trusted=False) == "untrusted"
    assert EXIT_CODES[overall(results)] == {"conformant": 0, "limited": 0, "partial": 4, "nonconformant": 1}[result]


def fails_up_02(**more: Any) -> Any:
    told = attempt(check="UP-02", variant="pause", marks={"pause": 10, "continue": 20})
    late = [request(first_body_ns=5_000_000_000)]
    history = History(attempts=[told], requests=late)
    return judge(["UP-02"], facts("UP-02", **more), {"lane": history}, SEEING, TODAY)[0]


def test_a_finding_gets_the_lines_for_its_balancer() -> None:
    result = fails_up_02(kind="nginx")
    assert (result.outcome, result.cause) == (Outcome.ADVICE, "request-buffering")
    assert "proxy_request_buffering off" in result.fixes[0].snippet
    assert fails_up_02(kind=None).fixes[0].balancer == "unknown"


def test_what_the_calibrating_lane_lost_is_missing_to_all_that_are_held_to_its_times() -> None:
    lost = History(dropped=[Dropped(node="node-1", t_ns=1, entries=3)], steps=[step("calibration", "drain", 1)])
    histories = {"lane": fine(), "drains": lost}
    found = {r.id: r for r in judge(["HC-02", "UP-02"], facts("HC-02", "UP-02"), histories, SEEING, TODAY)}
    assert "3 entries" in found["HC-02"].summary
    assert "3 entries" not in found["UP-02"].summary


def fine() -> History:
    return History(attempts=[attempt(check="UP-02", variant="pause", marks={"pause": 10, "continue": 20})])


def test_lines_that_another_fix_brings_are_not_given_twice() -> None:
    told = attempt(check="PR-01", variant="http", method="GET", sha1=None)
    spoofed = attempt("a2", check="PR-01", variant="http-spoofed", method="GET", sha1=None)
    history = History(attempts=[told, spoofed], requests=[request(), request("a2", headers=SPOOFED)])
    (result,) = judge(["PR-01"], facts("PR-01", kind="haproxy"), {"lane": history}, SEEING, TODAY)
    assert {v.cause for v in result.variants} >= {"forwarded-proto-missing", "spoofed-forwarded-passed"}
    (lines,) = (fix.snippet for fix in result.fixes)
    assert "del-header forwarded" in lines
    assert "X-Forwarded-Proto https" in lines


@pytest.mark.parametrize(("until", "outcome"), [("2026-11-23", Outcome.ACCEPTED), ("2026-11-22", Outcome.ADVICE)])
def test_an_acceptance_holds_to_its_last_day(until: str, outcome: Outcome) -> None:
    assert fails_up_02(acceptances=(("UP-02", "known", until),)).outcome is outcome


def test_core_only_leaves_the_rest_out() -> None:
    # UP-02 has no core claim: that is no gap in the evidence, and must not make a run partial.
    result = fails_up_02(core_only=True)
    assert (result.outcome, overall([result])) == (Outcome.SKIP, "conformant")
    (nothing,) = judge(["UP-02"], facts("UP-02", core_only=True), {"lane": History()}, SEEING, TODAY)
    assert nothing.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "outcome"), [("nginx", Outcome.LIMITATION), ("haproxy", Outcome.FAIL), (None, Outcome.FAIL)]
)
def test_what_no_configuration_mends_is_a_limitation(kind: str | None, outcome: Outcome) -> None:
    (result,) = judge(["HC-01"], facts("HC-01", kind=kind), {"lane": History()}, BLIND, TODAY)
    assert (result.outcome, result.cause) == (outcome, "no-active-probe")


def test_facts_survive_being_saved() -> None:
    before = facts("UP-01", acceptances=(("UP-01", "why", "2027-01-01"),), all_drained="open", kind="haproxy")
    assert facts_from(before.document()) == before
    with pytest.raises(ValueError, match="not the facts of a run"):
        facts_from({"nodes": []})


def test_a_case_knows_a_blind_balancer() -> None:
    assert case(History(), BLIND).blind
    assert not case(History(), SEEING).blind
    assert isinstance(case(History()), Case)


def test_monitors_and_balancers_that_are_gone_do_not_say_which_product_this_is() -> None:
    envoy = [probe(node, n * S, user_agent="Envoy/HC") for node in NODES for n in range(9)]
    now = [replace(PROBER, user_agent="Envoy/HC")]
    gone = [replace(PROBER, user_agent="Envoy/HC", role="gone")]
    kinds = [detection([History(probes=envoy)], replace(SEEING, probers=tuple(found))).kind for found in (now, gone)]
    assert kinds == ["envoy", None]


def test_hc_01_names_the_pings_that_ended() -> None:
    gone = replace(PROBER, user_agent="Envoy/HC", role="gone")
    (found,) = CHECKS["HC-01"].judge(case(History(), replace(BLIND, probers=(gone,))))
    assert (found.outcome, found.cause) == (Outcome.FAIL, "no-active-probe")
    assert any("Envoy/HC" in text and "ended" in text for text in found.ruled_out)


@pytest.mark.parametrize(
    ("recorded", "ids", "owner"),
    [
        ("HC-03", ("HC-02", "HC-03"), "HC-03"),
        ("HC-02", ("HC-02", "HC-03"), "HC-02"),
        ("calibration", ("HC-01", "DR-01"), "HC-01"),
        ("calibration", ("DR-01", "UP-01"), "DR-01"),
        ("drain-walk", ("DR-02", "DR-05"), "DR-05"),
        ("drain-walk", ("DR-02", "DR-04"), "DR-02"),
    ],
)
def test_one_check_answers_for_a_node_that_does_not_come_back(recorded: str, ids: tuple[str, ...], owner: str) -> None:
    left_out = step(recorded, "not-restored", 9 * S, nodes=["node-2"], since_ns=S, waited_s=8.0)
    results = judge(ids, facts(*ids), {"lane": History(steps=[left_out])}, SEEING, TODAY)
    assert [r.id for r in results if r.cause == "node-stays-out"] == [owner]
