import os
import signal
import socket
import time
from pathlib import Path

import pytest
from node_process import KEY, multipart, read_answer

GET = b"GET /api/octopusservernodes/ping HTTP/1.1\r\nHost: x\r\n\r\n"


def start_upload(node):
    """A connection with a chunked upload under way, and the rest to send."""
    body, form = multipart(b"x" * 1000)
    sock = node.connect()
    head = f"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: {KEY}\r\nContent-Length: {len(body)}\r\n"
    sock.sendall(f"{head}Content-Type: {form['Content-Type']}\r\n\r\n".encode() + body[:500])
    node.journaled("request", lambda line: line["phase"] == "head")
    return sock, body[500:]


def process_state(node):
    return Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for_state(node, state):
    deadline = time.monotonic() + 10
    while process_state(node) != state:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_refuse_closes_listeners_and_idle_connections_and_lets_work_finish(node):
    idle = node.connect()
    idle.sendall(GET)
    assert read_answer(idle).startswith(b"HTTP/1.1 200")
    busy, rest = start_upload(node)
    node.state("offline", "refuse")
    with pytest.raises(ConnectionRefusedError):
        node.connect()
    with idle, busy:
        assert idle.recv(1) == b""
        busy.sendall(rest)
        answer = read_answer(busy)
        assert answer.startswith(b"HTTP/1.1 201")
        assert b"connection: close" in answer
        assert busy.recv(1) == b""
    port = node.port
    node.state("online")
    assert (node.ping(), node.port) == (200, port)


def test_a_stopped_service_resets_what_is_not_done_in_time(start_node):
    node = start_node(limits={"stop_s": 2.0})
    idle = node.connect()
    idle.sendall(GET)
    assert read_answer(idle).startswith(b"HTTP/1.1 200")
    short, rest = start_upload(node)
    endless, _ = start_upload(node)
    node.state("offline", "stop")
    with pytest.raises(ConnectionRefusedError):
        node.connect()
    with idle, short, endless:
        assert idle.recv(1) == b""
        short.sendall(rest)
        answer = read_answer(short)
        assert answer.startswith(b"HTTP/1.1 201")
        assert b"connection: close" in answer
        with pytest.raises(ConnectionResetError):
            endless.recv(1)
    assert node.journaled("state", lambda line: line["how"] == "stop")["state"] == "offline"
    node.state("online")
    assert node.ping() == 200


def test_a_service_that_is_started_again_ends_no_request(start_node):
    node = start_node(limits={"stop_s": 0.3})
    busy, rest = start_upload(node)
    with busy:
        node.state("offline", "stop")
        node.state("online")
        busy.settimeout(0.6)
        with pytest.raises(TimeoutError):
            busy.recv(1)
        busy.settimeout(10)
        busy.sendall(rest)
        assert read_answer(busy).startswith(b"HTTP/1.1 201")


def test_draining_ends_nothing(node):
    busy, rest = start_upload(node)
    with busy:
        node.state("draining")
        busy.sendall(rest)
        answer = read_answer(busy)
    assert answer.startswith(b"HTTP/1.1 201")
    assert b"connection: close" not in answer


def test_a_blackhole_keeps_connections_and_answers_nothing(node):
    existing = node.connect()
    existing.sendall(GET)
    read_answer(existing)
    busy, rest = start_upload(node)
    node.state("offline", "blackhole")
    new = node.connect()
    with existing, busy, new:
        for sock, data in ((existing, GET), (busy, rest), (new, GET)):
            sock.sendall(data)
            sock.settimeout(0.15)
            with pytest.raises(TimeoutError):
                sock.recv(1)
        node.state("online")
        for sock in (existing, busy, new):
            sock.settimeout(10)
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
    assert node.ping() == 200
    closes = [line for line in node.journal("connection") if line["phase"] == "close" and line["how"] == "rst"]
    assert len(closes) == 3
    assert node.ended()["end"] == "local"


def test_a_blackhole_sees_the_peer_give_up(node):
    node.state("offline", "blackhole")
    with node.connect() as sock:
        sock.sendall(GET)
        assert node.journaled("connection", lambda line: line["phase"] == "open")["tls"] is None
    closed = node.journaled("connection", lambda line: line["phase"] == "close")
    assert (closed["by"], closed["bytes_in"]) == ("peer", 0)


