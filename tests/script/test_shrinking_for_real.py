"""A failed run shrunk through a real HAProxy. It fails whatever the balancer does, so that the number of runs is known."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mocknode.script.parsing import parse
from mocknode.script.record import Record, StreamFigures

SCENARIO = """\
mocknode-scenario: 1
name: too-slow
claim: A hundred thousand uploads a second.
workload: {builds: {push: {users: 1, sizes: 64KiB, link: 256KiB}}}
schedule:
  - mark: nothing needs this
expect:
  always: [{rate: builds, at-least: 100000}]
"""
LIMIT_S = 160.0


@pytest.mark.balancer
@pytest.mark.timeout(180)
def test_what_the_failure_does_not_need_is_gone(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    record = Record(duration_s=5.0, streams={"builds": StreamFigures(kind="push", attempts=5, acknowledged=5)})
    facts = {"url": "http://127.0.0.1", "balancer": "haproxy", "seed": 1, "reproduce": "", "settings": {}}
    for name, text in (
        ("scenario.yaml", SCENARIO),
        ("record.json", json.dumps(record.document())),
        ("scenario-run.json", json.dumps(facts)),
    ):
        (run_dir / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mocknode", "scenario", "shrink", "run", "--with", "haproxy", "--output", "small.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "0 steps and 1 streams are left after 2 runs: small.yaml\n"
    text = (tmp_path / "small.yaml").read_text(encoding="utf-8")
    assert "# It fails like this: always: rate builds, at-least 100000 (no known cause).\n" in text
    assert parse(text).schedule == ()
    assert [path.name for path in sorted((run_dir / "shrink").iterdir())] == ["001", "002"]
