"""Where the pool has a server that is none of the nodes, what went there blames it, and nothing else does."""

from typing import Any

import pytest

from mocknode.judge.record.history import History
from mocknode.judge.record.steps import ForeignServer
from mocknode.judge.verdict import foreign
from mocknode.judge.verdict.own_answers import answer_for_uploads
from tests.judge.histories import attempt, case, request, step

MET = {"answered": 6, "sent": 24, "status": 200, "server": "Apache/2.4", "body": "It works!"}
THERE: dict[str, Any] = {"node": None, "status": 200, "body": "It works!", "headers": (("Server", "Apache/2.4"),)}


def history(*, met: bool = True, seen: bool = False, **client: Any) -> History:
    return History(
        attempts=[attempt(check="UP-03", variant="v", **{**THERE, **client})],
        requests=[request()] if seen else [],
        steps=[step("preflight", "foreign", 0, **MET)] if met else [],
        synced_ns=10_000,
    )


@pytest.mark.parametrize(
    ("client", "outcome"),
    [
        ({}, "fail"),
        ({"status": 404, "told": "error"}, "advice"),
        ({"status": 413, "told": "error"}, "unknown"),
        ({"status": 503, "told": "error"}, "unknown"),
        ({"status": None, "told": "nothing"}, "unknown"),
    ],
)
def test_what_went_to_a_foreign_server_blames_it(client: dict[str, Any], outcome: str) -> None:
    found = history(**client)
    (judged,) = foreign.blame(found, "UP-03", [case(found).unknown("v", "extended", "who knows", attempt="a1")])
    assert judged.outcome.value == outcome
    if outcome != "unknown":
        assert (judged.cause, judged.caused_by) == ("foreign-server", "PR-05")
        assert f"answered {client.get('status', 200)} by Apache/2.4 ('It works!')" in judged.summary
        assert judged.hurts


@pytest.mark.parametrize("facts", [{"met": False}, {"seen": True}])
def test_without_one_or_at_a_node_nobody_is_blamed(facts: dict[str, Any]) -> None:
    found = history(**facts)
    before = [case(found).unknown("v", "core", "who knows", attempt="a1")]
    assert foreign.blame(found, "UP-03", before) == before


def test_what_passes_and_other_attempts_are_left_alone() -> None:
    found = history()
    before = [case(found).holds("v", "core", "fine", attempt="a1"), case(found).unknown("w", "core", "?", attempt="b")]
    assert foreign.blame(found, "UP-03", before) == before


@pytest.mark.parametrize(("met", "cause"), [(True, "foreign-server"), (False, "own-answer-is-success")])
def test_an_upload_that_a_foreign_server_acknowledged_is_lost_because_of_it(met: bool, cause: str) -> None:
    found = history(met=met)
    (failure,) = answer_for_uploads(case(found), "UP-03", [])
    assert (failure.outcome.value, failure.cause) == ("fail", cause)


def test_the_note_says_the_share_and_the_answer() -> None:
    note = foreign.foreign_note(ForeignServer(**MET))
    assert note.startswith(
        "6 of 24 requests were answered by a server that is none of the nodes, with 200 by Apache/2.4 ('It works!');"
    )
