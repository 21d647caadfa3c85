"""A journal that had no room left: what it lost is counted once, and what it kept of torn requests ends no run."""

from typing import Any

import pytest

from mocknode.judge.record.history import Dropped, History
from mocknode.judge.record.journal_merge import JournalMerger

Line = dict[str, Any]


def dropped(entries: int, t_ns: int, *, node: str = "node-1", boot: int = 1) -> Line:
    return {"kind": "dropped", "node": node, "boot": boot, "t_ns": t_ns, "entries": entries, "bytes": 1}


def phase(name: str, **more: Any) -> Line:
    return {"kind": "request", "phase": name, "node": "node-1", "boot": 1, "req": 7, "t_ns": 9, **more}


def merged(*lines: Line) -> History:
    history = History()
    merger = JournalMerger(history)
    for line in lines:
        merger.feed(line)
    return history


def test_every_announcement_repeats_what_was_lost_before() -> None:
    found = merged(dropped(1, 10), dropped(2, 11), dropped(4, 12), dropped(5, 13))
    assert found.dropped == [Dropped(node="node-1", t_ns=10, entries=5)]


def test_nodes_and_boots_lose_each_for_themselves() -> None:
    found = merged(dropped(1, 10), dropped(1, 11, node="node-2"), dropped(3, 12), dropped(2, 13, boot=2))
    assert [(d.node, d.t_ns, d.entries) for d in found.dropped] == [
        ("node-1", 10, 3),
        ("node-2", 11, 1),
        ("node-1", 13, 2),
    ]


@pytest.mark.parametrize("name", ["body", "end"])
def test_a_short_line_whose_long_head_was_dropped_is_left_out(name: str) -> None:
    assert merged(dropped(1, 1), phase(name)).requests == []


@pytest.mark.parametrize("before", [[], [dropped(1, 1, node="node-2")], [dropped(1, 1, boot=2)]])
def test_without_a_loss_of_that_boot_it_is_another_format(before: list[Line]) -> None:
    with pytest.raises(ValueError, match="not a journal record of this version"):
        merged(*before, phase("end"))


def test_a_request_that_began_before_the_loss_goes_on() -> None:
    head = phase("head", conn=1, peer="p:1", method="GET", target="/", http_version="1.1")
    (found,) = merged(head, dropped(1, 1), phase("end", status=200, end="complete")).requests
    assert (found.status, found.end) == (200, "complete")
