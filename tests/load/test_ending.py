"""When a run has failed for certain, and what an outage excuses: pure, or with the ledger alone."""

from pathlib import Path
from typing import Any

import pytest

from mocknode.load.conditions import parse_condition
from mocknode.load.early import Failing
from mocknode.load.load_ledger import LoadLedger
from mocknode.load.outages import NEVER_NS, Outages
from tests.load.test_load_ledger import SYNCED_NS, client_lines, node_lines

ID = "1" * 32
WHOLE = {"complete": True, "ended": True, "status": 201, "sha1": "a" * 40}


@pytest.fixture
def ledger(tmp_path: Path) -> LoadLedger:
    ledger = LoadLedger(tmp_path / "ledger.sqlite", followed=True)
    ledger.synced_ns = SYNCED_NS
    return ledger


def told(ledger: LoadLedger) -> list[tuple[str, Any]]:
    return [(id_, found) for id_, _, found, _, _ in ledger.news([])]


def test_news_of_an_attempt_come_with_either_side_and_once(ledger: LoadLedger) -> None:
    ledger.journal(node_lines(ID, 1, WHOLE))
    assert told(ledger) == []  # It has no end yet.
    ledger.clients(client_lines(ID, "acknowledged"))
    assert told(ledger) == [(ID, "delivered_once")]
    assert told(ledger) == []
    ledger.journal(node_lines(ID, 2, WHOLE, node="node-2"))
    assert told(ledger) == [(ID, "delivered_twice")]


def test_what_is_not_known_yet_is_asked_again(ledger: LoadLedger) -> None:
    ledger.clients(client_lines(ID, "acknowledged", ended_ns=SYNCED_NS + 1))
    assert told(ledger) == [(ID, "unresolved")] == told(ledger)
    ledger.synced_ns = SYNCED_NS + 1
    assert told(ledger) == [(ID, "lost")]


@pytest.mark.parametrize(
    ("condition", "news", "fails"),
    [
        ("lost>0", ("push", "lost", "acknowledged", False), True),
        ("doubled>0", ("push", "delivered_twice", "acknowledged", True), True),
        ("corrupted>=1", ("push", "corrupted", "acknowledged", True), True),
        ("failed>0", ("push", "refused", "error", True), True),
        ("failed>1", ("push", "refused", "error", True), False),
        ("failed_undisturbed>0", ("push", "refused", "error", True), False),
        ("failed_undisturbed>0", ("push", "refused", "error", False), True),
        ("reads_failed>0", ("ping", None, "error", False), True),
        ("failed>0", ("ping", None, "error", False), False),
        ("lost==1", ("push", "lost", "acknowledged", False), False),  # A second one would take that back.
        ("p99>1s", ("push", "lost", "acknowledged", False), False),
    ],
)
def test_only_what_cannot_be_undone_ends_a_run(condition: str, news: Any, fails: bool) -> None:
    failing = Failing([parse_condition(condition)])
    assert failing.first() is None
    for _ in range(2):  # The same attempt counts once.
        failing.take(ID, *news)
    assert (failing.first() is not None) == fails


def spans(outages: Outages, **how: bool) -> list[tuple[str, int, int]]:
    return sorted((o.node, o.since_ns, o.until_ns) for o in outages.spans(**how))


def test_an_outage_of_one_ends_when_it_is_online() -> None:
    outages = Outages(2)
    outages.begin("a", 1)
    assert spans(outages) == [("a", 1, NEVER_NS)]
    outages.end("a", 5)
    outages.answered(9)
    assert spans(outages) == [("a", 1, 5)]


def test_an_outage_of_all_ends_with_the_first_answer_after_it() -> None:
    outages = Outages(2)
    outages.begin("a", 1)
    outages.begin("b", 2)
    outages.end("a", 5)
    outages.answered(5)  # On its way before.
    assert spans(outages) == [("a", 1, NEVER_NS), ("b", 2, NEVER_NS)]
    outages.end("b", 6)
    outages.answered(9)
    assert spans(outages) == [("a", 1, 9), ("b", 2, 9)]
    outages.begin("a", 20)
    outages.end("a", 21)
    assert ("a", 20, 21) in spans(outages)


def test_without_an_answer_nothing_after_it_is_excused() -> None:
    outages = Outages(1)
    outages.begin("a", 1)
    outages.end("a", 5)
    assert spans(outages, closed=True) == [("a", 1, 5)]
