import json
import socket
import time

import pytest
from node_process import KEY, multipart, read_answer

RAW = "/api/packages/raw"
GET = b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n"


def talk(node, data, *, timeout=10.0):
    """What the node wrote, and how it ended: `fin`, `rst` or `open`."""
    with node.connect() as sock:
        sock.settimeout(timeout)
        received = b""
        try:
            sock.sendall(data)
            while piece := sock.recv(65536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            return received, "rst"
        except TimeoutError:
            return received, "open"
        return received, "fin"


def upload(content=b"x" * 1000, name="Acme.1.0.0.zip"):
    body, form = multipart(content, name)
    head = f"POST {RAW} HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: {KEY}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: {form['Content-Type']}\r\n\r\n".encode() + body


def stored(node):
    return json.loads(node.request("GET", "/api/packages")[2])["TotalResults"]


@pytest.mark.parametrize(("kind", "how"), [("reset", "rst"), ("close", "fin")])
@pytest.mark.parametrize("at", ["head", "100B", "50%", "body-end", "answer"])
def test_a_cut_ends_as_it_says_wherever_it_is(node, kind, how, at):
    node.fault(kind, {"at": at}, first=1)
    assert talk(node, upload()) == (b"", how)
    line = node.ended()
    assert (line["end"], line["status"], line["faults"]) == ("local", None, ["f0"])
    closed = node.journaled("connection", lambda entry: entry["phase"] == "close")
    assert (closed["how"], closed["by"]) == (how, "node")
    assert stored(node) == (1 if at == "answer" else 0)
    assert node.event("fault-ended") == {"event": "fault-ended", "id": "f0", "why": "first"}


def test_a_cut_in_a_large_body_comes_at_that_byte(node):
    node.fault("reset", {"at": "4MiB"})
    talk(node, upload(b"x" * 30_000_000))
    received = node.ended()["received"]
    assert 4 * 2**20 <= received < 4 * 2**20 + 300_000


def test_latency_delays_the_answer_only(node):
    node.fault("latency", {"delay": "300ms"}, on="api")
    started = time.monotonic()
    assert node.request("GET", "/api")[0] == 200
    assert time.monotonic() - started >= 0.298  # uvloop's clock counts whole milliseconds
    assert node.ping() == 200
    assert node.ended()["faults"] == ["f0"]


def test_think_waits_after_the_body_and_then_stores(node):
    node.fault("think", {"for": "300ms"})
    started = time.monotonic()
    assert node.request("POST", RAW, *multipart(b"x"))[0] == 201
    assert time.monotonic() - started >= 0.298  # uvloop's clock counts whole milliseconds
    body = node.ended("body")
    assert body["sha1"]
    assert node.ended()["ended_ns"] - body["last_body_ns"] >= 300e6


@pytest.mark.parametrize("on", ["ping", "api"])
def test_a_status_is_answered_within_its_scope(node, on):
    node.fault("status", {"code": 302, "location": "/login"}, on=on)
    status, headers, _ = node.request("GET", "/api/octopusservernodes/ping" if on == "ping" else "/api")
    assert (status, headers["location"]) == (302, "/login")
    assert (node.ping() if on == "api" else node.request("GET", "/api")[0]) == 200


def test_a_status_on_an_upload_reads_it_whole_and_stores_nothing(node):
    node.fault("status", {"code": 503}, first=1)
    assert node.request("POST", RAW, *multipart(b"x"))[0] == 503
    line = node.ended()
    assert (line["complete"], line["status"], line["end"]) == (True, 503, "complete")
    assert node.ended("body")["sha1"]
    assert stored(node) == 0


def test_a_status_without_a_body(node):
    node.fault("status", {"code": 204})
    assert talk(node, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))[0].startswith(
        b"HTTP/1.1 204 No Content\r\n"
    )


