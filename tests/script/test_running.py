"""A scenario against a real HAProxy: one that lets uploads finish, one that cuts them, and a run that is ended in the middle."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mocknode.script.run_session import judge_again

pytestmark = [pytest.mark.balancer, pytest.mark.timeout(180)]
LIMIT_S = 120.0
CONFIG = """
global
  maxconn 2000
defaults
  mode http
  timeout connect 3s
  timeout client 1m
  timeout server 1m
frontend f
  bind ${{FRONT}}
  default_backend b
backend b
  balance roundrobin
  option httpchk GET /api/octopusservernodes/ping
  http-check expect status 200
  default-server inter 200ms fall 2 rise 2 check {extra}
  server n1 ${{NODE_1_HTTP}}
  server n2 ${{NODE_2_HTTP}}
  server n3 ${{NODE_3_HTTP}}
"""
DRAIN = """
mocknode-scenario: 1
name: one-drain
claim: A drain lets the upload under way finish.
workload:
  big: {push: {users: 3, sizes: 8MiB, forms: [length], link: 4MiB}}
  people: {browse: {users: 2}}
  builds: {push: {users: 2, sizes: 64KiB}}
schedule:
  - wait: {upload-on: node-1, at: 10%}
    within: 30s
  - drain: node-1
  - wait: {quiet: node-1}
    within: 30s
  - wait: {idle: node-1}
    within: 30s
  - expect: {quiet: node-1}
    for: 1s
expect:
  always:
    - {errors: big, is: 0}
    - {ledger: big, lost: 0, delivered-twice: 0}
"""


def command(folder: Path, extra: str, *words: str) -> list[str]:
    (folder / "one-drain.yaml").write_text(DRAIN)
    (folder / "haproxy.cfg").write_text(CONFIG.format(extra=extra))
    target = ["--with", "haproxy", "--config", "haproxy.cfg", "--run-dir", "run"]
    return [sys.executable, "-m", "mocknode", "scenario", "run", "one-drain.yaml", *target, *words]


def report(folder: Path, extra: str, code: int) -> dict[str, Any]:
    argv = command(folder, extra, "--json", "r.json", "--html", "r.html", "--junit", "r.xml", "--markdown", "r.md")
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "<svg" in (folder / "r.html").read_text()
    found: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return found


def test_a_balancer_that_lets_uploads_finish_holds(tmp_path: Path) -> None:
    found = report(tmp_path, "", 0)
    assert (found["result"], found["left"]) == ("held", "")
    assert [step["ended"] for step in found["steps"]] == ["done"] * 5
    assert found["streams"]["big"]["classes"].keys() == {"delivered_once"}
    assert found["streams"]["people"]["attempts"]
    assert "node-1 draining" in [event["text"] for event in found["events"]]


def test_a_balancer_that_cuts_uploads_fails_with_the_cause_and_its_fix_now_and_from_the_record(tmp_path: Path) -> None:
    found = report(tmp_path, "on-marked-down shutdown-sessions", 1)
    assert {item["cause"] for item in found["expectations"] if item["outcome"] == "failed"} == {"drain-cuts-upload"}
    assert "on-marked-down shutdown-sessions" in found["fixes"][0]["snippet"]
    assert judge_again(tmp_path / "run")["signature"] == found["signature"]


def test_a_run_that_is_ended_in_the_middle_restores_the_cluster_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, ""), cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if "node-1 drained" in line:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, out + err
    assert out.lstrip().startswith("INTERRUPTED"), out
    assert "not as it was" not in out
