"""Nothing outlives a cluster: no process, no listener, whatever ends it and whatever state its nodes are in."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

CODES = {signal.SIGTERM: 0, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}


@pytest.mark.parametrize("ending", CODES, ids=lambda number: number.name)
def test_nothing_is_left(start: Callable[..., Any], helpers: Any, ending: signal.Signals) -> None:
    up = start("--nodes", "2")
    up.talk(lambda client: client.set_state("node-1", "offline", "freeze"))
    pids = up.pids()
    # Two nodes, one of them frozen, the server that forked them, and the watchdog.
    assert len(pids) == 4
    assert up.end(ending) == CODES[ending]
    helpers.until(lambda: not any(helpers.running(pid) for pid in pids))
    for url in (up.control, *(node["http"] for node in up.document["nodes"])):
        # The last thread of a process that was killed closes its sockets.
        helpers.until(lambda url=url: not helpers.accepts(url))


def test_it_ends_with_its_requests_open(start: Callable[..., Any], helpers: Any) -> None:
    up = start("--nodes", "1")
    up.talk(lambda client: client.add_fault("node-1", "hang"))
    pids = up.pids()
    with httpx.Client(trust_env=False) as client, client.stream("GET", up.control + "/events") as events:
        lines = events.iter_lines()
        assert next(lines) == ": connected"
        assert up.end() == 0
        assert "data:" not in "".join(lines)
    helpers.until(lambda: not any(helpers.running(pid) for pid in pids))


def test_a_second_ctrl_c_kills_at_once(start: Callable[..., Any], helpers: Any) -> None:
    up = start("--nodes", "1")
    pids = up.pids()
    up.process.send_signal(signal.SIGINT)
    up.process.send_signal(signal.SIGINT)
    assert up.end(signal.SIGINT) == 130
    helpers.until(lambda: not any(helpers.running(pid) for pid in pids))


def test_ended_while_it_starts(start: Callable[..., Any], helpers: Any) -> None:
    up = start("--nodes", "2", ready=False)
    helpers.until(lambda: len(up.pids()) == 4 or up.process.poll() is not None)
    pids = up.pids()
    assert up.end(signal.SIGINT) == 130
    helpers.until(lambda: not any(helpers.running(pid) for pid in pids))


def test_it_ends_with_its_parent(tmp_path: Any, helpers: Any) -> None:
    command = [sys.executable, "-m", "mocknode", "up", "--json", "--with-parent", "--nodes", "1", "--http-port", "0"]
    command += ["--control-port", "0", "--run-dir", str(tmp_path / "run"), "--identity-dir", str(tmp_path / "identity")]
    script = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        document = json.loads(parent.stdout.readline())
        parent.kill()
        helpers.until(lambda: not helpers.accepts(document["control"]))
        helpers.until(lambda: not helpers.accepts(document["nodes"][0]["http"]))
    finally:
        parent.kill()
        parent.communicate()
