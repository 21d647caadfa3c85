"""An upload that was lost, doubled or changed is answered for by the check that sent it, whatever else the check concluded."""

from typing import Any

import pytest

from mocknode.judge.record.history import History
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.outcome import Outcome, Variant
from mocknode.judge.verdict.own_answers import answer_for_uploads, own_successes
from tests.judge.histories import attempt, case, request

PAGE = {"status": 200, "node": None, "body": "<h1>Down for maintenance</h1>", "headers": (("Server", "sorry/1"),)}


def found(client: dict[str, Any], *seen: dict[str, Any], read: bool = True) -> tuple[Case, Variant]:
    told = attempt(check="UP-03", variant="steady-95s", **client)
    requests = [request(node=f"node-{n + 1}", req=n, **facts) for n, facts in enumerate(seen)]
    judged = case(History(attempts=[told], requests=requests, synced_ns=10_000 if read else 0))
    return judged, judged.holds("steady-95s", "extended", "it says so", attempt="a1")


@pytest.mark.parametrize(
    ("client", "seen", "cause", "root"),
    [
        (PAGE, [], "own-answer-is-success", None),
        ({}, [], "own-answer-is-success", None),
        (PAGE, [{"complete": False, "status": None, "ended_ns": None}], "own-answer-is-success", None),
        (PAGE, [{"status": 503}], "answer-rewritten", None),
        ({**PAGE, "status": 302, "told": "error"}, [], "own-answer-is-success", None),
        ({}, [{}, {}], "post-replayed", "RT-01"),
        ({}, [{"sha1": "b" * 40}], "truncated-body-completed", "UP-08"),
        ({"status": 504, "told": "error", "node": None}, [{}, {}], "post-replayed", "RT-01"),
    ],
)
def test_a_harmed_upload_fails_the_check_that_sent_it(
    client: dict[str, Any], seen: list[dict[str, Any]], cause: str, root: str | None
) -> None:
    judged, passed = found(client, *seen)
    other = judged.holds("45s", "core", "fine", attempt="a2")
    kept, failure = answer_for_uploads(judged, "UP-03", [passed, other])
    assert kept is other
    assert (failure.name, failure.level, failure.outcome) == ("steady-95s", "core", Outcome.FAIL)
    assert (failure.cause, failure.caused_by, failure.evidence["attempt"]) == (cause, root, "a1")
    assert failure.hurts
    # Whoever fails for the upload already has said why.
    explained = judged.breaks("x", "core", "why", cause=cause, hurts="all", attempt="a1")
    assert answer_for_uploads(judged, "UP-03", [explained]) == [explained]


def test_a_redirect_to_a_page_is_no_limit_on_the_size() -> None:
    judged, _ = found({**PAGE, "status": 302, "told": "error"})
    limit = judged.breaks("100 MiB", "core", "refused with 302", cause="body-size-limit", hurts="all", attempt="a1")
    (failure,) = answer_for_uploads(judged, "UP-03", [limit])
    assert (failure.name, failure.cause) == ("100 MiB", "own-answer-is-success")


def test_a_check_answers_for_its_own_uploads_alone_and_without_a_variant_of_theirs() -> None:
    judged, _ = found(PAGE)
    assert answer_for_uploads(judged, "UP-04", []) == []
    (failure,) = answer_for_uploads(judged, "UP-03", [])
    assert (failure.name, failure.cause) == ("steady-95s-ledger", "own-answer-is-success")
    assert (failure.evidence["server"], failure.evidence["answer"]) == ("sorry/1", "<h1>Down for maintenance</h1>")


@pytest.mark.parametrize(
    ("client", "seen"),
    [
        ({}, [{}]),
        ({"status": 503, "told": "error", "node": None}, []),
        ({"status": None, "told": "nothing", "end": "reset"}, [{}]),
    ],
)
def test_an_upload_that_was_not_harmed_changes_nothing(client: dict[str, Any], seen: list[dict[str, Any]]) -> None:
    judged, passed = found(client, *seen)
    assert answer_for_uploads(judged, "UP-03", [passed]) == [passed]


def test_an_upload_is_not_lost_before_the_journals_are_read() -> None:
    judged, passed = found(PAGE, read=False)
    assert answer_for_uploads(judged, "UP-03", [passed]) == [passed]


@pytest.mark.parametrize(
    ("status", "seen", "own"),
    [
        (200, [], True),
        (302, [], True),
        (307, [], False),
        (503, [], False),
        (200, [{"status": 200}], False),
        (200, [{"status": 502}], True),
        (200, [{"status": None}], True),
        (302, [{"status": 302}], False),
    ],
)
def test_a_success_is_the_balancers_own_where_no_node_gave_it(
    status: int, seen: list[dict[str, Any]], own: bool
) -> None:
    told = attempt(status=status, told="acknowledged" if status < 300 else "error")
    history = History(attempts=[told], requests=[request(**facts) for facts in seen])
    assert own_successes(history, [told]) == ([told] if own else [])