def test_an_answer_that_is_due_in_a_blackhole_is_not_written(node):
    node.fault("think", {"for": "1s"})
    with node.connect() as sock:
        sock.sendall(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
        node.journaled("fault", lambda line: line["phase"] == "hit")
        node.state("offline", "blackhole")
        sock.settimeout(1.5)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_from_one_form_to_another(node):
    node.state("offline", "blackhole")
    node.state("offline", "refuse")
    with pytest.raises(ConnectionRefusedError):
        node.connect()
    node.state("offline", "blackhole")
    with node.connect():
        pass
    node.state("offline", "status:503")
    assert node.ping() == 503


def test_garbage_to_every_request(node):
    node.state("offline", "garbage")
    with node.connect() as sock:
        sock.sendall(GET)
        assert sock.recv(4096)[:1] == b"\xff"
        assert sock.recv(1) == b""


def test_a_node_that_starts_refused_still_claims_its_address(start_node):
    node = start_node(state={"state": "offline", "how": "refuse"})
    with pytest.raises(ConnectionRefusedError):
        node.connect()
    node.state("online")
    assert node.ping() == 200


def test_a_crash_after_pings_is_a_sigkill_and_the_journal_survives(start_node):
    node = start_node()
    node.state("offline", "crash", after="2 pings")
    assert node.do("status")["pending"] == [{"state": "offline", "how": "crash", "after": "2 pings"}]
    assert node.ping() == 200
    with node.connect() as sock:
        sock.sendall(GET)
        read_answer(sock)
        assert node.process.wait(10) == -signal.SIGKILL
    assert node.journal("state")[-1] == {**node.journal("state")[-1], "how": "crash", "cause": "trigger"}
    assert len(node.journal("probe")) == 2


def test_a_crash_in_an_upload_leaves_its_head(start_node):
    node = start_node()
    node.state("offline", "crash", after="50% of an upload")
    body, form = multipart(b"x" * 20_000_000)
    with pytest.raises(OSError, match=r"."):
        node.request("POST", "/api/packages/raw", body, {**form, "X-Mocknode-Attempt": "a-1"})
    assert node.process.wait(10) == -signal.SIGKILL
    (head,) = node.journal("request")
    assert (head["phase"], head["attempt"]) == ("head", "a-1")


def test_a_restarted_node_goes_on_in_the_same_journal(start_node, tmp_path):
    first = start_node()
    first.process.kill()
    first.process.wait()
    path = tmp_path / "journal" / "node-1.jsonl"
    with path.open("ab") as file:
        file.write(b'{"kind":"probe","node":"no')
    second = start_node(boot=2, http_port=first.port)
    assert second.ping() == 200
    lines = path.read_text().splitlines()
    assert lines.count('{"kind":"probe","node":"no') == 1
    assert '"boot":2' in lines[-1]


def test_a_frozen_node_holds_no_transaction(start_node):
    node, other = start_node(), start_node(name="node-2")
    node.send({"id": 99, "do": "state", "state": "offline", "how": "freeze"})
    wait_for_state(node, "T")
    assert other.request("POST", "/api/packages/raw", *multipart(b"x"))[0] == 201
    with node.connect() as sock:
        sock.settimeout(0.2)
        sock.sendall(GET)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    os.kill(node.process.pid, signal.SIGCONT)
    node.state("online")
    assert node.ping() == 200


def test_a_dead_controller_takes_its_node_along(start_node):
    node = start_node()
    node.socket.shutdown(socket.SHUT_RDWR)
    assert node.process.wait(10) == 0


def test_stop_flags_the_node_offline_and_lets_work_finish(start_node):
    node, other = start_node(), start_node(name="node-2")
    busy, rest = start_upload(node)
    with busy:
        node.do("stop")
        busy.sendall(rest)
        assert read_answer(busy).startswith(b"HTTP/1.1 201")
    assert node.process.wait(10) == 0
    summary = other.request("GET", "/api/octopusservernodes/summary")[2]
    assert b'"Name":"node-1"' in summary
    assert b'"IsOffline":true' in summary
