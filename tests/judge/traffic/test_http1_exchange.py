"""HTTP/1.1 clients against scripted servers: what they send, and how they name what happened to them."""

import asyncio
import hashlib
import socket
import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic import (
    AbortAt,
    Body,
    Framing,
    FrontDoor,
    Http1Connection,
    Pace,
    Pause,
    RequestSpec,
    attempt_of_file_name,
    request,
    upload,
    upload_spec,
)

Run = Callable[[Any], Any]
ATTEMPT = "0123456789abcdef0123456789abcdef"
MIB = 1 << 20


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_head_is_sent_byte_for_byte(run: Run, serve: Any, script: Any) -> None:
    heads: list[bytes] = []

    async def handler(reader: Any, writer: Any) -> None:
        heads.append(await script.read_head(reader))
        await script.answer(writer, "200 OK", b"hello", "X-Case: Kept")
        assert await script.read_rest(reader) == (b"", "fin")

    async def main() -> Attempt:
        async with serve(handler) as front:
            spec = RequestSpec(
                check="PR-03",
                variant="query",
                target="/api//x%2F?q=a+b;c",
                headers=(("X-Forwarded-For", "1.2.3.4"), ("x_under", "")),
                attempt=ATTEMPT,
            )
            attempt = await request(front, spec)
            assert heads[0].split(b"\r\n")[1] == f"Host: 127.0.0.1:{front.port}".encode()
            return attempt

    attempt = run(main())
    lines = heads[0].split(b"\r\n")
    assert lines[0] == b"GET /api//x%2F?q=a+b;c HTTP/1.1"
    assert lines[2].startswith(b"User-Agent: mocknode/")
    assert lines[4] == b"X-Mocknode-Attempt: " + ATTEMPT.encode()
    assert lines[5].startswith(b"traceparent: 00-" + ATTEMPT.encode() + b"-")
    assert lines[6:] == [b"X-Forwarded-For: 1.2.3.4", b"x_under: ", b"", b""]
    assert (attempt.told, attempt.end, attempt.status, attempt.node) == ("acknowledged", "complete", 200, "node-1")
    assert (attempt.body, attempt.header("x-case")) == ("hello", "Kept")
    assert attempt.source.startswith("127.0.0.2:")
    assert (attempt.check, attempt.variant, attempt.body_sent_ns) == ("PR-03", "query", None)
    assert attempt.head_sent_ns is not None
    assert attempt.response_ns is not None
    assert attempt.started_ns < attempt.head_sent_ns <= attempt.response_ns <= attempt.ended_ns


def test_upload_arrives_whole_and_its_digest_is_known(run: Run, serve: Any, script: Any) -> None:
    got: list[bytes] = []

    async def handler(reader: Any, writer: Any) -> None:
        head = await script.read_head(reader)
        got.extend((head, await reader.readexactly(script.content_length(head))))
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            return await upload(front, "UP-01", "5 MiB", 5 * MIB + 3, api_key="API-KEY", query="replace=true")

    attempt = run(main())
    head, body = got
    assert head.startswith(b"POST /api/Spaces-1/packages/raw?replace=true HTTP/1.1\r\n")
    assert b"\r\nX-Octopus-ApiKey: API-KEY\r\n" in head
    disposition, file = body.split(b"\r\n\r\n", 1)
    name = disposition.split(b'filename="')[1].split(b'"')[0].decode()
    assert attempt_of_file_name(name) == attempt.id
    file = file[: attempt.file_bytes]
    assert attempt.file_bytes == 5 * MIB + 3
    assert hashlib.sha1(file).hexdigest() == attempt.sha1
    assert attempt.body_bytes == len(body)
    assert attempt.body_sent_ns is not None


