"""How long the web server waits, by a clock of the test: the measured times of Kestrel, and the options that change them."""

import socket
from dataclasses import replace

import pytest
import trustme
from node_process import KEY

from mocknode.mock.node.http.patience import Patience, Phase
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.web_server import HTTP_SYS, KESTREL, parse_limits


def ends_after(received, *, limits=KESTREL, seconds=80, phases=(Phase.BODY,)):
    """The second in which a body with `received(second)` bytes is refused, looked at once a second; None if it is not."""
    patience = Patience(limits)
    for second in range(1, seconds + 1):
        phase = phases[second % len(phases)]
        if patience.refusal(phase, second, elapsed_s=1.0, received=received(second)):
            return second
    return None


@pytest.mark.parametrize(("at_once", "second"), [(0, 6), (100, 6), (1200, 6), (2400, 11), (5000, 21), (20_000, None)])
def test_a_body_that_stops_is_refused_when_its_average_is_too_low(at_once, second):
    assert ends_after(lambda _: at_once) == second


def test_a_body_above_the_rate_goes_on():
    assert ends_after(lambda second: 300 * second) is None
    assert ends_after(lambda second: 200 * second) == 6
    assert ends_after(lambda second: 200 * second, limits=HTTP_SYS) is None
    assert ends_after(lambda _: 0, limits=replace(KESTREL, body_rate=0)) is None


def test_only_the_time_counts_for_which_the_application_waits():
    assert ends_after(lambda _: 0, phases=(Phase.BODY, Phase.SERVED)) == 12
    assert ends_after(lambda _: 0, phases=(Phase.SERVED, Phase.IDLE)) is None


def test_each_request_has_its_own_patience():
    patience = Patience(KESTREL)
    for _ in range(3):
        patience.next_request()
        assert not any(patience.refusal(Phase.BODY, 0, elapsed_s=1.0, received=0) for _ in range(5))


@pytest.mark.parametrize(("age_s", "refused"), [(29.9, None), (30.0, "head-too-slow")])
def test_a_head_has_its_time(age_s, refused):
    assert Patience(KESTREL).refusal(Phase.HEAD, age_s, elapsed_s=1.0, received=0) == refused
    assert Patience(HTTP_SYS).refusal(Phase.HEAD, age_s, elapsed_s=1.0, received=0) is None


@pytest.mark.parametrize(
    ("phase", "age_s", "closed"), [(Phase.IDLE, 129.9, False), (Phase.IDLE, 130.0, True), (Phase.HEAD, 131, False)]
)
def test_an_idle_connection_has_its_time(phase, age_s, closed):
    assert Patience(KESTREL).idle_too_long(phase, age_s) is closed


@pytest.mark.parametrize(
    ("document", "told"),
    [({"head": 1}, "limits: got 'head'"), ({"head_s": 0}, "head_s: got 0"), ({"fields": "x"}, "fields: got 'x'")],
)
def test_limits_that_are_none_are_refused(document, told):
    with pytest.raises(RefusedError, match=told):
        parse_limits(document)


def everything(sock):
    data = b""
    while got := sock.recv(4096):
        data += got
    return data


def test_a_node_ends_what_takes_too_long(start_node):
    limits = {"head_s": 0.5, "keep_alive_s": 2.0, "body_rate": 1000, "body_grace_s": 0.5}
    node = start_node(limits=limits)
    head = f"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: {KEY}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    with node.connect() as idle, node.connect() as within_head, node.connect() as within_body:
        within_head.sendall(b"GET /api HTT")
        within_body.sendall(head.encode() + b"Content-Length: 2000000\r\n\r\n--b\r\n")
        assert everything(idle) == b""
        for sock in (within_head, within_body):
            assert everything(sock) == b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert node.ended("whole")["refused"] == "head-too-slow"
    slow = node.ended()
    assert (slow["refused"], slow["status"], slow["complete"], slow["received"]) == ("body-too-slow", 408, False, 5)


def test_a_handshake_has_its_time(start_node, tmp_path):
    leaf = trustme.CA().issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    files = {"certificate": str(tmp_path / "both.pem"), "key": str(tmp_path / "both.pem")}
    node = start_node(https_port=0, limits={"handshake_s": 0.3}, **files)
    with socket.create_connection(("127.0.0.1", node.https_port), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01")
        assert everything(sock) == b""
