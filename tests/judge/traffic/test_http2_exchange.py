"""HTTP/2 clients against a small h2 server over TLS."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic import (
    AbortAt,
    Framing,
    FrontDoor,
    Http2Connection,
    NotConnectedError,
    RequestSpec,
    upload_spec,
)
from mocknode.judge.traffic.goaway import Goaway, GoawayFilter

Run = Callable[[Any], Any]


@dataclass
class H2Server:
    """Answers by path; notes what it received."""

    window: int = 65_535
    streams: int = 100
    bodies: dict[int, bytearray] = field(default_factory=dict)
    heads: dict[int, dict[str, str]] = field(default_factory=dict)
    resets: list[int] = field(default_factory=list)
    together: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        conn.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: self.window,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.streams,
            },
        )
        conn.initiate_connection()
        writer.write(conn.data_to_send())
        while data := await reader.read(65536):
            for event in conn.receive_data(data):
                if self.react(conn, event) == "close":
                    return
            writer.write(conn.data_to_send())
            await writer.drain()

    def react(self, conn: Any, event: Any) -> str | None:
        if isinstance(event, h2.events.RequestReceived):
            self.heads[event.stream_id] = dict(event.headers)
            self.bodies[event.stream_id] = bytearray()
            self.together = max(self.together, len(self.heads) - len(self.resets))
            path = self.heads[event.stream_id][":path"]
            if path == "/early":
                self.respond(conn, event.stream_id, "413")
            elif path == "/reset":
                conn.reset_stream(event.stream_id, 2)
            elif path == "/hints":
                conn.send_headers(event.stream_id, [(":status", "103")])
            elif path == "/close":
                return "close"
            elif path == "/continue":
                conn.send_headers(event.stream_id, [(":status", "100")])
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets.append(event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            path = self.heads[event.stream_id][":path"]
            if path == "/half":
                conn.send_headers(event.stream_id, [(":status", "201")])
                conn.send_data(event.stream_id, b"half")
                return None
            if path not in ("/hang", "/early", "/reset"):
                self.respond(conn, event.stream_id, "201")
        return None

    def respond(self, conn: Any, stream: int, status: str) -> None:
        conn.send_headers(stream, [(":status", status), ("octopus-node", "node-2")])
        conn.send_data(stream, b"ok", end_stream=True)


@pytest.fixture
def drive(run: Run, serve: Any, server_tls: Any, authority: Any) -> Callable[..., Any]:
    """Runs a client coroutine with a connection to the given server."""

    def go(server: H2Server, client: Callable[[Http2Connection], Any]) -> Any:
        async def main() -> Any:
            async with serve(server, server_tls("h2"), authority[1]) as front:
                connection = Http2Connection(front)
                try:
                    return await client(connection)
                finally:
                    connection.close()

        return run(main())

    return go


def test_several_uploads_share_a_connection_and_its_windows(drive: Any) -> None:
    server = H2Server(window=10_000)

    async def client(connection: Http2Connection) -> list[Attempt]:
        specs = [upload_spec("UP-09", str(n), 300_000 + n, api_key="A", timeout_s=20) for n in range(5)]
        return list(await asyncio.gather(*(connection.exchange(spec) for spec in specs)))

    attempts = drive(server, client)
    assert {(a.told, a.end, a.status, a.node, a.body, a.http_version) for a in attempts} == {
        ("acknowledged", "complete", 201, "node-2", "ok", "2")
    }
    assert len({a.connection for a in attempts}) == 1
    assert server.together == 5
    for number, body in server.bodies.items():
        head = server.heads[number]
        attempt = next(a for a in attempts if a.id == head["x-mocknode-attempt"])
        file = bytes(body).split(b"\r\n\r\n", 1)[1][: attempt.file_bytes]
        assert hashlib.sha1(file).hexdigest() == attempt.sha1
        assert int(head["content-length"]) == len(body) == attempt.body_bytes
        assert head["x-octopus-apikey"] == "A"
        assert head[":authority"].startswith("127.0.0.1:")


def test_streams_wait_for_the_peers_limit(drive: Any) -> None:
    server = H2Server(streams=1)

    async def client(connection: Http2Connection) -> list[Attempt]:
        await connection.exchange(RequestSpec(check="x", target="/first"))
        return list(
            await asyncio.gather(*(connection.exchange(RequestSpec(check="x", target="/api")) for _ in range(4)))
        )

    assert [a.told for a in drive(server, client)] == ["acknowledged"] * 4


def test_without_content_length_and_with_100_continue(drive: Any) -> None:
    server = H2Server()

    async def client(connection: Http2Connection) -> tuple[Attempt, Attempt, Attempt]:
        chunked = upload_spec("UP-08", "", 1000, api_key="A", chunks=Framing.chunked(10))
        asked = RequestSpec(check="UP-07", method="POST", target="/continue", body=chunked.body, expect_continue=True)
        hinted = RequestSpec(check="PR-04", target="/hints")
        return await connection.exchange(chunked), await connection.exchange(asked), await connection.exchange(hinted)

    chunked, asked, hinted = drive(server, client)
    assert chunked.told == asked.told == hinted.told == "acknowledged"
    assert "content-length" not in server.heads[1]
    assert "transfer-encoding" not in server.heads[1]
    assert (asked.interim, hinted.interim) == ((100,), (103,))
    assert "continue-received" in asked.marks


def test_early_answer_stops_sending_and_frees_the_connection(drive: Any) -> None:
    server = H2Server()

    async def client(connection: Http2Connection) -> tuple[Attempt, Attempt]:
        body = upload_spec("UP-06", "", 50 << 20, api_key="A").body
        early = await connection.exchange(RequestSpec(check="UP-06", method="POST", target="/early", body=body))
        return early, await connection.exchange(RequestSpec(check="UP-06", target="/api"))

    early, after = drive(server, client)
    assert (early.status, early.told, early.end, early.body_sent_ns) == (413, "error", "complete", None)
    assert early.body_bytes < 50 << 20
    assert after.told == "acknowledged"


def test_abort_is_a_reset_of_the_stream_alone(drive: Any) -> None:
    server = H2Server()

    async def client(connection: Http2Connection) -> tuple[Attempt, Attempt]:
        spec = upload_spec("UP-05", "d", total=100_000, api_key="A", abort=AbortAt(share=0.3))
        return await connection.exchange(spec), await connection.exchange(RequestSpec(check="x", target="/api"))

    aborted, after = drive(server, client)
    assert (aborted.end, aborted.told, aborted.body_bytes) == ("aborted", "nothing", 30_000)
    assert server.resets == [1]
    assert len(server.bodies[1]) == 30_000
    assert after.told == "acknowledged"


@pytest.mark.parametrize(
    ("path", "end", "status"), [("/reset", "reset", None), ("/close", "eof", None), ("/hang", "timeout", None)]
)
def test_ways_an_exchange_ends(drive: Any, path: str, end: str, status: int | None) -> None:
    async def client(connection: Http2Connection) -> Attempt:
        return await connection.exchange(RequestSpec(check="x", target=path, timeout_s=0.5))

    attempt = drive(H2Server(), client)
    assert (attempt.end, attempt.told, attempt.status) == (end, "nothing", status)
    assert attempt.error


def test_a_torn_answer_is_not_an_answer(drive: Any) -> None:
    async def client(connection: Http2Connection) -> Attempt:
        return await connection.exchange(RequestSpec(check="x", target="/half", timeout_s=0.5))

    attempt = drive(H2Server(), client)
    assert (attempt.end, attempt.told, attempt.status, attempt.body) == ("timeout", "nothing", 201, "half")


def test_goaway_lets_streams_below_finish_and_starts_no_more(
    run: Run, serve: Any, server_tls: Any, authority: Any
) -> None:
    told = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        conn.initiate_connection()
        writer.write(conn.data_to_send())
        while data := await reader.read(65536):
            for event in conn.receive_data(data):
                if isinstance(event, h2.events.StreamEnded) and event.stream_id == 3:
                    writer.write(bytes.fromhex("000008 07 00 00000000 00000001 00000000"))
                    conn.send_headers(1, [(":status", "200")], end_stream=True)
            writer.write(conn.data_to_send())
        told.set()

    async def main() -> None:
        async with serve(handler, server_tls("h2"), authority[1]) as front:
            connection = Http2Connection(front)
            first, second = await asyncio.gather(
                *(connection.exchange(RequestSpec(check="x", target=f"/{n}", timeout_s=5)) for n in range(2))
            )
            assert (first.told, first.status) == ("acknowledged", 200)
            assert (second.end, second.error) == ("reset", "GOAWAY, error code 0")
            assert connection.closed
            late = await connection.exchange(RequestSpec(check="x", target="/late"))
            assert (late.end, late.head_sent_ns) == ("eof", None)
            connection.close()
            await told.wait()

    run(main())


@pytest.mark.parametrize("size", [1, 7, 100])
def test_goaway_is_found_however_the_bytes_are_cut(size: int) -> None:
    ping = bytes.fromhex("000008 06 00 00000000 0102030405060708")
    goaway = bytes.fromhex("00000a 07 00 00000000 00000005 00000002 6869")
    stream, watch, passed, notices = ping + goaway + ping, GoawayFilter(), b"", []
    for start in range(0, len(stream), size):
        part, found = watch.feed(stream[start : start + size])
        passed += part
        notices += found
    assert (passed, notices) == (ping + ping, [Goaway(5, 2)])


def test_a_server_without_h2_is_named(run: Run, serve: Any, server_tls: Any, authority: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        await reader.read()

    async def main() -> Attempt:
        async with serve(handler, server_tls("http/1.1"), authority[1]) as front:
            connection = Http2Connection(front)
            with pytest.raises(NotConnectedError, match="did not agree on h2"):
                await connection.open()
            return await connection.exchange(RequestSpec(check="x", target="/"))

    assert run(main()).end == "protocol-error"


def test_what_a_stream_cannot_do_is_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="has to be https"):
        Http2Connection(FrontDoor(scheme="http", host="127.0.0.1", port=80))

    async def main() -> None:
        connection = Http2Connection(FrontDoor(scheme="https", host="127.0.0.1", port=443))
        for spec in (
            RequestSpec(check="x", target="/", abort=AbortAt(bytes=0, how="fin")),
            RequestSpec(check="x", target="/", framing=Framing.chunked(1, truncated=True)),
        ):
            with pytest.raises(ValueError, match="rst only"):
                await connection.exchange(spec)

    run(main())
