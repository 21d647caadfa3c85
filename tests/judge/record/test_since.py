"""What the nodes journalled before a run is no evidence of it, whatever is cut in two by its beginning."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.record.history import History
from mocknode.judge.record.journal_merge import JournalMerger
from mocknode.judge.record.recording import Recording, load
from mocknode.judge.record.since import Since

USUAL: dict[str, Any] = {"node": "node-1", "boot": 1, "peer": "127.0.0.1:7000"}
ASKED: dict[str, Any] = {"method": "GET", "target": "/api/octopusservernodes/ping", "http_version": "1.1"}
STATE: dict[str, Any] = {"kind": "state", "state": "draining", "cause": "command"}


def lines(at: int, number: int) -> list[dict[str, Any]]:
    """Return an upload, a ping, a connection, one of a Tentacle, and a state, from `at` to `at + 3`."""
    request = {**USUAL, "kind": "request", "req": number, "conn": number, **ASKED}
    plain = {**USUAL, "kind": "connection", "conn": number}
    polled = {**USUAL, "kind": "connection", "conn": 1000 + number, "port": "tentacle"}
    closed = {"phase": "close", "by": "peer", "how": "fin", "bytes_in": 0, "requests": 0}
    return [
        {**USUAL, **ASKED, "kind": "probe", "req": 5000 + number, "conn": number, "t_ns": at, "status": 200},
        {**request, "phase": "head", "t_ns": at},
        {**plain, "phase": "open", "t_ns": at},
        {**polled, "phase": "open", "t_ns": at},
        {**USUAL, **STATE, "t_ns": at},
        {**USUAL, "kind": "request", "req": number, "phase": "body", "t_ns": at + 1, "received": 1},
        {**polled, "phase": "hello", "t_ns": at + 1, "opening": "tls", "first_bytes": "", "hello": None},
        {**USUAL, "kind": "request", "req": number, "phase": "end", "t_ns": at + 2, "status": 201, "ended_ns": at + 2},
        {**plain, **closed, "t_ns": at + 3},
        {**polled, **closed, "t_ns": at + 3, "cause": None, "log": None},
    ]


def merged(since_ns: int, records: list[dict[str, Any]]) -> History:
    history, since = History(), Since(since_ns)
    merger = JournalMerger(history)
    for record in records:
        if since.keeps(record):
            merger.feed(record)
    return history


@given(since_ns=st.integers(-1, 45), starts=st.lists(st.integers(0, 40), max_size=6))
def test_an_exchange_counts_if_it_began_in_the_run(since_ns: int, starts: list[int]) -> None:
    records = sorted((line for n, at in enumerate(starts) for line in lines(at, n)), key=lambda line: int(line["t_ns"]))
    found = merged(since_ns, records)
    ours = sorted(at for at in starts if at >= since_ns)
    assert sorted(p.t_ns for p in found.probes) == ours
    assert [(r.t_ns, r.status, r.complete) for r in found.requests] == [(at, 201, True) for at in ours]
    assert [(c.opened_ns, c.how) for c in found.connections] == [(at, "fin") for at in ours]
    assert [(t.opened_ns, t.how) for t in found.tentacles] == [(at, "fin") for at in ours]
    assert [s.t_ns for s in found.states] == ours


def test_a_request_in_one_line_counts_by_its_time() -> None:
    whole = {**USUAL, **ASKED, "kind": "request", "phase": "whole", "req": 1, "conn": 1, "status": 200, "ended_ns": 9}
    assert [r.t_ns for r in merged(5, [{**whole, "t_ns": 4}, {**whole, "t_ns": 5, "req": 2}]).requests] == [5]


def test_what_a_full_journal_dropped_before_the_run_limits_it_too() -> None:
    assert merged(9, [{**USUAL, "kind": "dropped", "t_ns": 1, "entries": 3}]).dropped[0].entries == 3


@pytest.mark.parametrize(("forwarded", "hint"), [(False, True), (True, False)])
def test_older_pings_are_a_hint_and_are_not_recorded(forwarded: bool, hint: bool, tmp_path: Path) -> None:
    ping = {**USUAL, **ASKED, "kind": "probe", "req": 1, "conn": 1, "status": 200, "forwarded": forwarded}
    with Recording(tmp_path / "history.jsonl", clock_offset_ns=100, since_ns=150) as recording:
        assert not recording.probed_before
        recording.journal([{**ping, "t_ns": 49}, {**ping, "t_ns": 50}])
        assert recording.probed_before is hint
    for history in (recording.history, load(tmp_path / "history.jsonl")):
        assert [p.t_ns for p in history.probes] == [150]
