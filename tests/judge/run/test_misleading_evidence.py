"""Evidence that suggests one fault and is another: the verdict names the right one, its root, or that it cannot tell."""

from dataclasses import replace
from typing import Any

import pytest

from mocknode.judge.catalogue import dr_01, hc_01, hc_06, pr_01, up_01, up_03, up_08
from mocknode.judge.record.history import History
from mocknode.judge.verdict.calibration import requests_to_confirm_out
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.outcome import Outcome, Variant
from tests.judge.histories import BLIND, PROBER, SECOND, SEEING, attempt, case, request, step

TOO_LARGE: dict[str, Any] = {"status": 413, "told": "error", "node": None}
CUT: dict[str, Any] = {
    "status": 504,
    "told": "error",
    "node": None,
    "response_ns": 60 * SECOND,
    "ended_ns": 60 * SECOND,
}


def uploads(check: str, *variants: tuple[str, dict[str, Any]], seen: dict[str, Any] | None = None) -> Case:
    """Uploads as their clients saw them; the node received each of them whole if `seen` says how."""
    attempts = [attempt(name, check=check, variant=name, **told) for name, told in variants]
    requests = [] if seen is None else [request(a.id, req=n, **seen) for n, a in enumerate(attempts)]
    return case(History(attempts=attempts, requests=requests))


def of(variants: list[Variant], name: str) -> tuple[str, str | None, str | None]:
    (found,) = [v for v in variants if v.name == name]
    return found.outcome.value, found.cause, found.caused_by


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        (None, "own-answer-is-success"),
        ({"complete": False}, "own-answer-is-success"),
        ({"sha1": "b" * 40}, "truncated-body-completed"),
    ],
)
def test_a_201_that_is_not_true_is_no_size_limit(seen: dict[str, Any] | None, cause: str) -> None:
    (found,) = [v for v in up_01.judge(uploads("UP-01", ("1024", {}), seen=seen)) if v.name == "1,024 B"]
    assert (found.outcome, found.cause) == (Outcome.FAIL, cause)


def test_a_small_size_limit_is_neither_a_limit_on_time_nor_on_framing() -> None:
    slow = up_03.judge(uploads("UP-03", ("steady-95s", TOO_LARGE), ("stall-45s", TOO_LARGE), ("stall-70s", TOO_LARGE)))
    assert [of(slow, v.name) for v in slow] == [
        ("fail", "body-size-limit", "UP-01"), ("fail", "body-size-limit", "UP-01"), ("advice", "body-size-limit", "UP-01"),
    ]  # fmt: skip
    assert of(up_08.judge(uploads("UP-08", ("plain", TOO_LARGE))), "plain") == ("fail", "body-size-limit", "UP-01")


@pytest.mark.parametrize(
    "steady", [TOO_LARGE, {"status": 503, "told": "error", "node": "node-1"}], ids=["by size", "by the node"]
)
def test_a_steady_upload_that_was_refused_says_nothing_about_the_total_time(steady: dict[str, Any]) -> None:
    found = up_03.judge(uploads("UP-03", ("steady-95s", steady), ("stall-45s", CUT)))
    assert of(found, "stall-45s") == ("fail", "upload-idle-limit", None)
    assert of(found, "steady-95s")[1] != "upload-total-limit"


def test_a_413_of_the_node_itself_is_not_the_balancers() -> None:
    refused = {**TOO_LARGE, "node": "node-1"}
    assert of(up_03.judge(uploads("UP-03", ("steady-95s", refused))), "steady-95s") == ("unknown", None, None)
    assert of(up_08.judge(uploads("UP-08", ("plain", refused))), "plain")[1] == "chunked-not-forwarded"


def test_headers_cannot_be_asked_of_layer_4() -> None:
    told = attempt(check="PR-01", variant="http", method="GET", url="http://lb:80", sha1=None)
    history = History(attempts=[told], requests=[request(headers=(("Host", "octopus.example.test"),))])
    by_layer = {layer: pr_01.judge(replace(case(history), layer=layer)) for layer in ("l4", "l7")}
    assert [v.outcome.value for v in by_layer["l7"]] == ["fail", "pass", "fail"]
    assert [v.outcome.value for v in by_layer["l4"]] == ["limitation", "pass", "limitation"]
    assert [v.cause for v in by_layer["l4"]] == [v.cause for v in by_layer["l7"]]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"other": (("GET /", 99),)},
        {"bare_connections": 99},
        {"probers": (replace(PROBER, role="unknown", interval_s=None),)},
    ],
)
def test_a_balancer_that_reacts_to_a_drain_is_not_said_to_be_blind(facts: dict[str, Any]) -> None:
    seeing, blind = replace(SEEING, **{"probers": (), **facts}), replace(BLIND, **facts)
    assert of(hc_01.judge(case(History(), seeing)), "probe") == ("unknown", None, None)
    assert of(hc_01.judge(case(History(), blind)), "probe")[0] == "fail"


def test_an_idle_balancer_is_not_measured_by_a_reaction_that_nobody_saw() -> None:
    gets = [attempt(f"g{n}", check="HC-06", variant="idle", method="GET", sha1=None, status=200) for n in range(40)]
    steps = [
        step("HC-06", "drained", 90 * SECOND, node="node-1", idle_s=90.0),
        step("HC-06", "burst-done", 111 * SECOND, node="node-1", since_ns=110 * SECOND, waited_s=20.0),
    ]
    history = History(attempts=gets, requests=[request("g1", t_ns=110 * SECOND + 1)], steps=steps)
    uncalibrated = replace(SEEING, out_after_s=None, drained=False)
    assert of(hc_06.judge(case(history, uncalibrated)), "idle") == ("unknown", None, None)
    assert of(hc_06.judge(case(history, SEEING)), "idle") == ("fail", "slow-probes-while-idle", None)


def after_the_turn(*arrivals: tuple[float, str]) -> tuple[str, str | None, str | None]:
    """DR-01's second claim: the ping turned at 5 s, the budget is 2.5 s, and these requests came."""
    told = attempt(check="DR-01", variant="418", body_sent_ns=29 * SECOND, ended_ns=30 * SECOND)
    gets = [request(f"g{n}", req=n + 9, node=node, t_ns=int(t * SECOND)) for n, (t, node) in enumerate(arrivals)]
    steps = [
        step("DR-01", "turned", 5 * SECOND, variant="418", node="node-1", at_ns=5 * SECOND),
        step("DR-01", "ended", 31 * SECOND, variant="418"),
    ]
    variants = dr_01.judge(case(History(attempts=[told], requests=[request(), *gets], steps=steps)))
    return of(variants, "418-no-new-requests")


def test_a_drained_node_is_out_once_enough_requests_went_past_it() -> None:
    enough = [(9 + n / 100, "node-2") for n in range(requests_to_confirm_out(3))]
    assert after_the_turn((6, "node-1"), *enough) == ("pass", None, None)
    assert after_the_turn((6, "node-1"), *enough[1:]) == ("unknown", None, None)
    assert after_the_turn() == ("unknown", None, None)
    # Requests that went past it before it got its last one show nothing.
    assert after_the_turn(*((t - 4, node) for t, node in enough), (7, "node-1")) == ("unknown", None, None)
    assert after_the_turn(*enough, (20, "node-1")) == ("fail", "drained-node-gets-requests", None)
    # Nor do those that came after the check had ended.
    assert after_the_turn(*((t + 25, node) for t, node in enough)) == ("unknown", None, None)
