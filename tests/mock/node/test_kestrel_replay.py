"""Each exchange that was measured at the real web server, replayed byte by byte at both ports of a node."""

import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from node_process import KEY, WAIT_S, RunningNode

CASES = json.loads((Path(__file__).parent / "kestrel_exchanges.json").read_text())["cases"]
PROBE = b"GET /api/octopusservernodes/ping HTTP/1.1\r\nHost: x\r\n\r\n"
# The real server's answer to a path that its application does not know was 404; this application may say another refusal.
UNKNOWN = {400, 401, 404, 405}
# Where a node differs, and why. Each must differ.
DIFFERS = {
    "GET with FIN after": "the answer leaves before the FIN is seen; the real server aborts a request whose client has gone",
    "length +5": "the length is taken, and then the application refuses five bytes that are no multipart document",
}


def text_of(parts, port):
    text = "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts)
    # Each package is pushed once at each port; the number of bytes stays the same.
    own = text.replace("API-KEY", KEY).replace("A.1.0.", f"A.{port}.0.")
    return own.encode("latin-1")


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Iterator[RunningNode]:
    directory = tmp_path_factory.mktemp("kestrel")
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    files = {"certificate": str(directory / "cert.pem"), "key": str(directory / "key.pem")}
    node = RunningNode(directory, https_port=0, **files).wait_ready()
    yield node
    node.close()


class Client:
    """One connection, and the answers read from it."""

    def __init__(self, node, port):
        address = ("127.0.0.1", node.port if port == 1 else node.https_port)
        self.sock = socket.create_connection(address, timeout=WAIT_S)
        if port != 1:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
        self.data = b""

    def half_close(self):
        # `SSLSocket.shutdown` would forget the TLS session.
        with socket.socket(fileno=os.dup(self.sock.fileno())) as twin:
            twin.shutdown(socket.SHUT_WR)

    def more(self):
        got = self.sock.recv(65536)
        self.data += got
        return bool(got)

    def answer(self, head_only=False):
        """Status and headers of the next answer; None when the connection ends instead."""
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                return None
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        length = 0 if head_only else int(headers.get("content-length", "0"))
        while len(self.data) < length:
            assert self.more()
        self.data = self.data[length:]
        return int(lines[0].split()[1]), headers


def exchange(node, case, port):
    """Statuses, how the connection ended, and the last answer's Connection and Allow."""
    client = Client(node, port)
    statuses, headers, how = [], {}, "kept"
    with client.sock:
        try:
            expected = list(case["statuses"])
            for part in case["sent"]:
                client.sock.sendall(text_of(part, port))
                if part is not case["sent"][-1]:  # the rest is sent when the interim answer is here
                    statuses.append(client.answer()[0])
                    expected.pop(0)
            if case.get("fin"):
                client.half_close()
            head_only = case["name"].startswith("HEAD")
            for _ in expected:
                if answer := client.answer(head_only):
                    statuses.append(answer[0])
                    headers = answer[1]
            # A kept connection serves the next request; one that has ended says so instead.
            if case["connection"] == "kept":
                client.sock.sendall(PROBE)
                how = "kept" if (client.answer() or (0,))[0] == 200 else "ended"
            else:
                how = "kept" if client.more() else "ended"
        except (ConnectionResetError, BrokenPipeError):
            how = "reset"
    return statuses, how, headers.get("connection"), headers.get("allow")


def as_measured(case, got):
    statuses, how, connection, allow = got
    wanted = case["statuses"]
    same = statuses == wanted or (wanted == [404] and len(statuses) == 1 and statuses[0] in UNKNOWN)
    return same and (how, connection, allow if wanted != [404] else None) == (
        case["connection"], case.get("header"), case.get("allow"),
    )  # fmt: skip


# The bytes of some cases mean something only on the plain port.
REPLAYS = [(case, port) for case in CASES for port in (1, 2) if port == 1 or not case.get("plain_only")]


@pytest.mark.parametrize(
    ("case", "port"), REPLAYS, ids=[f"{case['name']}-{'plain' if port == 1 else 'tls'}" for case, port in REPLAYS]
)
def test_a_node_answers_as_the_real_web_server(both, case, port):
    got = exchange(both, case, port)
    if case["name"] in DIFFERS:
        assert not as_measured(case, got), f"{case['name']} is as measured now: {got}"
    else:
        assert as_measured(case, got), got
