"""The uploader against sockets that misbehave: nothing is sent twice, every byte that left is counted."""

import contextlib
import hashlib
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from mocknode.load.users import streams
from mocknode.load.users.audit import Audit
from mocknode.load.users.content import BLOCK, STAMP, PackageBody
from mocknode.load.users.exchange import Door, Exchange
from mocknode.load.users.records import Records
from mocknode.load.users.sizes import parse_sizes

ANSWER = b"HTTP/1.1 201 Created\r\nOctopus-Node: node-1\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Listener:
    """Takes connections one after another and does to each what it is told."""

    behave: Callable[[socket.socket], None]
    connections: int = 0
    port: int = 0
    _server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @contextlib.contextmanager
    def listening(self) -> Iterator[Door]:
        self.port = self._server.getsockname()[1]
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield Door(url=f"http://127.0.0.1:{self.port}")
        finally:
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                with connection:
                    self.behave(connection)


def take(connection: socket.socket) -> bytes:
    """Everything up to the end of a body in either framing; a chunked one's multipart ends before its last chunk does."""
    data = b""
    while not data.endswith(b"\r\n0\r\n\r\n" if b"Transfer-Encoding: chunked" in data else b"--\r\n"):
        more = connection.recv(1 << 20)
        if not more:
            break
        data += more
    return data


@pytest.mark.parametrize(
    ("answer", "other"),
    [
        ('{"PackageId": "mocknode-load", "Version": "1.0.0-2"}', "mocknode-load.1.0.0-2"),
        ('{"PackageId": "Mocknode-Load", "Version": "1.0.0-1"}', None),
        ('{"PackageId": "mocknode-load"}', None),
        ("[]", None),
        ("\xff", None),
        ("", None),
    ],
)
def test_an_answer_about_another_package_is_known(answer: str, other: str | None) -> None:
    assert PackageBody(attempt="1", size=1, form="length").foreign(answer.encode("latin-1")) == other


def test_a_head_that_cannot_be_sent_ends_at_once() -> None:
    with Listener(take).listening() as door:
        exchange = Exchange(attempt="1", method="GET", path="/api/Spaces 1/packages", timeout_s=20)
        exchange.run(door)
    assert (exchange.told, exchange.end) == ("nothing", "protocol-error")


def push(door: Door, size: int, form: str = "length", timeout_s: float = 20.0) -> tuple[Exchange, PackageBody]:
    body = PackageBody(attempt="0" * 31 + "1", size=size, form=form)  # type: ignore[arg-type]
    exchange = Exchange(
        attempt=body.attempt,
        method="POST",
        path="/api/Spaces-1/packages/raw",
        body=body.pieces(),
        length=body.total if form == "length" else None,
        timeout_s=timeout_s,
    )
    exchange.run(door)
    return exchange, body


@pytest.mark.parametrize("form", ["chunked", "length"])
def test_what_left_is_what_arrived(form: str) -> None:
    arrived = []

    def behave(connection: socket.socket) -> None:
        arrived.append(take(connection))
        connection.sendall(ANSWER)

    with Listener(behave).listening() as door:
        exchange, body = push(door, 3_000_000, form)
    assert (exchange.told, exchange.status, exchange.node, exchange.end) == ("acknowledged", 201, "node-1", "complete")
    assert exchange.sent == len(arrived[0])
    assert exchange.sent_all
    head, _, rest = arrived[0].partition(b"\r\n\r\n")
    assert b"X-Mocknode-Attempt: " + body.attempt.encode() in head
    assert (b"Transfer-Encoding: chunked" in head) == (form == "chunked")
    if form == "length":
        content = rest[len(body.prologue) : -len(body.epilogue)]
        assert hashlib.sha1(content).hexdigest() == body.sha1
        assert len(rest) == body.total


def test_a_refusal_before_the_body_ends_is_read_and_sending_stops() -> None:
    finished = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        # And nothing more is read: a sender that looks at its answer only when it is done would hang.
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        finished.wait(20)

    listener = Listener(behave)
    with listener.listening() as door:
        exchange, body = push(door, 200_000_000)
        finished.set()
    assert (exchange.told, exchange.status) == ("error", 413)
    assert not exchange.sent_all
    assert exchange.sent < 100_000_000
    assert body.sha1 is None
    assert listener.connections == 1


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (b"", "eof"),
        (b"HTTP/1.1 201 Crea", "eof"),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nhalf", "eof"),
        (b"220 smtp.example.test ready\r\n\r\n", "protocol-error"),
    ],
)
def test_a_cut_answer_is_no_answer_and_nothing_is_repeated(last: bytes, end: str) -> None:
    def behave(connection: socket.socket) -> None:
        take(connection)
        connection.sendall(last)

    listener = Listener(behave)
    with listener.listening() as door:
        exchange, _ = push(door, 1000)
    assert (exchange.told, exchange.end) == ("nothing", end)
    assert listener.connections == 1


