"""What each condition makes of the evidence."""

from typing import Any

import pytest

from mocknode.judge.verdict.calibration import requests_to_confirm_out
from mocknode.script.evidence import Evidence
from mocknode.script.record import StreamFigures
from mocknode.script.vocabulary import CONDITIONS
from tests.script.script_stage import NODES, S, condition, ended, evidence, record, request, state

ENOUGH = requests_to_confirm_out(len(NODES))


def holds(found: Evidence, word: str, now_ns: int, **args: Any) -> bool | None:
    found.now_ns = now_ns
    asked = condition(word, **args)
    look = CONDITIONS[word].look
    assert look is not None
    result = look(asked.args, found)
    assert result.saw
    return result.holds


def judged(word: str, of_record: Any, **args: Any) -> bool | None:
    judge = CONDITIONS[word].judge
    assert judge is not None
    result = judge(condition(word, **args).args, of_record)
    assert result.saw
    return result.holds


def flow(found: Evidence, nodes: tuple[str, ...], since_ns: int, count: int) -> None:
    for n in range(count):
        found.journal(request(nodes[n % len(nodes)], since_ns + n * 1_000_000, req=since_ns + n))


def test_a_node_is_quiet_when_so_many_requests_bypass_it_that_chance_cannot_explain_it() -> None:
    found = evidence()
    flow(found, NODES, 0, 9)
    flow(found, NODES[1:], S, ENOUGH - 3)  # two came after its last one already
    assert holds(found, "quiet", 2 * S, node="node-1") is False
    flow(found, NODES[1:], 2 * S, 1)
    assert holds(found, "quiet", 3 * S, node="node-1") is True
    assert holds(found, "quiet", 3 * S, node="node-2") is False


def test_quiet_for_a_time_fails_by_one_request_however_many_follow_elsewhere() -> None:
    found = evidence()
    flow(found, NODES[1:], S, ENOUGH)
    found.since_ns = 10 * S
    assert holds(found, "quiet", 12 * S, node="node-1") is None, "no request reached any node in this time"
    flow(found, NODES[1:], 10 * S + 1, 1)
    assert holds(found, "quiet", 12 * S, node="node-1") is True
    found.journal(request("node-1", 11 * S))
    flow(found, NODES[1:], 11 * S + 1, 2 * ENOUGH)
    assert holds(found, "quiet", 13 * S, node="node-1") is False


def test_probes_do_not_disturb_quiet() -> None:
    found = evidence()
    flow(found, NODES[1:], S, ENOUGH)
    found.journal({"kind": "probe", "node": "node-1", "t_ns": 3 * S, "boot": 1})
    assert holds(found, "quiet", 4 * S, node="node-1") is True
    assert holds(found, "probed", 4 * S, node="node-1") is True
    assert holds(found, "probed", 30 * S, node="node-1") is False


def test_a_node_is_idle_when_requests_and_tasks_have_ended() -> None:
    found = evidence()
    found.journal(request("node-1", S, req=7, phase="head", method="POST"))
    assert holds(found, "idle", 2 * S, node="node-1") is False
    assert holds(found, "in-flight", 2 * S, node="node-1", at_least=1) is True
    found.journal(request("node-1", 2 * S, req=7, phase="end"))
    assert holds(found, "idle", 3 * S, node="node-1") is True
    found.nodes["node-1"].tasks = 2
    assert holds(found, "idle", 3 * S, node="node-1") is False
    assert holds(found, "tasks-running", 3 * S, node="node-1", at_most=2) is True


def test_requests_of_a_process_that_died_are_over() -> None:
    found = evidence()
    found.journal(request("node-1", S, req=7, phase="head", method="POST"))
    found.journal({"kind": "boot", "node": "node-1", "t_ns": 2 * S, "boot": 2})
    assert holds(found, "idle", 3 * S, node="node-1") is True


def test_a_fair_share_counts_from_the_return_of_the_node() -> None:
    found = evidence()
    found.journal(state("node-1", 10 * S, "online"))
    flow(found, NODES[1:], 11 * S, 60)
    assert holds(found, "fair-share", 12 * S, node="node-1") is False
    flow(found, NODES, 12 * S, 60)
    assert holds(found, "fair-share", 13 * S, node="node-1") is True
    assert holds(found, "fair-share", 13 * S, node=None) is True
    found.journal(state("node-2", 14 * S, "draining"))
    assert holds(found, "fair-share", 15 * S, node="node-2") is False


