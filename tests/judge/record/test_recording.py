"""What was recorded is what is judged later, and a torn record is told apart from a foreign one."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.record.history import Dropped, FaultEvent, History, StateChange, Step
from mocknode.judge.record.journal_merge import JournalMerger
from mocknode.judge.record.recording import Recording, load
from tests.judge.histories import attempt
from tests.judge.polling_histories import HELLO, session

HEAD = {
    "kind": "request",
    "phase": "head",
    "conn": 1,
    "peer": "p:1",
    "method": "POST",
    "target": "/",
    "http_version": "1.1",
}
BODY = {
    "kind": "request",
    "phase": "body",
    "received": 5,
    "sha1": "c" * 40,
    "file_bytes": 5,
    "first_body_ns": 2,
    "last_body_ns": 3,
}
END = {
    "kind": "request",
    "phase": "end",
    "received": 5,
    "complete": True,
    "status": 201,
    "end": "complete",
    "ended_ns": 9,
}


def phases(node: str) -> list[dict[str, Any]]:
    return [{**line, "node": node, "boot": 1, "req": 1, "t_ns": t_ns} for t_ns, line in enumerate((HEAD, BODY, END), 1)]


def merged(lines: list[dict[str, Any]], offset_ns: int = 0) -> History:
    history = History()
    merger = JournalMerger(history, offset_ns)
    for line in lines:
        merger.feed(line)
    return history


@given(order=st.permutations([0, 0, 0, 1, 1, 1, 2, 2, 2]))
def test_how_the_nodes_lines_interleave_changes_nothing(order: list[int]) -> None:
    streams = [iter(phases(f"node-{n}")) for n in range(3)]
    found = merged([next(streams[n]) for n in order])
    plain = merged(list(itertools.chain(*(phases(f"node-{n}") for n in range(3)))))
    assert sorted(found.requests, key=lambda r: r.node) == plain.requests
    assert all(r.complete and r.status == 201 and r.sha1 == "c" * 40 for r in found.requests)


def test_a_node_that_was_killed_leaves_a_delivery_without_an_end() -> None:
    (found,) = merged(phases("node-1")[:2]).requests
    assert found.complete
    assert found.ended_ns is None
    assert found.end is None


def test_times_are_mapped_onto_the_judges_clock() -> None:
    (found,) = merged(phases("node-1"), offset_ns=100).requests
    assert (found.t_ns, found.first_body_ns, found.ended_ns) == (101, 102, 109)


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"kind": "gossip"},
        {"kind": "probe", "node": "n"},
        {"kind": "dropped", "node": "n", "t_ns": 1},
        {"kind": "state", "node": "n", "t_ns": None, "state": "online"},
        {**HEAD, "node": "n", "boot": 1, "req": 1, "t_ns": 1, "headers": [["one"]]},
        {**HEAD, "node": "n", "boot": 1, "req": 1, "t_ns": 1, "phase": "pause"},
        {"kind": "connection", "node": "n", "boot": 1, "conn": 1, "peer": "p:1", "t_ns": 1, "phase": "half-open"},
    ],
)
def test_a_line_of_another_version_is_refused(line: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a journal record of this version"):
        merged([line])


def test_an_end_whose_head_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="not a journal record of this version"):
        merged(phases("node-1")[1:])


def test_an_end_does_not_take_back_a_delivery() -> None:
    head, body, end = phases("node-1")
    (found,) = merged([head, body, {**end, "complete": False, "status": None, "end": "rst"}]).requests
    assert (found.complete, found.status, found.end) == (True, None, "rst")


def test_a_torn_body_is_no_delivery() -> None:
    head, _body, end = phases("node-1")
    (found,) = merged([head, {**end, "received": 3, "complete": False, "end": "fin"}]).requests
    assert (found.complete, found.received, found.end) == (False, 3, "fin")


def test_a_request_in_one_line_and_the_same_number_after_a_restart() -> None:
    head, body, end = phases("node-1")
    whole = {**head, **body, **end, "phase": "whole", "boot": 2, "faults": ["f1"], "headers": [["Host", "x"]]}
    killed, found = merged([head, body, whole]).requests
    assert (killed.boot, killed.complete, killed.end) == (1, True, None)
    assert (found.boot, found.complete, found.end, found.faults) == (2, True, "complete", ("f1",))
    assert found.header("host") == "x"


def connection(phase: str, t_ns: int, **more: Any) -> dict[str, Any]:
    return {
        "kind": "connection", "node": "n", "boot": 1, "conn": 4, "peer": "p:1", "phase": phase, "t_ns": t_ns, **more
    }  # fmt: skip


def test_a_connection_is_open_until_its_close_is_read() -> None:
    opened, closed = (
        connection("open", 3, tls=None),
        connection("close", 8, how="rst", by="peer", bytes_in=0, requests=0),
    )
    assert merged([opened]).connections[0].closed_ns is None
    (found,) = merged([opened, closed], offset_ns=-1).connections
    assert (found.opened_ns, found.closed_ns, found.how, found.by, found.tls) == (2, 7, "rst", "peer", False)
    assert merged([closed]).connections == []


def test_everything_else_a_node_says_is_mapped_too() -> None:
    found = merged(
        [
            {"kind": "boot", "node": "n", "boot": 1, "t_ns": 1, "pid": 5},
            {"kind": "state", "node": "n", "boot": 1, "t_ns": 2, "state": "offline", "how": "freeze", "cause": "trigger"},
            {"kind": "fault", "node": "n", "boot": 1, "t_ns": 3, "phase": "hit", "id": "f1", "fault": None, "attempt": "a1"},
            {"kind": "dropped", "node": "n", "boot": 1, "t_ns": 4, "entries": 9, "bytes": 1},
            {"kind": "probe", "node": "n", "boot": 1, "req": 1, "conn": 1, "peer": "p:1", "method": "GET", "target": "/",
             "http_version": "1.1", "t_ns": 5, "answered_ns": None, "status": None, "ended_ns": 6, "end": "rst"},
        ],
        offset_ns=100,
    )  # fmt: skip
    assert found.states == [StateChange(node="n", t_ns=102, state="offline", how="freeze", cause="trigger")]
    assert found.faults == [FaultEvent(node="n", t_ns=103, phase="hit", fault="f1", attempt="a1")]
    assert found.dropped == [Dropped(node="n", t_ns=104, entries=9)]
    (ping,) = found.probes
    assert (ping.t_ns, ping.answered_ns, ping.ended_ns, ping.forwarded) == (105, None, 106, False)


def write(path: Path) -> History:
    with Recording(path) as recording:
        recording.attempt(attempt(body="größer " * 20))
        recording.step(Step(t_ns=7, check="X", what="did", detail={"node": "node-1"}))
        recording.journal(phases("node-1"))
        recording.synced(11)
        return recording.history


def test_what_was_recorded_is_loaded(tmp_path: Path) -> None:
    whole = write(tmp_path / "h.jsonl")
    assert load(tmp_path / "h.jsonl") == whole


def test_the_torn_last_line_of_a_killed_run_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    whole = write(path)
    path.write_text(path.read_text() + '{"type": "jour')
    assert load(path) == whole


@given(cut=st.integers(min_value=0))
def test_a_run_may_be_killed_at_any_byte(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("killed") / "h.jsonl"
    write(path)
    written = path.read_bytes()
    path.write_bytes(written[: cut % len(written)])
    found = load(path)
    assert len(found.attempts) <= 1
    assert found.synced_ns == 0


def test_the_clock_offset_is_saved_and_applied_again(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with Recording(path, clock_offset_ns=1000) as recording:
        recording.journal(phases("node-1"))
    assert load(path) == recording.history
    assert load(path).requests[0].t_ns == 1001


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    write(tmp_path / "h.jsonl")
    with pytest.raises(FileExistsError):
        Recording(tmp_path / "h.jsonl")


@pytest.mark.parametrize("line", ["5", "[]", "{}", '{"type": "journal", "record": [1]}', '{"type": "Gossip"}', "null"])
def test_a_line_that_is_no_record_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "h.jsonl"
    write(path)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"h\.jsonl:8: not a record of a run"):
        load(path)


def test_a_torn_line_in_the_middle_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    write(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], '{"type": "jour\n', *lines[1:]]))
    with pytest.raises(ValueError, match=r"h\.jsonl:2: not a record of a run"):
        load(path)


def test_a_connection_of_a_tentacle_grows_by_its_phases() -> None:
    usual: dict[str, Any] = {"kind": "connection", "port": "tentacle", "node": "node-1", "boot": 1, "conn": 7}
    lines = [
        {**usual, "t_ns": 1, "phase": "open", "peer": "p:1", "local": "l:1", "tls": None},
        {**usual, "t_ns": 2, "phase": "hello", "opening": "tls", "first_bytes": "1603", "hello": {"ja3": "x"}},
        {
            **usual,
            "t_ns": 3,
            "phase": "identified",
            "tls": {},
            "thumbprint": "A",
            "trusted": True,
            "subscription": "poll://a/",
        },
        {"kind": "rpc", "node": "node-1", "boot": 1, "t_ns": 4},
        {
            **usual,
            "t_ns": 5,
            "phase": "close",
            "by": "peer",
            "how": "fin",
            "cause": "end",
            "log": None,
            "bytes_in": 9,
            "requests": 2,
        },
    ]
    found = merged(lines, offset_ns=100)
    (connection,) = found.tentacles
    assert (connection.opened_ns, connection.identified_ns, connection.closed_ns) == (101, 103, 105)
    assert (connection.opening, connection.subscription, connection.cause, connection.requests) == (
        "tls",
        "poll://a/",
        "end",
        2,
    )
    assert not found.connections, "HTTP's are another list"
    with pytest.raises(ValueError, match="not a journal record"):
        merged([{**usual, "t_ns": 1, "phase": "close", "by": "peer", "how": "fin", "bytes_in": 0, "requests": 0}])


def test_a_session_comes_back_as_it_was_recorded(tmp_path: Path) -> None:
    made = session("TL-01", "plain", polls=(1, 2), marks={"message": 3}, hello={**HELLO, "alpn": [], "versions": []})
    with Recording(tmp_path / "history.jsonl") as recording:
        recording.session(made)
    assert load(tmp_path / "history.jsonl").sessions == [made]


def answered(recording: Recording, number: int, **facts: Any) -> None:
    node = {**HEAD, "node": f"node-{number}", "boot": 1, "req": 1, "t_ns": 1, "attempt": f"a{number}"}
    recording.journal([node, {**END, "node": f"node-{number}", "boot": 1, "req": 1, "t_ns": 3}])
    recording.attempt(attempt(f"a{number}", node=None, **facts))


def test_a_node_that_no_answer_names_is_the_one_whose_journal_has_it(tmp_path: Path) -> None:
    with Recording(tmp_path / "history.jsonl") as recording:
        answered(recording, 1)
        # The balancer's own answer, to a request that a node had answered otherwise.
        answered(recording, 2, status=504)
        recording.synced(10)
        answered(recording, 3)
        recording.synced(20)
    for history in (recording.history, load(tmp_path / "history.jsonl")):
        assert [a.node for a in history.attempts] == ["node-1", None, "node-3"]


def test_where_one_answer_names_its_node_the_others_came_from_the_balancer(tmp_path: Path) -> None:
    with Recording(tmp_path / "history.jsonl") as recording:
        recording.attempt(attempt("told", node="node-1"))
        answered(recording, 2)
        recording.synced(10)
    for history in (recording.history, load(tmp_path / "history.jsonl")):
        assert [a.node for a in history.attempts] == ["node-1", None]