def test_a_reset_is_reported_once() -> None:
    def behave(connection: socket.socket) -> None:
        take(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    listener = Listener(behave)
    with listener.listening() as door:
        exchange, _ = push(door, 1000)
    assert (exchange.told, exchange.end, exchange.status) == ("nothing", "reset", None)
    assert listener.connections == 1


def test_nobody_there_and_nobody_answers() -> None:
    released = threading.Event()
    with Listener(lambda connection: None).listening() as door:
        pass
    assert push(door, 10)[0].end == "refused"
    with Listener(lambda connection: released.wait(20) and None).listening() as door:  # type: ignore[func-returns-value]
        exchange, _ = push(door, 10, timeout_s=0.2)
        released.set()
    assert (exchange.told, exchange.end) == ("nothing", "timeout")


@given(size=st.integers(0, 3_000_000), form=st.sampled_from(["chunked", "length"]))
def test_content_is_as_long_as_said_and_unlike_any_other(size: int, form: str) -> None:
    one, other = (PackageBody(attempt=a * 32, size=size, form=form) for a in "12")  # type: ignore[arg-type]
    content = [b"".join(body.pieces()) for body in (one, other)]
    assert [len(c) for c in content] == [one.total, other.total]
    assert one.sha1 != other.sha1 or size < STAMP


@given(sizes=st.lists(st.integers(0, 6 * BLOCK), min_size=1, max_size=4), broken_off=st.integers(0, 40))
def test_a_digest_that_is_known_already_is_the_digest(sizes: list[int], broken_off: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "MARK", 2 * BLOCK)
        patch.setattr(streams, "_free", deque())
        # An upload that breaks off leaves its stream known as far as it came.
        for _ in zip(
            range(broken_off), PackageBody(attempt="0" * 32, size=6 * BLOCK, form="length").pieces(), strict=False
        ):
            pass
        for number, size in enumerate(sizes):
            body = PackageBody(attempt=f"{number + 1:032d}", size=size, form="length")
            content = b"".join(body.pieces())[len(body.prologue) : -len(body.epilogue)]
            assert (len(content), body.sha1) == (size, hashlib.sha1(content, usedforsecurity=False).hexdigest())


def test_large_uploads_under_way_share_no_block_and_end_differently_ever_after() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "MARK", 2 * BLOCK)
        patch.setattr(streams, "_free", deque())
        first, second, third = (PackageBody(attempt=a * 32, size=5 * BLOCK, form="length") for a in "123")
        stamps = [
            {bytes(piece) for piece in pieces if len(piece) == STAMP}
            for pieces in (*zip(*zip(first.pieces(), second.pieces(), strict=True), strict=True), list(third.pieces()))
        ]
    assert [len(found) for found in stamps] == [5, 5, 5]
    assert not stamps[0] & stamps[1]
    # The third began as one of the others that had ended, and is another package all the same.
    assert len(stamps[2] & (stamps[0] | stamps[1])) == 4
    assert len({first.sha1, second.sha1, third.sha1}) == 3


@pytest.mark.parametrize("text", ["", "0", "5MiB..1MiB", "1MiB:0", "1MiB:x", "1 potato", "1MiB..", "-1"])
def test_sizes_that_are_none_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="sizes: got"):
        parse_sizes(text)


def test_connections_are_counted_below_whatever_client_opens_them(tmp_path: Path) -> None:
    def behave(connection: socket.socket) -> None:
        take(connection)
        connection.sendall(ANSWER)

    with Listener(behave).listening() as door:
        audit = Audit(Records(tmp_path))
        audit.port = door.target[1]
        audit.sent += 1
        push(door, 10)
        # A second try that nobody was told of.
        push(door, 10)
        audit.sample()
    sample = json.loads(next(tmp_path.glob("*.jsonl")).read_text())
    assert (sample["sent"], sample["connects"]) == (1, 2)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_is_checked_before_anything_is_sent(authority: trustme.CA, trusted: bool, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    arrived = []

    def behave(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secured:
            arrived.append(take(secured))
            secured.sendall(ANSWER)

    (authority if trusted else trustme.CA()).cert_pem.write_to_path(tmp_path / "ca.pem")
    with Listener(behave).listening() as plain:
        exchange, _ = push(Door(url=plain.url.replace("http", "https"), ca=str(tmp_path / "ca.pem")), 3_000_000)
    if trusted:
        assert (exchange.told, exchange.sent) == ("acknowledged", len(arrived[0]))
    else:
        assert (exchange.told, exchange.end, exchange.sent, arrived) == ("nothing", "refused", 0, [])
        assert "certificate verify failed" in (exchange.error or "")
