"""Requests that the balancer itself refused or spoiled: one check reports why, and nothing measured through them is blamed."""

import datetime
from typing import Any

import pytest

from mocknode.judge.record.history import History
from mocknode.judge.run.judging import Facts, judge
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.observing import Notes
from mocknode.judge.traffic.spec import RequestSpec
from mocknode.judge.verdict.outcome import CheckResult
from tests.judge.histories import NODES, SECOND, SEEING, attempt, request

REFUSED: dict[str, Any] = {"status": 429, "told": "error", "node": None}


def judged(history: History, *ids: str) -> dict[str, CheckResult]:
    facts = Facts(
        nodes=NODES, tier="quick", patience_s=75.0, max_upload=1 << 62, public_name="x", kind="haproxy", lanes=dict.fromkeys(ids, "all"),
    )  # fmt: skip
    return {r.id: r for r in judge(ids, facts, {"all": history}, SEEING, datetime.date(2026, 1, 1))}


def fresh(*statuses: int) -> list[Any]:
    """The requests of PR-05, served in turn or refused."""
    usual: dict[str, Any] = {"check": "PR-05", "variant": "fresh", "method": "GET", "sha1": None}
    return [
        attempt(f"f{n}", **usual, **(REFUSED if status == 429 else {"status": 200, "node": NODES[n % 3]}))
        for n, status in enumerate(statuses)
    ]


def test_a_limit_on_rate_is_one_finding_and_no_limit_on_time() -> None:
    cut = attempt("slow", check="UP-03", variant="steady-15s", response_ns=SECOND, **REFUSED)
    found = judged(History(attempts=[cut, *fresh(*[200, 429] * 300)]), "UP-03", "PR-05")
    assert (found["PR-05"].outcome.value, found["PR-05"].cause) == ("fail", "refused-by-balancer")
    assert (found["UP-03"].outcome.value, found["UP-03"].cause, found["UP-03"].caused_by) == ("unknown", None, "PR-05")


def test_a_check_reports_the_refusal_itself_where_no_other_does() -> None:
    cut = attempt("slow", check="UP-03", variant="steady-15s", response_ns=SECOND, **REFUSED)
    found = judged(History(attempts=[cut]), "UP-03")["UP-03"]
    assert (found.outcome.value, found.cause, found.caused_by) == ("fail", "refused-by-balancer", None)


@pytest.mark.parametrize(("arrived", "cause"), [((), None), ((("x-octopus-apikey", ""),), "chunked-not-forwarded")])
def test_a_key_that_was_sent_and_did_not_arrive_is_the_cause(
    arrived: tuple[tuple[str, str], ...], cause: str | None
) -> None:
    sent = (("X-Octopus-ApiKey", ""),)
    told = attempt("up", check="UP-08", variant="plain", status=401, told="error", sent_headers=sent)
    seen = request("up", status=401, headers=arrived)
    found = judged(History(attempts=[told], requests=[seen]), "UP-08", "PR-01")
    assert found["UP-08"].cause == cause
    assert found["UP-08"].caused_by == ("PR-01" if cause is None else None)
    assert (found["PR-01"].cause == "request-head-changed") == (cause is None)


def test_no_room_for_bodies_is_neither_size_nor_time() -> None:
    no_room = {**REFUSED, "status": 500}
    told = [attempt(f"u{n}", check="UP-01", variant=str(n), **no_room) for n in (1024, 1048575)]
    told += [attempt("slow", check="UP-03", variant="stall-15s", **no_room)]
    told += [attempt("chunked", check="UP-08", variant="plain", **no_room)]
    found = judged(History(attempts=told), "UP-01", "UP-03", "UP-08")
    assert found["UP-01"].cause == "no-room-for-bodies"
    assert [(found[id_].outcome.value, found[id_].caused_by) for id_ in ("UP-03", "UP-08")] == [
        ("unknown", "UP-01")
    ] * 2


def test_an_attempt_that_is_refused_keeps_its_head_without_the_key() -> None:
    spec = RequestSpec(check="X", method="POST", target="/api", headers=(("X-Octopus-ApiKey", "API-SECRET"),))
    notes = Notes(spec, FrontDoor(scheme="http", host="lb", port=80), "1.1")
    notes.answered(401, ())
    notes.complete()
    kept = dict(notes.attempt(None).sent_headers)
    assert kept["X-Octopus-ApiKey"] == ""
    assert kept["Host"] == "lb:80" or kept["Host"] == "lb"
