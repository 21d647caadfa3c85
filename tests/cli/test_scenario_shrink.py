"""`mocknode scenario shrink`: what it refuses before it starts anything."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mocknode.cli import mocknode
from mocknode.script import sources
from mocknode.script.record import Record, StreamFigures


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A saved run of slow-node in which everything held."""
    text = sources.text_of("slow-node")
    classes = {"delivered_once": 3}
    figures = StreamFigures(
        kind="push", attempts=3, acknowledged=3, latency_s={"p50": 0.1, "p99": 0.2}, classes=classes
    )
    record = Record(duration_s=5.0, streams={"builds": figures, "people": figures})
    (tmp_path / "scenario.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "record.json").write_text(json.dumps(record.document()), encoding="utf-8")
    facts = {"url": "http://127.0.0.1", "balancer": "haproxy", "seed": 1, "reproduce": "", "settings": {}}
    (tmp_path / "scenario-run.json").write_text(json.dumps(facts), encoding="utf-8")
    return tmp_path


def shrink(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(mocknode, ["scenario", "shrink", *map(str, words)])
    return done.exit_code, done.stderr


def test_a_run_that_did_not_fail_has_nothing_to_shrink(run_dir: Path) -> None:
    code, said = shrink(run_dir, "--with", "haproxy")
    assert code == 2
    assert "this run did not fail, so there is nothing to shrink" in said


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    code, said = shrink(tmp_path, "--with", "haproxy")
    assert code == 2
    assert "is not a saved run of a scenario" in said


def test_a_balancer_is_needed(run_dir: Path) -> None:
    code, said = shrink(run_dir)
    assert code == 2
    assert "give --lb URL for a balancer that runs already, or --with NAME to start one" in said
    assert not (run_dir / "shrink").exists()