@pytest.mark.parametrize("release", ["fault-clear", "reset", "ttl"])
@pytest.mark.parametrize("at", ["head", "body-end"])
def test_a_hang_lasts_until_it_is_released(node, at, release):
    id_ = node.fault("hang", {"at": at}, ttl="2s" if release == "ttl" else None)
    with node.connect() as sock:
        sock.sendall(upload())
        node.journaled("fault", lambda line: line["phase"] == "hit")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        if release != "ttl":
            node.do(release)
        sock.settimeout(10)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert node.event("fault-ended")["id"] == id_
    assert node.ended()["end"] == "local"
    assert node.request("GET", "/api")[0] == 200


def test_a_hang_sees_the_peer_give_up(node):
    node.fault("hang", on="ping")
    with node.connect() as sock:
        sock.sendall(b"GET /api/octopusservernodes/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        node.journaled("fault", lambda line: line["phase"] == "hit")
    probe = node.journaled("probe")
    assert (probe["status"], probe["answered_ns"], probe["end"]) == (None, None, "fin")


def test_a_node_stops_though_a_request_hangs(start_node):
    node = start_node()
    node.fault("hang")
    with node.connect() as sock:
        sock.sendall(GET)
        node.journaled("fault", lambda line: line["phase"] == "hit")
        node.do("stop")
        assert node.process.wait(5) == 0


def test_stop_reading_stalls_the_sender(node):
    node.fault("stop-reading", {"at": "1MiB"})
    with node.connect() as sock:
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.sendall(upload(b"x" * 60_000_000))
        node.do("fault-clear")
        sock.settimeout(10)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert 2**20 <= node.ended()["received"] < 2**20 + 600_000


def test_stop_reading_notices_that_the_sender_left(node):
    node.fault("stop-reading", {"at": "0B"})
    sock = node.connect()
    sock.sendall(upload(b"x" * 100_000))
    node.journaled("fault", lambda line: line["phase"] == "hit")
    sock.close()
    assert node.ended()["end"] in ("fin", "rst")


def test_slow_read_takes_its_time(node):
    node.fault("slow-read", {"rate": "2MiB per s"})
    started = time.monotonic()
    assert node.request("POST", RAW, *multipart(b"x" * 1_500_000))[0] == 201
    assert time.monotonic() - started > 0.4


@pytest.mark.parametrize(("then", "how"), [("read", "open"), ("close", "fin"), ("reset", "rst")])
def test_an_early_response_comes_before_the_body(node, then, how):
    node.fault("early-response", {"code": 413, "then": then})
    with node.connect() as sock:
        sock.sendall(upload(b"x" * 50_000)[:5000])
        assert read_answer(sock).startswith(b"HTTP/1.1 413")
        sock.settimeout(0.2 if how == "open" else 10)
        expected = {"open": TimeoutError, "rst": ConnectionResetError}.get(how)
        if expected is None:
            assert sock.recv(1) == b""
        else:
            with pytest.raises(expected):
                sock.recv(1)
    line = node.ended()
    assert (line["status"], line["complete"], line["end"]) == (413, False, "complete")


def test_an_early_response_that_reads_on_serves_the_next_request(node):
    node.fault("early-response", {"code": 409}, first=1)
    with node.connect() as sock:
        sock.sendall(upload(b"x" * 5_000_000))
        assert read_answer(sock).startswith(b"HTTP/1.1 409")
        sock.sendall(GET)
        assert read_answer(sock).startswith(b"HTTP/1.1 200")
    line = node.ended()
    assert (line["complete"], line["received"] > 5_000_000) == (True, True)


def test_an_early_response_may_come_in_the_middle(node):
    node.fault("early-response", {"code": 507, "at": "3MiB"})
    with node.connect() as sock:
        sock.sendall(upload(b"x" * 10_000_000))
        assert read_answer(sock).startswith(b"HTTP/1.1 507")
    assert stored(node) == 0


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize(
    ("framing", "sign"), [("length", b"content-length: "), ("chunked", b"transfer-encoding: chunked")]
)
def test_a_truncated_answer_ends_too_soon(node, how, framing, sign):
    node.fault("truncate", {"how": how, "framing": framing}, on="api", first=1)
    data, end = talk(node, upload())
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201")
    assert sign in head
    assert body
    assert not body.endswith((b"}", b"0\r\n\r\n"))
    assert end == {"fin": "fin", "reset": "rst"}[how]
    assert (node.ended()["end"], node.ended()["status"], stored(node)) == ("local", 201, 1)


def test_an_answer_is_truncated_where_told(node):
    node.fault("truncate", {"at": "10"})
    data, _ = talk(node, GET)
    assert len(data.partition(b"\r\n\r\n")[2]) == 10
    assert node.ended()["answer_bytes"] == 10


def test_a_drip_writes_the_head_slowly_too(node):
    node.fault("drip", {"rate": "2KiB per s"}, on="ping", first=1)
    with node.connect() as sock:
        sock.sendall(b"GET /api/octopusservernodes/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        started = time.monotonic()
        first = sock.recv(4096)
        assert len(first) <= 200
        while not first.endswith(b"}}"):
            first += sock.recv(4096)
        assert time.monotonic() - started > 0.1
        sock.sendall(GET)
        assert read_answer(sock).startswith(b"HTTP/1.1 200")


def test_garbage_is_no_http(node):
    node.fault("garbage")
    data, end = talk(node, GET)
    assert (len(data), data[:1], end) == (64, b"\xff", "fin")


def test_a_ping_may_answer_something_else(node):
    node.fault("body", {"text": "hello"}, on="ping", first=1)
    assert node.request("GET", "/api/octopusservernodes/ping")[2] == b"hello"
    node.fault("body", {"text": "hello", "content-length": 100}, on="ping")
    data, end = talk(node, b"GET /api/octopusservernodes/ping HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (b"content-length: 100\r\n" in data, data.endswith(b"\r\n\r\nhello"), end) == (True, True, "fin")
    assert b"Octopus-Node: node-1".lower() in data.lower()


def test_every_and_first_and_attempt_choose_requests(node):
    node.fault("status", {"code": 500}, id="every", every=3, on="api")
    assert [node.request("GET", "/api")[0] for _ in range(6)] == [200, 200, 500, 200, 200, 500]
    node.do("fault-clear")
    node.fault("status", {"code": 501}, id="one", attempt="a-7")
    statuses = [node.request("GET", "/api", headers={"X-Mocknode-Attempt": f"a-{n}"})[0] for n in (6, 7, 8)]
    assert statuses == [200, 501, 200]


def test_a_fault_waits_for_pings_and_ends_by_its_ttl(node):
    node.fault("status", {"code": 500}, on="ping", after="2 pings", ttl="2s")
    assert [node.ping() for _ in range(3)] == [200, 200, 500]
    assert node.event("fault-ended")["why"] == "ttl"
    assert node.ping() == 200


def test_a_fault_becomes_active_within_an_upload_and_hits_it(node):
    node.fault("reset", {"at": "head"}, after="50% of an upload", on="api")
    assert talk(node, upload(b"x" * 20_000_000))[1] == "rst"
    assert 10_000_000 <= node.ended()["received"] < 10_700_000


def test_a_fault_of_the_configuration_hits_the_first_connection(start_node):
    node = start_node(faults=[{"id": "f9", "kind": "status", "options": {"code": 500}, "on": "ping"}])
    assert node.ping() == 500
    assert [fault["id"] for fault in node.do("faults")["faults"]] == ["f9"]
    node.do("fault-remove", fault_id="f9")
    assert node.ping() == 200
    phases = [line["phase"] for line in node.journal("fault")]
    assert phases == ["set", "hit", "removed"]


def test_pipelined_requests_survive_a_paced_answer(node):
    node.fault("drip", {"rate": "20KiB per s"}, first=1)
    with node.connect() as sock:
        sock.sendall(GET * 2)
        data = b""
        while data.count(b"Octopus Deploy") < 2:
            piece = sock.recv(65536)
            assert piece
            data += piece
        sock.shutdown(socket.SHUT_RDWR)