def test_an_upload_is_seen_by_its_share() -> None:
    found = evidence()
    assert holds(found, "upload-on", S, node="node-1", at=0.3) is False
    found.nodes["node-1"].progress = 0.29
    assert holds(found, "upload-on", S, node="node-1", at=0.3) is False
    found.nodes["node-1"].progress = 0.31
    assert holds(found, "upload-on", S, node="node-1", at=0.3) is True


def test_streams_are_seen_by_their_clients() -> None:
    found = evidence()
    for n in range(1, 6):
        ended(found, "people", n * S, took_s=n / 10)
    ended(found, "people", 6 * S, told="error", status=503, node=None)
    assert holds(found, "errors", 6 * S, stream="people", is_=0) is False
    assert holds(found, "errors", 6 * S, stream="people", at_most=1) is True
    assert holds(found, "errors", 60 * S, stream="people", is_=0) is False, "no attempt in that time"
    assert holds(found, "answers", 6 * S, status=503) is True
    assert holds(found, "answers", 6 * S, status=502) is False
    assert holds(found, "latency", 6 * S, stream="people", p50=0.31) is True
    assert holds(found, "latency", 6 * S, stream="people", max=0.5) is False
    assert holds(found, "latency", 6 * S, stream="builds", p50=1.0) is None
    assert holds(found, "served-by", 6 * S, stream="people", node="node-1") is False, (
        "the balancer gave the last answer"
    )
    ended(found, "people", 7 * S)
    assert holds(found, "rate", 7 * S, stream="people", at_least=1) is False


def test_requests_only_at_some_nodes() -> None:
    found = evidence()
    flow(found, NODES[:2], S, 10)
    assert holds(found, "only-at", 2 * S, nodes=("node-1", "node-2")) is True
    assert holds(found, "only-at", 2 * S, nodes=("node-1",)) is False
    assert holds(found, "only-at", 60 * S, nodes=("node-1", "node-2")) is False, "no request in that time"


def test_events_nearest_to_a_time_come_in_their_order() -> None:
    found = evidence()
    for n in range(10):
        found.note(n * S, f"event {n}")
    assert [text for _, text in found.nearest(round(6.2 * S), 3)] == ["event 5", "event 6", "event 7"]


def test_the_clock_of_the_nodes_is_mapped_onto_ours() -> None:
    found = evidence(offset_ns=5 * S)
    found.journal(request("node-1", S))
    assert found.nodes["node-1"].last_ns == 6 * S


def test_a_whole_run_is_judged_by_its_figures() -> None:
    assert judged("ledger", record(), stream="builds", lost=0, delivered_twice=0) is True
    torn = {"builds": StreamFigures(kind="push", attempts=3, classes={"delivered_once": 2, "lost": 1})}
    assert judged("ledger", record(streams=torn), stream="builds", lost=0) is False
    assert judged("ledger", record(streams=torn), stream="builds", delivered_twice=0) is True
    open_ = {"builds": StreamFigures(kind="push", attempts=3, classes={"delivered_once": 2, "unresolved": 1})}
    assert judged("ledger", record(streams=open_), stream="builds", lost=0) is None
    assert judged("ledger", record(streams={"builds": StreamFigures(kind="push")}), stream="builds", lost=0) is None
    assert judged("latency", record(), stream="people", p99=0.3) is True
    assert judged("latency", record(), stream="people", p99=0.2) is False
    assert judged("rate", record(), stream="people", at_least=1) is False
    assert judged("errors", record(), stream="people", is_=0) is True
    excused = {"people": StreamFigures(kind="browse", attempts=9, failed=2, failed_undisturbed=0)}
    assert judged("errors", record(streams=excused), stream="people", is_=0) is True


@pytest.mark.parametrize("word", CONDITIONS)
def test_every_condition_can_be_looked_at_or_judged(word: str) -> None:
    shape = CONDITIONS[word]
    assert shape.look or shape.judge
    assert shape.about.endswith(".")
    assert shape.short is None or shape.short in {field.name for field in shape.fields}


def test_a_node_that_was_told_to_be_online_counts_before_its_journal_is_read() -> None:
    """Otherwise `fair-share` right after `online` would look at the other nodes only."""
    found = evidence()
    found.journal(state("node-2", 5 * S, "offline", "freeze"))
    found.returned("node-2", 10 * S)
    for number in range(60):
        found.journal(request(("node-1", "node-3")[number % 2], 10 * S + number, req=number))
    assert holds(found, "fair-share", 12 * S, node=None) is False
    # Lines from before the return arrive late; they are history.
    found.journal(state("node-2", 9 * S, "draining"))
    assert found.nodes["node-2"].state == "online"
    found.journal(state("node-2", 11 * S, "draining"))
    assert found.nodes["node-2"].state == "draining"
