"""The ping that is answered before ASGI says and notes what the ordinary one does, and steps aside when anybody wants to look."""

import socket

import pytest
from node_process import read_answer

PING = "/api/octopusservernodes/ping"
PLAIN = f"GET {PING} HTTP/1.1\r\nHost: lb\r\nUser-Agent: probe/1\r\nX-Forwarded-For: 10.0.0.1\r\n"
# A header that is there twice is the ordinary way's.
ORDINARY = PLAIN + "X-Twice: 1\r\nX-Twice: 2\r\n"


def ask(sock: socket.socket, head: str) -> bytes:
    sock.sendall(head.encode() + b"\r\n")
    return read_answer(sock)


@pytest.mark.parametrize("state", ["online", "draining"])
def test_it_answers_and_is_journaled_byte_for_byte_as_the_ordinary_one(node, state):
    node.state(state)
    with node.connect() as sock:
        quick = ask(sock, PLAIN)
        (noted,) = node.journal("probe")
        assert ask(sock, ORDINARY) == quick
        ordinary = node.journaled("probe", lambda line: line["req"] > noted["req"])
        assert ask(sock, PLAIN) == quick
    varies = {"t_ns", "req", "answered_ns", "ended_ns"}
    assert noted.keys() == ordinary.keys()
    assert {k: v for k, v in noted.items() if k not in varies} == {k: v for k, v in ordinary.items() if k not in varies}
    assert ordinary["req"] == noted["req"] + 1
    assert noted["t_ns"] <= noted["answered_ns"] <= noted["ended_ns"]


def test_it_counts_for_triggers_and_faults_see_it(node):
    before = node.do("status")["pings"]
    with node.connect() as sock:
        assert ask(sock, PLAIN).startswith(b"HTTP/1.1 200 ")
        node.state("draining", after="2 pings")
        assert [ask(sock, PLAIN)[9:12] for _ in range(2)] == [b"200", b"200"]
        node.event("state")
        assert ask(sock, PLAIN)[9:12] == b"418"
        node.fault("status", {"code": 503}, on="ping", first=1)
        assert [ask(sock, PLAIN)[9:12] for _ in range(2)] == [b"503", b"418"]
    assert node.do("status")["pings"] == before + 6


def test_pings_of_one_packet_are_answered_in_order(node):
    with node.connect() as sock:
        sock.sendall(
            (PLAIN + "\r\n").encode() * 3 + b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n" + (PLAIN + "\r\n").encode()
        )
        got = b""
        while got.count(b"HTTP/1.1 200 OK") < 5:
            got += sock.recv(65536)
    kinds = [b"Octopus Deploy" in part for part in got.split(b"HTTP/1.1 200 OK")[1:]]
    assert kinds == [False, False, False, True, False]
