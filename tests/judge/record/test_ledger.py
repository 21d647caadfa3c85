"""Every upload is in exactly one class, and the classes are those of the contract, written out by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.record.history import History, Request
from mocknode.judge.record.ledger import CLASSES, balance, classify
from tests.judge.histories import attempt, request

TOLD = ("acknowledged", "error", "nothing")


@pytest.mark.parametrize(
    ("told", "node_status", "expected"),
    [
        ("acknowledged", 201, "delivered_once"),
        ("acknowledged", None, "delivered_once"),
        ("acknowledged", 503, "lost"),  # the node refused it, and somebody told the client that it is stored
        ("error", 201, "stored_but_reported_failed"),
        ("error", None, "stored_but_reported_failed"),  # the node was cut off while it thought
        ("error", 409, "refused"),
        ("nothing", 201, "stored_but_reported_failed"),
        ("nothing", None, "stored_but_reported_failed"),
        ("nothing", 500, "refused"),
    ],
)
def test_one_whole_delivery(told: str, node_status: int | None, expected: str) -> None:
    assert classify(attempt(told=told), [request(status=node_status)]) == expected


@pytest.mark.parametrize(
    ("told", "still_open", "expected"),
    [
        ("acknowledged", False, "lost"),
        ("acknowledged", True, "lost"),
        ("error", False, "refused"),
        ("error", True, "refused"),
        ("nothing", False, "broken_off"),
        ("nothing", True, "unresolved"),
    ],
)
def test_no_whole_delivery(told: str, still_open: bool, expected: str) -> None:
    torn = request(complete=False, sha1=None, status=None, ended_ns=None if still_open else 9)
    assert classify(attempt(told=told), [torn]) == expected


@pytest.mark.parametrize(
    ("told", "status", "expected"),
    [
        ("acknowledged", 200, "lost"),  # a GET that the balancer made of it
        ("acknowledged", 201, "lost"),
        ("error", 303, "refused"),  # the node sent its client elsewhere
        ("nothing", 200, "broken_off"),
    ],
)
def test_a_node_that_was_content_without_a_package_got_none(told: str, status: int, expected: str) -> None:
    other = request(sha1=None, status=status)
    assert classify(attempt(told=told), [other]) == expected
    assert classify(attempt(told=told), [other, request(req=2)]) == classify(attempt(told=told), [request(req=2)])


@pytest.mark.parametrize("told", TOLD)
def test_two_deliveries_are_twice_whatever_the_client_was_told(told: str) -> None:
    assert classify(attempt(told=told), [request(), request(node="node-2")]) == "delivered_twice"


@pytest.mark.parametrize(("told", "count"), list(itertools.product(TOLD, (1, 2))))
def test_another_digest_is_corrupted_above_all(told: str, count: int) -> None:
    seen = [request(), request(node="node-2", sha1="b" * 40)][-count:]
    assert classify(attempt(told=told), seen) == "corrupted"


def test_what_the_nodes_were_not_asked_about_is_unresolved_and_never_lost() -> None:
    history = History(attempts=[attempt(ended_ns=100)], synced_ns=99)
    assert balance([history]).counts == {"unresolved": 1}
    history.synced_ns = 100
    assert balance([history]).counts == {"lost": 1}


# Every row of the contract by hand: told, whole deliveries, their digest is equal, the (first) node's own status is an
# error, a node still holds a request open. Rows whose cell cannot change the class are spelled out all the same.
TABLE = """
acknowledged 0 -     -  closed lost
acknowledged 0 -     -  open   lost
acknowledged 1 equal ok closed delivered_once
acknowledged 1 equal ok open   delivered_once
acknowledged 1 equal no closed lost
acknowledged 1 equal no open   lost
acknowledged 1 other ok closed corrupted
acknowledged 1 other ok open   corrupted
acknowledged 1 other no closed corrupted
acknowledged 1 other no open   corrupted
acknowledged 2 equal ok closed delivered_twice
acknowledged 2 equal ok open   delivered_twice
acknowledged 2 equal no closed delivered_twice
acknowledged 2 equal no open   delivered_twice
acknowledged 2 other ok closed corrupted
acknowledged 2 other ok open   corrupted
acknowledged 2 other no closed corrupted
acknowledged 2 other no open   corrupted
error        0 -     -  closed refused
error        0 -     -  open   refused
error        1 equal ok closed stored_but_reported_failed
error        1 equal ok open   stored_but_reported_failed
error        1 equal no closed refused
error        1 equal no open   refused
error        1 other ok closed corrupted
error        1 other ok open   corrupted
error        1 other no closed corrupted
error        1 other no open   corrupted
error        2 equal ok closed delivered_twice
error        2 equal ok open   delivered_twice
error        2 equal no closed delivered_twice
error        2 equal no open   delivered_twice
error        2 other ok closed corrupted
error        2 other ok open   corrupted
error        2 other no closed corrupted
error        2 other no open   corrupted
nothing      0 -     -  closed broken_off
nothing      0 -     -  open   unresolved
nothing      1 equal ok closed stored_but_reported_failed
nothing      1 equal ok open   stored_but_reported_failed
nothing      1 equal no closed refused
nothing      1 equal no open   refused
nothing      1 other ok closed corrupted
nothing      1 other ok open   corrupted
nothing      1 other no closed corrupted
nothing      1 other no open   corrupted
nothing      2 equal ok closed delivered_twice
nothing      2 equal ok open   delivered_twice
nothing      2 equal no closed delivered_twice
nothing      2 equal no open   delivered_twice
nothing      2 other ok closed corrupted
nothing      2 other ok open   corrupted
nothing      2 other no closed corrupted
nothing      2 other no open   corrupted
"""
ROWS = [tuple(line.split()) for line in TABLE.split("\n") if line]


def test_the_table_is_whole() -> None:
    cells = {row[:5] for row in ROWS}
    none = itertools.product(TOLD, "0", "-", "-", ("closed", "open"))
    some = itertools.product(TOLD, "12", ("equal", "other"), ("ok", "no"), ("closed", "open"))
    assert cells == {*none, *some}
    assert len(cells) == len(ROWS)


@pytest.mark.parametrize(("told", "count", "digest", "answer", "other", "expected"), ROWS)
def test_every_cell_of_the_table(told: str, count: str, digest: str, answer: str, other: str, expected: str) -> None:
    torn = request(req=9, complete=False, sha1=None, status=None, ended_ns=None if other == "open" else 9)
    status = 503 if answer == "no" else 201
    whole = [request(req=n, node=f"node-{n}", status=status) for n in range(1, int(count) + 1)]
    if digest == "other":
        whole[-1] = request(req=int(count), node="node-3", sha1="b" * 40, status=status)
    for seen in ([torn, *whole], [*whole, torn]):
        assert classify(attempt(told=told), seen) == expected


@pytest.mark.parametrize(
    ("told", "seen", "expected"),
    [
        # The head was read from the journal, the rest of the request not yet.
        ("acknowledged", [request(complete=False, sha1=None, status=None, ended_ns=None)], "unresolved"),
        ("error", [request(complete=False, sha1=None, status=None, ended_ns=None)], "unresolved"),
        ("nothing", [request(complete=False, sha1=None, status=None)], "unresolved"),
        # A node refused it, and the journal of the one that took it over was not read.
        ("acknowledged", [request(status=503)], "unresolved"),
        ("acknowledged", [request()], "delivered_once"),
        ("error", [request()], "stored_but_reported_failed"),
        ("nothing", [request(), request(node="node-2")], "delivered_twice"),
        ("acknowledged", [request(sha1="b" * 40)], "corrupted"),
    ],
)
def test_what_rests_on_an_absence_waits_for_the_journals(told: str, seen: list[Request], expected: str) -> None:
    history = History(attempts=[attempt(told=told, ended_ns=100)], requests=seen, synced_ns=99)
    assert balance([history]).counts == {expected: 1}


@given(told=st.sampled_from(TOLD), data=st.data())
def test_unread_journals_never_lose_anything(told: str, data: st.DataObject) -> None:
    seen = data.draw(st.lists(SEEN, max_size=4))
    history = History(attempts=[attempt("a", told=told, ended_ns=100)], requests=seen, synced_ns=99)
    assert balance([history]).counts.get("lost", 0) == 0


def test_only_uploads_count_and_provoked_ones_are_told_apart() -> None:
    history = History(
        attempts=[attempt("a"), attempt("b"), attempt("c", method="GET", sha1=None)],
        requests=[request("a", faults=("f1",)), request("b"), request(None), request("c", sha1=None)],
        synced_ns=1 << 60,
    )
    found = balance([history])
    assert (found.attempts, found.provoked, found.counts) == (2, 1, {"delivered_once": 2})


SEEN = st.builds(
    request,
    id_=st.sampled_from(["a", "b", "c", None]),
    complete=st.booleans(),
    sha1=st.sampled_from([None, "a" * 40, "b" * 40]),
    status=st.sampled_from([None, 201, 409, 503]),
    ended_ns=st.sampled_from([None, 50]),
)


@given(told=st.tuples(*[st.sampled_from(TOLD)] * 3), seen=st.lists(SEEN, max_size=8))
def test_the_sum_always_balances(told: tuple[str, str, str], seen: list[object]) -> None:
    attempts = [attempt(id_, told=t) for id_, t in zip("abc", told, strict=True)]
    found = balance([History(attempts=attempts, requests=list(seen), synced_ns=1 << 60)])  # type: ignore[arg-type]
    document = found.document()
    assert document["attempts"] == 3 == sum(document[name] for name in CLASSES)
