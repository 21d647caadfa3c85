"""The ledger on disk decides as the ledger's table does in memory, in whatever order both sides come in."""

import itertools
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.record.ledger import CLASSES, classify
from mocknode.load.lines import Tail
from mocknode.load.load_ledger import LoadLedger, LoadLedgerError
from mocknode.load.outages import Outage
from tests.judge.histories import attempt, request

SYNCED_NS = 1_000
_numbers = itertools.count()

deliveries = st.fixed_dictionaries(
    {
        "complete": st.booleans(),
        "sha1": st.sampled_from([None, "a" * 40, "b" * 40]),
        "status": st.sampled_from([None, 201, 409, 503]),
        "ended": st.booleans(),
    }
)
uploads = st.tuples(st.sampled_from(["acknowledged", "error", "nothing"]), st.lists(deliveries, max_size=3))


def client_lines(id_: str, told: str, ended_ns: int = 500) -> list[dict[str, Any]]:
    start = {"t": "start", "id": id_, "kind": "push", "size": 10, "form": "length", "due": 1, "at": 2}
    end = {"t": "end", "id": id_, "at": ended_ns, "sha1": "a" * 40, "told": told, "status": 201, "node": "node-1"}
    return [start, {**end, "sent": 12, "end": "complete", "error": None}]


def node_lines(
    id_: str | None, req: int, seen: dict[str, Any], node: str = "node-1", boot: int = 1
) -> list[dict[str, Any]]:
    key = {"kind": "request", "node": node, "boot": boot, "req": req, "t_ns": 3}
    lines = [{**key, "phase": "head", "attempt": id_, "method": "POST"}]
    if seen["complete"]:
        lines.append({**key, "phase": "body", "sha1": seen["sha1"]})
    if seen["ended"]:
        end = {"phase": "end", "status": seen["status"], "sha1": seen["sha1"], "complete": seen["complete"]}
        lines.append({**key, **end, "ended_ns": 9})
    return lines


@given(runs=st.lists(uploads, max_size=12), seed=st.integers(0, 99))
def test_as_in_memory(tmp_path_factory: pytest.TempPathFactory, runs: list[Any], seed: int) -> None:
    ledger = LoadLedger(tmp_path_factory.getbasetemp() / f"ledger-{next(_numbers)}.sqlite")
    expected: Counter[str] = Counter()
    journals: list[list[dict[str, Any]]] = []
    for number, (told, seen) in enumerate(runs):
        id_ = f"{number:032x}"
        ledger.clients(client_lines(id_, told))
        journals += [node_lines(id_, number * 10 + i, s) for i, s in enumerate(seen)]
        requests = [
            request(
                complete=s["complete"],
                sha1=s["sha1"] if s["complete"] or s["ended"] else None,
                status=s["status"] if s["ended"] else None,
                ended_ns=9 if s["ended"] else None,
            )
            for s in seen
        ]
        expected[classify(attempt(told=told), requests)] += 1
    # Requests come in any order; the phases of one keep theirs.
    random.Random(seed).shuffle(journals)
    ledger.journal(itertools.chain.from_iterable(journals))
    ledger.synced_ns = SYNCED_NS
    totals = ledger.close_accounts()
    assert {k: v for k, v in totals.counts.items() if v} == dict(expected)
    assert totals.attempts == len(runs) == sum(totals.document()[name] for name in CLASSES)
    ledger.close()


@pytest.fixture
def ledger(tmp_path: Path) -> LoadLedger:
    ledger = LoadLedger(tmp_path / "ledger.sqlite")
    ledger.synced_ns = SYNCED_NS
    return ledger


def test_what_nodes_were_not_asked_about_is_not_lost(ledger: LoadLedger) -> None:
    ledger.clients(client_lines("1" * 32, "acknowledged", ended_ns=SYNCED_NS + 1))
    assert dict(ledger.close_accounts().counts) == {"unresolved": 1}


@pytest.mark.parametrize("arrived", [False, True])
def test_a_worker_that_died_leaves_its_attempt_unresolved(ledger: LoadLedger, arrived: bool) -> None:
    ledger.clients(client_lines("1" * 32, "acknowledged")[:1])
    whole = {"complete": True, "ended": True, "status": 201, "sha1": "a" * 40}
    ledger.journal(node_lines("1" * 32, 1, whole) if arrived else [])
    assert dict(ledger.close_accounts().counts) == {"unresolved": 1}
    assert ledger.numbers()["unfinished"] == 1


def test_a_node_that_starts_again_has_let_go_of_what_it_had(ledger: LoadLedger) -> None:
    ledger.clients(client_lines("1" * 32, "nothing"))
    ledger.journal(node_lines("1" * 32, 1, {"complete": False, "ended": False}))
    assert dict(ledger.close_accounts().counts) == {"unresolved": 1}
    ledger.journal([{"kind": "boot", "node": "node-1", "boot": 2, "t_ns": 600}])
    assert dict(ledger.close_accounts().counts) == {"broken_off": 1}
    assert ledger.open_requests() == 0


