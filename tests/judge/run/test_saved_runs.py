"""A saved run is judged again as it was judged live, and one that is not whole is refused by what is missing."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mocknode.judge.record.recording import Recording
from mocknode.judge.run import run_directory as saved
from mocknode.judge.run.judging import Facts, judge
from mocknode.judge.run.session import judge_again
from mocknode.judge.verdict.calibration import calibrate
from tests.judge.histories import NODES, SECOND, attempt, step

TODAY = datetime.date(2026, 11, 23)
Document = dict[str, Any]


def facts(**more: Any) -> Facts:
    usual: dict[str, Any] = {
        "nodes": NODES, "tier": "quick", "patience_s": 75.0, "max_upload": 1 << 62, "public_name": "octopus.example.test",
        "kind": "nginx", "acceptances": (("UP-01", "small packages only", "2027-03-01"),),
        "lanes": {"HC-01": "drains", "UP-01": "heavy", "UP-02": "heavy"}, "durations_s": {"UP-01": 2.5},
        "errors": {"UP-02": "OSError: boom"},
    }  # fmt: skip
    return Facts(**{**usual, **more})


def recorded(run_dir: Path) -> dict[str, Recording]:
    """Two lanes: one that calibrated on a balancer that reacts, one whose upload was refused."""
    with Recording(run_dir / "drains" / "history.jsonl", clock_offset_ns=5) as drains:
        for node in NODES:
            drains.journal(ping(node, n * 2 * SECOND) for n in range(5))
        drains.step(step("calibration", "drain", 10 * SECOND, node="node-1"))
        drains.step(
            step("calibration", "out", 14 * SECOND, node="node-1", at_ns=12 * SECOND, never=False, waited_s=9.0)
        )
        drains.step(step("calibration", "resume", 15 * SECOND, node="node-1"))
        drains.step(step("calibration", "in", 16 * SECOND, node="node-1", at_ns=16 * SECOND, never=False, waited_s=9.0))
        drains.synced(17 * SECOND)
    with Recording(run_dir / "heavy" / "history.jsonl") as heavy:
        for size in (1024, 1048577, 30000001):
            told = {"status": 413, "told": "error", "node": None, "headers": (("Server", "nginx"),), "interim": (100,)}
            heavy.attempt(attempt(f"a{size}", check="UP-01", variant=str(size), marks={"pause": 7}, **told))
    return {"drains": drains, "heavy": heavy}


def ping(node: str, t_ns: int) -> Document:
    return {
        "kind": "probe", "node": node, "boot": 1, "t_ns": t_ns, "req": 1, "conn": 1, "peer": "127.0.0.1:7000",
        "method": "GET", "target": "/api/octopusservernodes/ping", "http_version": "1.1", "host": "lb", "status": 200,
    }  # fmt: skip


def whole(run_dir: Path) -> Path:
    recorded(run_dir)
    done = ("HC-01", "UP-01", "UP-02")
    saved.save(run_dir, facts(), done=done, calibrated_lane="drains", report={"seed": 1, "url": "http://lb"})
    return run_dir


def test_a_saved_run_is_what_was_recorded(tmp_path: Path) -> None:
    lanes = recorded(tmp_path)
    saved.save(tmp_path, facts(), done=("HC-01", "UP-01"), calibrated_lane="drains", report={"seed": 1})
    found = saved.load(tmp_path)
    assert found.histories == {name: lane.history for name, lane in lanes.items()}
    assert (found.facts, found.done, found.report) == (facts(), ("HC-01", "UP-01"), {"seed": 1})
    assert found.calibration == calibrate(lanes["drains"].history, NODES)
    assert (found.calibration.interval_s, found.calibration.out_after_s) == (2.0, 2.0)
    assert not list(tmp_path.glob("*.part"))


def test_judging_again_gives_the_same_results(tmp_path: Path) -> None:
    lanes = recorded(tmp_path)
    saved.save(tmp_path, facts(), done=("HC-01", "UP-01", "UP-02"), calibrated_lane="drains", report={})
    live = {name: lane.history for name, lane in lanes.items()}
    found = saved.load(tmp_path)
    before = judge(found.done, facts(), live, calibrate(live["drains"], NODES), TODAY)
    after = judge(found.done, found.facts, found.histories, found.calibration, TODAY)
    assert after == before
    assert [r.outcome.value for r in after] == ["pass", "accepted", "unknown"]


def test_a_run_in_which_nothing_calibrated_has_seen_nobody(tmp_path: Path) -> None:
    recorded(tmp_path)
    saved.save(tmp_path, facts(), done=("UP-01",), calibrated_lane=None, report={})
    found = saved.load(tmp_path)
    assert list(found.histories) == ["heavy"]
    assert (found.calibration.probers, found.calibration.drained) == ((), False)


def test_saving_again_replaces_the_file_whole(tmp_path: Path) -> None:
    whole(tmp_path)
    saved.save(tmp_path, facts(), done=("UP-01",), calibrated_lane=None, report={"seed": 2})
    assert saved.load(tmp_path).done == ("UP-01",)


@pytest.mark.parametrize(
    ("planned", "left_out", "result", "code"),
    [
        (["HC-01"], [], "conformant", 0),
        (["HC-01"], ["UP-01"], "passed", 0),
        (["HC-01", "UP-01"], [], "partial", 4),
    ],
)
def test_a_run_that_was_killed_is_partial_however_often_it_is_judged(
    planned: list[str], left_out: list[str], result: str, code: int, tmp_path: Path
) -> None:
    recorded(tmp_path)
    report: Any = {
        "seed": 1, "started": "2026-11-23T10:00:00+00:00", "duration_s": 1.0, "versions": {}, "binary": None, "mode": None,
        "url": "http://lb", "configuration": {}, "reproduce": "mocknode check", "planned": planned, "left_out": left_out,
        "notes": [], "trusted": True, "detected": None,
    }  # fmt: skip
    saved.save(tmp_path, facts(), done=("HC-01",), calibrated_lane="drains", report=report)
    found, document = judge_again(tmp_path)
    assert (found, document["result"], document["unfinished"]) == (code, result, planned[1:])


def test_a_killed_run_is_judged_from_what_it_had_written(tmp_path: Path) -> None:
    path = whole(tmp_path) / "heavy" / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert [a.variant for a in saved.load(tmp_path).histories["heavy"].attempts] == ["1024", "1048577"]


def edit(change: Callable[[Document], Any]) -> Callable[[Path], None]:
    def apply(run_dir: Path) -> None:
        path = run_dir / saved.RUN_FILE
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return apply


def put(text: str) -> Callable[[Path], object]:
    return lambda run_dir: (run_dir / saved.RUN_FILE).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run_dir: (run_dir / saved.RUN_FILE).unlink(), r"is not a saved run: run\.json: No such file"),
        (put('{"schema": '), r"run\.json is not JSON"),
        (put("[1]"), r"has the schema 'list'; this version judges 'mocknode-run/1'"),
        (put("{}"), r"has the schema None; this version judges"),
        (edit(lambda d: d.update(schema="mocknode-run/2")), r"has the schema 'mocknode-run/2'; this version judges"),
        (edit(lambda d: d.pop("facts")), r"is not a complete run: 'facts'"),
        (
            edit(lambda d: d["facts"].pop("tier")),
            r"is not a complete run: not the facts of a run of this version.*tier",
        ),
        (edit(lambda d: d["facts"].update(mood="good")), r"is not a complete run: not the facts.*mood"),
        (edit(lambda d: d["facts"].update(nodes=None)), r"is not a complete run: not the facts"),
        (edit(lambda d: d["facts"].update(lanes=None)), r"is not a complete run"),
        (edit(lambda d: d.update(facts=[1])), r"is not a complete run"),
        (edit(lambda d: d.update(done=None)), r"is not a complete run"),
        (edit(lambda d: d.update(done=["RT-01"])), r"is not a complete run: 'RT-01'"),
        (edit(lambda d: d.pop("calibrated_lane")), r"is not a complete run: 'calibrated_lane'"),
        (edit(lambda d: d.update(calibrated_lane="gone")), r"is not a complete run: .*No such file.*gone"),
        (
            lambda run_dir: (run_dir / "heavy" / "history.jsonl").unlink(),
            r"is not a complete run: .*No such file.*heavy",
        ),
        (
            lambda run_dir: (run_dir / "heavy" / "history.jsonl").write_text('{"type": "clock"}\n'),
            r"is not a complete run: .*heavy/history\.jsonl:1: not a record of a run",
        ),
    ],
)
def test_what_is_no_saved_run_is_refused(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(whole(tmp_path))
    with pytest.raises(saved.SavedRunError, match=message) as caught:
        saved.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