def test_exact_body_size(run: Run, serve: Any, script: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        head = await script.read_head(reader)
        assert script.content_length(head) == 30_001
        await reader.readexactly(30_001)
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            return await upload(front, "UP-01", total=30_001, api_key="API-KEY")

    assert run(main()).body_bytes == 30_001


def test_a_small_body_leaves_with_its_head(run: Run, serve: Any, script: Any) -> None:
    got: list[bytes] = []

    async def handler(reader: Any, writer: Any) -> None:
        got.append(await reader.read(65_536))
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            return await upload(front, "RT-01", total=8_192, api_key="API-KEY")

    attempt = run(main())
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST ")
    assert (len(body), attempt.body_bytes) == (8_192, 8_192)
    assert attempt.body_sent_ns is not None
    assert attempt.head_sent_ns is not None


def test_chunks_extensions_and_trailers_on_the_wire(run: Run, serve: Any, script: Any) -> None:
    got: list[bytes] = []

    async def handler(reader: Any, writer: Any) -> None:
        got.append(await script.read_head(reader))
        got.append(await reader.readuntil(b"\r\n\r\n"))
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            framing = Framing.chunked(2, 5, extensions=(";x=y",), trailers=(("X-End", "1"),))
            body = Body(prologue=b"abcdefgh")
            return await request(
                front, RequestSpec(check="UP-08", method="POST", target="/", body=body, framing=framing)
            )

    attempt = run(main())
    assert b"Transfer-Encoding: chunked\r\nTrailer: X-End\r\n" in got[0]
    assert got[1] == b"2;x=y\r\nab\r\n5;x=y\r\ncdefg\r\n1;x=y\r\nh\r\n0\r\nX-End: 1\r\n\r\n"
    assert (attempt.body_bytes, attempt.told) == (8, "acknowledged")


@pytest.mark.parametrize("answered", [True, False])
def test_truncated_chunks_end_in_fin_and_the_answer_is_heard(run: Run, serve: Any, script: Any, answered: bool) -> None:
    got: list[Any] = []

    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        got.append(await script.read_rest(reader))
        if answered:
            await script.answer(writer, "400 Bad Request", b"torn")

    async def main() -> Attempt:
        async with serve(handler) as front:
            framing = Framing.chunked(3, truncated=True)
            spec = RequestSpec(check="UP-08", method="POST", target="/", body=Body(prologue=b"abcdef"), framing=framing)
            return await request(front, spec)

    attempt = run(main())
    assert got == [(b"3\r\nabc\r\n3\r\ndef\r\n", "fin")]
    assert (attempt.end, attempt.body_sent_ns) == ("aborted", None)
    assert (attempt.told, attempt.status) == (("error", 400) if answered else ("nothing", None))


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_abort_at_a_share(
    run: Run, serve: Any, script: Any, server_tls: Any, authority: Any, how: Any, secure: bool
) -> None:
    got: list[Any] = []

    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        got.append(await script.read_rest(reader))

    async def main() -> Attempt:
        tls = server_tls("http/1.1") if secure else None
        async with serve(handler, tls, authority[1]) as front:
            return await upload(front, "UP-05", total=200_000, api_key="A", abort=AbortAt(share=0.3, how=how))

    attempt = run(main())
    (received, end) = got[0]
    assert end == how
    assert len(received) == 60_000 if how == "fin" else len(received) <= 60_000
    assert (attempt.end, attempt.told, attempt.body_bytes) == ("aborted", "nothing", 60_000)
    assert attempt.marks["abort"] <= attempt.ended_ns
    assert attempt.file_bytes is not None
    assert attempt.sha1 is not None


def test_abort_after_the_whole_body(run: Run, serve: Any, script: Any) -> None:
    got: list[Any] = []

    async def handler(reader: Any, writer: Any) -> None:
        head = await script.read_head(reader)
        await reader.readexactly(script.content_length(head))
        got.append(await script.read_rest(reader))

    async def main() -> Attempt:
        async with serve(handler) as front:
            return await upload(front, "UP-05", "c", 1000, api_key="A", abort=AbortAt(share=1.0, after_s=0.1))

    attempt = run(main())
    assert got == [(b"", "rst")]
    assert attempt.end == "aborted"
    assert attempt.body_sent_ns is not None
    assert attempt.marks["abort"] - attempt.body_sent_ns >= 90_000_000


def test_early_answer_is_seen_at_once_and_stops_sending(run: Run, serve: Any, script: Any) -> None:
    """The server reads nothing of the body, so a client that did not read meanwhile would hang."""
    seen = asyncio.Event()

    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        writer.transport.pause_reading()
        await script.answer(writer, "413 Too Large", b"no")
        await seen.wait()

    async def main() -> Attempt:
        async with serve(handler) as front:
            attempt = await upload(front, "UP-06", "413", 200 * MIB, api_key="A", timeout_s=5)
            seen.set()
            return attempt

    attempt = run(main())
    assert (attempt.end, attempt.told, attempt.status, attempt.body) == ("complete", "error", 413, "no")
    assert attempt.body_bytes < 100 * MIB
    assert attempt.body_sent_ns is None


def test_a_server_that_stops_reading_is_a_timeout_with_the_bytes_it_took(run: Run, serve: Any, script: Any) -> None:
    over = asyncio.Event()

    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        writer.transport.pause_reading()
        await over.wait()

    async def main() -> Attempt:
        async with serve(handler) as front:
            attempt = await upload(front, "UP-03", "", 200 * MIB, api_key="A", timeout_s=0.5)
            over.set()
            return attempt

    attempt = run(main())
    assert (attempt.end, attempt.told, attempt.error) == ("timeout", "nothing", "no complete answer within 0.5 s")
    assert 0 < attempt.body_bytes < 100 * MIB
    assert attempt.duration_s >= 0.498  # uvloop's clock counts whole milliseconds


async def silent(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def resets(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


async def short_length(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 201 Created\r\nOctopus-Node: node-1\r\nContent-Length: 10\r\n\r\nhalf")


async def short_chunks(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")


async def short_head(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")


async def reset_in_body(reader: Any, writer: Any) -> None:
    await short_length(reader, writer)
    await writer.drain()
    reset(writer)


async def until_close(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")


async def garbage(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x16\x03\x01 not http\r\n\r\n")


async def drips(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    for byte in b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("handler", "end", "told", "status", "body"),
    [
        (silent, "eof", "nothing", None, ""),
        (resets, "reset", "nothing", None, ""),
        (short_length, "eof", "nothing", 201, "half"),
        (short_chunks, "eof", "nothing", 200, "half"),
        (short_head, "eof", "nothing", None, ""),
        (until_close, "complete", "acknowledged", 200, "all of it"),
        (garbage, "protocol-error", "nothing", None, ""),
        (drips, "complete", "error", 503, "no"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_way_an_answer_ends(
    run: Run, serve: Any, handler: Any, end: str, told: str, status: int | None, body: str
) -> None:
    async def main() -> Attempt:
        async with serve(handler) as front:
            return await request(front, RequestSpec(check="RT-01", target="/api", timeout_s=5))

    attempt = run(main())
    assert (attempt.end, attempt.told, attempt.status, attempt.body) == (end, told, status, body)
    assert (attempt.error is None) == (end == "complete")


def test_reset_in_the_answer_keeps_what_was_seen(run: Run, serve: Any) -> None:
    async def main() -> Attempt:
        async with serve(reset_in_body) as front:
            return await request(front, RequestSpec(check="RT-01", target="/api", timeout_s=5))

    attempt = run(main())
    assert (attempt.end, attempt.told) == ("reset", "nothing")


def test_reset_while_sending_is_a_reset(run: Run, serve: Any, script: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        reset(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            return await upload(front, "DR-07", "a", 50 * MIB, api_key="A", timeout_s=5)

    attempt = run(main())
    assert (attempt.end, attempt.told) == ("reset", "nothing")
    assert attempt.body_bytes < 50 * MIB


def test_refused(run: Run) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else can get the port meanwhile
        bound.bind(("127.0.0.1", 0))
        front = FrontDoor(scheme="http", host="127.0.0.1", port=bound.getsockname()[1])
        attempt = run(upload(front, "RT-03", "", 100, api_key="A"))
    assert (attempt.end, attempt.told, attempt.head_sent_ns, attempt.body_bytes) == ("refused", "nothing", None, 0)
    assert f"127.0.0.1:{front.port}: " in attempt.error


def test_a_name_that_does_not_resolve_is_refused_with_its_name(run: Run) -> None:
    front = FrontDoor(scheme="http", host="lb.invalid", port=80)
    attempt = run(request(front, RequestSpec(check="x", target="/", timeout_s=20)))
    assert attempt.end in ("refused", "timeout")
    assert attempt.told == "nothing"


def test_pace_and_pauses(run: Run, serve: Any, script: Any) -> None:
    arrivals: list[tuple[float, int]] = []

    async def handler(reader: Any, writer: Any) -> None:
        head = await script.read_head(reader)
        left, loop = script.content_length(head), asyncio.get_running_loop()
        while left:
            data = await reader.read(65536)
            left -= len(data)
            arrivals.append((loop.time(), len(data)))
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            pauses = (Pause(at=5000, seconds=0.3), Pause(at=9_000, seconds=0.1))
            return await upload(front, "UP-03", total=10_000, api_key="A", pace=Pace(rate=20_000), pauses=pauses)

    attempt = run(main())
    assert attempt.told == "acknowledged"
    assert set(attempt.marks) == {"pause", "continue", "pause-2", "continue-2"}
    assert attempt.marks["continue"] - attempt.marks["pause"] >= 290_000_000
    gaps = [(after[0] - before[0]) for before, after in pairwise(arrivals)]
    before_the_pause = sum(count for _, count in arrivals[: gaps.index(max(gaps)) + 1])
    assert before_the_pause == 5000
    assert attempt.body_sent_ns is not None
    assert (attempt.body_sent_ns - attempt.started_ns) / 1e9 >= 0.45 + 0.4


def test_expect_continue_waits_for_100_and_notes_it(run: Run, serve: Any, script: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        head = await script.read_head(reader)
        assert b"\r\nExpect: 100-continue\r\n" in head
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(script.content_length(head))
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            return await upload(front, "UP-07", "a", 100, api_key="A", expect_continue=True)

    attempt = run(main())
    assert (attempt.told, attempt.interim) == ("acknowledged", (103, 100))
    assert "continue-received" in attempt.marks


def test_expect_continue_refused_sends_nothing(run: Run, serve: Any, script: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        await script.answer(writer, "401 Unauthorized")
        assert await script.read_rest(reader) == (b"", "fin")

    async def main() -> Attempt:
        async with serve(handler) as front:
            return await upload(front, "UP-07", "b", 100, api_key="A", expect_continue=True)

    attempt = run(main())
    assert (attempt.status, attempt.body_bytes, attempt.marks) == (401, 0, {})


def test_expect_continue_ignored_sends_after_a_while(run: Run, serve: Any, script: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        head = await script.read_head(reader)
        await reader.readexactly(script.content_length(head))
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler) as front:
            spec = upload_spec("UP-07", "c", 100, api_key="A", expect_continue=True)
            return await request(front, spec)

    attempt = run(main())
    assert attempt.told == "acknowledged"
    assert "continue-waived" in attempt.marks


def test_kept_connection_carries_several_exchanges_then_notices_the_fin(run: Run, serve: Any, script: Any) -> None:
    close = asyncio.Event()

    async def handler(reader: Any, writer: Any) -> None:
        for _ in range(3):
            head = await script.read_head(reader)
            await reader.readexactly(script.content_length(head) if b"Content-Length" in head else 0)
            await script.answer(writer)
        await close.wait()

    async def main() -> None:
        async with serve(handler) as front:
            connection = Http1Connection(front)
            first = await connection.exchange(RequestSpec(check="DR-02", target="/api"))
            second = await connection.exchange(upload_spec("DR-02", "", 1000, api_key="A"))
            third = await connection.exchange(RequestSpec(check="DR-02", method="POST", target="/api"))
            assert first.connection == second.connection == third.connection == connection.id
            assert first.source == second.source == connection.source
            assert [a.told for a in (first, second, third)] == ["acknowledged"] * 3
            assert not connection.closed
            close.set()
            async with asyncio.timeout(5):
                while not connection.closed:  # noqa: ASYNC110 - the property looks at the socket, nothing is signalled
                    await asyncio.sleep(0.01)
            late = await connection.exchange(RequestSpec(check="DR-02", target="/api"))
            assert (late.end, late.told, late.head_sent_ns) == ("eof", "nothing", None)
            assert late.error == "the connection was closed before the request"
            connection.close()

    run(main())


def test_connection_close_of_the_server_is_honoured(run: Run, serve: Any, script: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        await script.answer(writer, "200 OK", b"", "Connection: close")
        assert await script.read_rest(reader) == (b"", "fin")

    async def main() -> None:
        async with serve(handler) as front:
            connection = Http1Connection(front)
            attempt = await connection.exchange(RequestSpec(check="x", target="/"))
            assert (attempt.end, connection.closed) == ("complete", True)

    run(main())


def test_two_exchanges_at_once_are_a_mistake_of_the_caller(run: Run, serve: Any, script: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        await script.read_rest(reader)

    async def main() -> None:
        async with serve(handler) as front:
            connection = Http1Connection(front)
            first = asyncio.ensure_future(connection.exchange(RequestSpec(check="x", target="/", timeout_s=0.3)))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="one exchange at a time"):
                await connection.exchange(RequestSpec(check="x", target="/"))
            assert (await first).end == "timeout"

    run(main())


def test_cancelled_exchange_leaves_with_a_reset(run: Run, serve: Any, script: Any) -> None:
    arrived, got = asyncio.Event(), []

    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        arrived.set()
        got.append((await script.read_rest(reader))[1])

    async def main() -> None:
        async with serve(handler) as front:
            spec = RequestSpec(check="x", target="/", timeout_s=30)
            task = asyncio.ensure_future(request(front, spec))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())
    assert got == ["rst"]


def test_https_with_the_clusters_authority(run: Run, serve: Any, script: Any, server_tls: Any, authority: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        head = await script.read_head(reader)
        assert b"\r\nHost: lb.test:" in head
        await reader.readexactly(script.content_length(head))
        await script.answer(writer)

    async def main() -> Attempt:
        async with serve(handler, server_tls("http/1.1"), authority[1]) as at:
            front = FrontDoor(scheme="https", host="lb.test", port=at.port, connect_host="127.0.0.1", ca=authority[1])
            return await upload(front, "UP-01", "https", 3 * MIB, api_key="A")

    attempt = run(main())
    assert (attempt.told, attempt.url.split(":")[:2]) == ("acknowledged", ["https", "//lb.test"])


@pytest.mark.parametrize("insecure", [False, True])
def test_an_unknown_authority(run: Run, server_tls: Any, script: Any, insecure: bool) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        await script.answer(writer, "200 OK")

    async def main() -> Attempt:
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=server_tls())
        port = server.sockets[0].getsockname()[1]
        front = FrontDoor(scheme="https", host="127.0.0.1", port=port, insecure=insecure)
        async with server:
            return await request(front, RequestSpec(check="x", target="/"))

    attempt = run(main())
    if insecure:
        assert attempt.told == "acknowledged"
    else:
        assert (attempt.end, attempt.told) == ("protocol-error", "nothing")
        assert "CERTIFICATE_VERIFY_FAILED" in attempt.error
        assert "--ca FILE names the authority to trust" in attempt.error


def test_plain_http_where_tls_was_asked_for(run: Run, serve: Any) -> None:
    async def handler(reader: Any, writer: Any) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def main() -> Attempt:
        async with serve(handler) as at:
            front = FrontDoor(scheme="https", host="127.0.0.1", port=at.port, insecure=True)
            return await request(front, RequestSpec(check="x", target="/"))

    attempt = run(main())
    assert attempt.end == "protocol-error"
    assert attempt.error.startswith(f"TLS with https://127.0.0.1:{attempt.url.split(':')[-1]}: ")


def test_a_missing_authority_file_is_named(run: Run, tmp_path: Any) -> None:
    front = FrontDoor(scheme="https", host="127.0.0.1", port=443, ca=str(tmp_path / "gone.pem"))
    with pytest.raises(OSError, match=r"gone\.pem is not a readable PEM file"):
        run(request(front, RequestSpec(check="x", target="/")))


@pytest.mark.parametrize(
    ("front", "url", "authority", "name"),
    [
        (FrontDoor(scheme="http", host="lb.test", port=80), "http://lb.test:80", "lb.test", "lb.test"),
        (FrontDoor(scheme="https", host="::1", port=8443), "https://[::1]:8443", "[::1]:8443", "::1"),
        (
            FrontDoor(scheme="https", host="10.0.0.1", port=443, host_header="octopus.corp:444"),
            "https://10.0.0.1:443",
            "octopus.corp:444",
            "octopus.corp",
        ),
    ],
)
def test_what_a_front_door_is_asked_by(front: FrontDoor, url: str, authority: str, name: str) -> None:
    assert (front.url, front.authority, front.server_name) == (url, authority, name)
    assert front.bind_address("127.0.0.1") == "127.0.0.2"
    assert front.bind_address("::1") is None
    assert front.bind_address("10.0.0.1") is None