def test_nothing_is_lost_for_certain_while_a_node_reads_it(tmp_path: Path) -> None:
    ledger, id_ = LoadLedger(tmp_path / "ledger.sqlite", followed=True), "1" * 32
    ledger.synced_ns = SYNCED_NS
    lines = node_lines(id_, 1, {"complete": True, "ended": True, "status": 201, "sha1": "a" * 40})
    ledger.clients(client_lines(id_, "acknowledged"))
    ledger.journal(lines[:1])
    assert [news[2] for news in ledger.news([])] == ["unresolved"]
    ledger.journal(lines[1:])
    assert [news[2] for news in ledger.news([])] == ["delivered_once"]
    ledger.close()


@pytest.mark.parametrize("again", [False, True])
def test_an_upload_whose_id_was_stripped_is_known_by_its_content(again: bool, tmp_path: Path) -> None:
    ledger, id_ = LoadLedger(tmp_path / "ledger.sqlite", followed=True), "1" * 32
    ledger.synced_ns = SYNCED_NS
    whole = {"complete": True, "ended": True, "status": 201, "sha1": "a" * 40}
    expected = "delivered_twice" if again else "delivered_once"
    ledger.journal([*node_lines(None, 1, whole), *(node_lines(id_, 2, whole) if again else [])])
    ledger.clients(client_lines(id_, "acknowledged"))
    ledger.adopt()
    assert [news[2] for news in ledger.news([])] == [expected]
    assert dict(ledger.close_accounts().counts) == {expected: 1}
    assert ledger.numbers()["nameless"] == 1
    ledger.close()


def test_a_second_delivery_without_an_id_is_news_although_the_first_was_told(tmp_path: Path) -> None:
    ledger, id_ = LoadLedger(tmp_path / "ledger.sqlite", followed=True), "1" * 32
    ledger.synced_ns = SYNCED_NS
    whole = {"complete": True, "ended": True, "status": 201, "sha1": "a" * 40}
    ledger.clients(client_lines(id_, "acknowledged"))
    for number, expected in ((1, "delivered_once"), (2, "delivered_twice")):
        ledger.journal(node_lines(None, number, whole))
        ledger.adopt()
        assert [news[2] for news in ledger.news([])] == [expected]
    ledger.adopt()
    assert not list(ledger.news([]))
    ledger.close()


def test_uploads_of_somebody_else_are_nobodys(ledger: LoadLedger) -> None:
    ledger.clients(client_lines("1" * 32, "acknowledged"))
    ledger.journal(node_lines(None, 1, {"complete": True, "ended": True, "status": 201, "sha1": "b" * 40}))
    ledger.journal(node_lines(None, 2, {"complete": False, "ended": False}))
    ledger.adopt()
    assert dict(ledger.close_accounts().counts) == {"lost": 1}
    assert (ledger.numbers()["unexplained"], ledger.numbers()["nameless"], ledger.open_requests()) == (0, 0, 0)


def test_what_stands_before_a_torn_line_is_given_first(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n":1}\n')
    (tmp_path / "b.jsonl").write_bytes(b'{"n":2}\n{"n":\n{"n":3}\n{"n":')
    tail = Tail(tmp_path)
    assert tail.read() == ([{"n": 1}, {"n": 2}], True)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"b\.jsonl has a line"):
            tail.read()


def test_a_failure_is_excused_only_while_a_node_is_away(ledger: LoadLedger) -> None:
    ledger.clients([*client_lines("1" * 32, "error", ended_ns=100), *client_lines("2" * 32, "error", ended_ns=500)])
    ledger.close_accounts([Outage(node="node-1", since_ns=300, until_ns=400)])
    assert (ledger.numbers()["failed"], ledger.numbers()["failed_undisturbed"]) == (2, 1)


def test_requests_that_no_attempt_explains_are_counted(ledger: LoadLedger) -> None:
    ledger.journal(node_lines("9" * 32, 1, {"complete": True, "ended": True, "sha1": None, "status": 201}))
    assert ledger.numbers()["unexplained"] == 1


def test_a_full_disk_leaves_what_was_written_and_its_classes(ledger: LoadLedger, tmp_path: Path) -> None:
    ledger.clients(client_lines("1" * 32, "acknowledged"))
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LoadLedgerError, match="full"):
        ledger.clients(line for n in range(999) for line in client_lines(f"{n:032x}", "acknowledged"))
    assert ledger.numbers()["attempts"] == 1
    assert dict(ledger.close_accounts().counts) == {"lost": 1}


def test_what_cannot_be_joined_on_a_full_disk_is_said(ledger: LoadLedger, tmp_path: Path) -> None:
    ledger.clients(client_lines("1" * 32, "acknowledged"))
    ledger.journal(node_lines(None, 1, {"complete": True, "ended": True, "status": 201, "sha1": "a" * 40}))
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LoadLedgerError, match="full"):
        ledger.adopt()
    ledger.close_accounts()
