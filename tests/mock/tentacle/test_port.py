"""A Tentacle port and simulated Tentacles over real sockets: who gets in, who does not, and how each is told apart."""

import asyncio
import contextlib
import hashlib
import ssl
import zlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import bson
import pytest
import uvloop
from OpenSSL import SSL
from port_stage import SUBSCRIPTION, Stage, server_identity, tentacle_identity

from mocknode.mock.halibut import lines
from mocknode.mock.halibut.envelope import compress
from mocknode.mock.halibut.limits import DEFLATED_MAX
from mocknode.mock.tentacle import calls
from mocknode.mock.tentacle.endings import Ending
from mocknode.mock.tentacle.listener import EARLY_MAX
from mocknode.mock.tentacle.polling_tentacle import (
    EndedError,
    PollingTentacle,
    UnexpectedCertificateError,
    UnreachableError,
)
from mocknode.mock.tentacle.queues import Call, CallFailedError
from mocknode.mock.tentacle.services import VERSION, Services
from mocknode.mock.tentacle.tls import client_context


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_trusted_tentacle_polls_and_both_sides_agree_on_the_connection() -> None:
    async def work() -> None:
        async with Stage(null_s=0.05) as stage, stage.tentacle(sni="node-1.corp.test", alpn=("x",)) as tentacle:
            assert (await tentacle.poll()).request is None
            assert (await tentacle.poll()).request is None
            assert tentacle.thumbprint == server_identity().thumbprint
            hello = await stage.record("hello")
            identified = await stage.record("identified")
            assert tentacle.hello is not None
            assert hello["hello"] == tentacle.hello.document()
            assert (hello["hello"]["sni"], hello["hello"]["alpn"]) == ("node-1.corp.test", ("x",))
            assert hello["first_bytes"].startswith("1603")
            assert identified["thumbprint"] == tentacle_identity().thumbprint
            assert identified["subscription"] == SUBSCRIPTION
            assert (await stage.record("open"))["peer"] == tentacle.local
            await tentacle.aclose()
            closed = await stage.record("close")
            assert (closed["cause"], closed["requests"], closed["port"]) == ("end", 2, "tentacle")

    run(work())


@pytest.mark.parametrize("slow_trust", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_trust_may_take_its_time_and_both_preambles_are_taken(slow_trust: bool, newline: lines.Newline) -> None:
    async def work() -> None:
        async with Stage(null_s=0.01) as stage:
            stage.slow_trust = slow_trust
            async with stage.tentacle(newline=newline, hello_pieces=3) as tentacle:
                assert (await tentacle.poll()).request is None
            with pytest.raises(EndedError):
                await stage.tentacle(identity=tentacle_identity(2)).connect()
            closed = await stage.record("close", lambda r: r["cause"] == "untrusted-certificate")
            assert tentacle_identity(2).thumbprint in closed["log"]
            assert "which is not in the list of thumbprints that we trust" in closed["log"]

    run(work())


def test_an_older_tentacle_speaks_tls_1_2() -> None:
    async def work() -> None:
        context = client_context()
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        async with Stage(null_s=0.01) as stage, stage.tentacle(context=context) as tentacle:
            assert (await tentacle.poll()).request is None
            identified = await stage.record("identified")
            assert identified["tls"]["version"] == "TLSv1.2"
            assert identified["thumbprint"] == tentacle_identity().thumbprint

    run(work())


def test_a_foreign_and_a_missing_certificate_end_without_a_byte_after_the_handshake() -> None:
    async def work() -> None:
        async with Stage() as stage:
            for identity, cause in ((tentacle_identity(2), "untrusted-certificate"), (None, "no-certificate")):
                with pytest.raises(EndedError) as caught:
                    await stage.tentacle(identity=identity).connect()
                # TLS itself was fine: nothing was rejected before the preamble.
                assert caught.value.stage == "greeted"
                closed = await stage.record("close", lambda r, cause=cause: r["cause"] == cause)
                assert closed["by"] == "node"
                assert closed["subscription"] is None

    run(work())


def test_a_certificate_that_only_openssl_reads_is_known_by_its_thumbprint(tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(tentacle_identity().certificate_pem.decode())
    version_3, version_8 = bytes.fromhex("a003020102"), bytes.fromhex("a003020107")
    odd = der.replace(version_3, version_8, 1)
    thumbprint = hashlib.sha1(odd).hexdigest().upper()
    pem = tmp_path / "odd.pem"
    pem.write_bytes(ssl.DER_cert_to_PEM_cert(odd).encode() + tentacle_identity().key_pem)
    context = _any_server()
    context.load_cert_chain(pem)

    async def work() -> None:
        async with Stage() as stage:
            for trusted in (False, True):
                if trusted:
                    stage.trusted.add(thumbprint)
                reader, writer = await asyncio.open_connection("127.0.0.1", stage.number, ssl=context)
                writer.writelines((lines.preamble("\n"), lines.subscriber(SUBSCRIPTION)))
                with contextlib.suppress(ConnectionError):
                    assert (await reader.read(100) == lines.SERVER) is trusted
                identified = await stage.record("identified", lambda r, trusted=trusted: r["trusted"] is trusted)
                assert identified["thumbprint"] == thumbprint
                writer.close()
            assert (await stage.record("close"))["cause"] == "untrusted-certificate"

    run(work())


def test_a_tentacle_refuses_another_certificate_and_a_pin_in_lower_case() -> None:
    async def work() -> None:
        async with Stage() as stage:
            for pin in (tentacle_identity().thumbprint, server_identity().thumbprint.lower()):
                with pytest.raises(
                    UnexpectedCertificateError, match="presented an unexpected security certificate"
                ) as caught:
                    async with stage.tentacle(pinned=pin):
                        pass
                assert caught.value.got == server_identity().thumbprint
                assert caught.value.subject == "CN=Octopus Portal"

    run(work())


def test_a_reset_of_what_is_closed_already_is_none() -> None:
    async def work() -> None:
        async with Stage() as stage:
            tentacle = stage.tentacle()
            await tentacle.connect()
            await tentacle.aclose()
            await asyncio.sleep(0.05)
            tentacle.reset()

    uvloop.run(work())  # As the command runs it; its sockets have words of their own for that.


def test_nobody_there() -> None:
    async def work() -> None:
        async with Stage() as stage:
            port = stage.number
        with pytest.raises(UnreachableError):
            await PollingTentacle(tentacle_identity(), SUBSCRIPTION, "127.0.0.1", port).connect()

    run(work())


@pytest.mark.parametrize(
    ("data", "cause", "log"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "plain-http", "Client failed authentication: "),
        (b"MX\r\n\r\nMX-SUBSCRIBER 1.0 poll://a/\r\n\r\n", "plain-text", "Client failed authentication: "),
        (b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n\x16\x03\x01", "proxy-header-v1", "Client failed authentication: "),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", "proxy-header-v2", "Client failed authentication: "),
        (b"\x16\x03\x01\x00\x05hello and no more TLS", "tls-failed", "Client failed authentication: "),
    ],
)
def test_what_is_not_tls_is_closed_and_named(data: bytes, cause: str, log: str) -> None:
    async def work() -> None:
        async with Stage() as stage:
            reader, writer = await stage.raw(data)
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
            closed = await stage.record("close")
            assert (closed["cause"], closed["by"]) == (cause, "node")
            assert closed["log"].startswith(log)
            assert data.hex().startswith((await stage.record("hello"))["first_bytes"])

    run(work())


def test_probes_that_stop_early_are_told_apart() -> None:
    async def work() -> None:
        async with Stage() as stage:
            _, writer = await stage.raw()
            writer.close()
            assert (await stage.record("close"))["cause"] == "closed-in-handshake"
            stage.records.clear()
            _, writer = await asyncio.open_connection("127.0.0.1", stage.number, ssl=_any_server())
            writer.transport.abort()
            closed = await stage.record("close")
            assert closed["cause"] in ("nothing-sent", "reset")
            stage.records.clear()
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.number, ssl=_any_server())
            writer.write(b"POST /handshake HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            assert answer.startswith(b"HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n")
            assert b"configured successfully" in answer
            assert (await stage.record("close"))["cause"] == "page"

    run(work())


def _any_server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_silence_after_connect_and_after_tls_ends_at_the_limit() -> None:
    async def work() -> None:
        async with Stage(opening_s=0.1) as stage:
            reader, writer = await stage.raw()
            assert await reader.read() == b""
            writer.close()
            assert (await stage.record("close"))["cause"] == "silent"
            stage.records.clear()
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.number, ssl=_any_server())
            await reader.read()
            writer.close()
            closed = await stage.record("close")
            assert (closed["cause"], closed["detail"]) == ("timeout", "not identified within 0.1 s")

    run(work())


class Rough(PollingTentacle):
    """A Tentacle that sends whatever it is told, once it has been identified."""

    def say(self, *parts: bytes) -> None:
        self._write(parts)

    async def over(self) -> None:
        async with asyncio.timeout(10):
            await self.ended


def deflated(document: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflate.compress(document) + deflate.flush()


def bomb() -> bytes:
    """Return 200 MiB of zeros, deflated; that takes two seconds, which no other test waits for."""
    size = 200 * 1024 * 1024
    return deflated(size.to_bytes(4, "little") + bytes(size))


def lying(declared: int) -> bytes:
    document = bytearray(bson.encode({"Message": None}))
    document[:4] = declared.to_bytes(4, "little")
    return deflated(bytes(document))


STREAM_ID = bytes(range(16))


def with_stream(declared: int, sent: bytes, trailing: int) -> bytes:
    stream = {"$type": "Halibut.DataStream, Halibut", "id": bson.Binary(STREAM_ID, 4), "length": bson.Int64(declared)}
    message = {
        "$type": "Halibut.Transport.Protocol.ResponseMessage, Halibut",
        "id": "1",
        "error": None,
        "result": stream,
    }
    head = STREAM_ID + declared.to_bytes(8, "little")
    return deflated(bson.encode({"Message": message})) + head + sent + trailing.to_bytes(8, "little")


BAD_ANSWERS = {
    "bomb": (None, "document-too-large"),
    "lying-long": (lying(1000), "bad-document"),
    "lying-short": (lying(6), "bad-document"),
    "endless": (b"\0\0\0\xff\xff" * (DEFLATED_MAX // 5 + 1), "document-too-large"),
    "no-deflate": (b"\xff" * 64, "bad-deflate"),
    "no-response": (deflated(bson.encode({"Message": None})), "wrong-message"),
    "long-stream": (with_stream(4, b"12345678", 4), "stream-size-mismatch"),
    "other-length": (with_stream(8, b"12345678", 9), "stream-size-mismatch"),
}


@pytest.mark.parametrize(("answer", "cause"), BAD_ANSWERS.values(), ids=list(BAD_ANSWERS))
def test_a_bad_answer_ends_its_connection_and_its_call_and_harms_nobody_else(answer: bytes | None, cause: str) -> None:
    answer = bomb() if answer is None else answer

    async def work() -> None:
        async with Stage(null_s=0.05) as stage, stage.tentacle() as other:
            rough = Rough(tentacle_identity(), "poll://rough/", "127.0.0.1", stage.number)
            await rough.connect()
            call = Call(calls.request_to("poll://rough/", None, calls.get_capabilities(), 1))
            stage.port.queues.put("poll://rough/", call)
            await rough._event(5, "a request")
            for at in range(0, len(answer), 16_000):
                rough.say(answer[at : at + 16_000])
            await rough.over()
            closed = await stage.record("close", lambda r: r["subscription"] == "poll://rough/")
            assert closed["cause"] == cause
            assert closed["detail"]
            with pytest.raises(CallFailedError):
                await call.response
            assert (await other.poll()).request is None

    run(work())


def test_a_gigabyte_of_control_line_is_cut_off_at_its_limit() -> None:
    async def work() -> None:
        async with Stage(null_s=0.01) as stage, stage.tentacle(pinned=None) as honest:
            rough = Rough(tentacle_identity(), "poll://rough/", "127.0.0.1", stage.number)
            await rough.connect()
            await rough._event(5, "the null message")
            sent = 0
            while not rough.ended.done() and sent < 1 << 30:
                rough.say(b"N" * 16_000)
                sent += 16_000
                await asyncio.sleep(0)
            closed = await stage.record("close", lambda r: r["subscription"] == "poll://rough/")
            assert closed["cause"] == "line-too-long"
            # What was in flight when it was cut off counts too; a gigabyte it is not.
            assert closed["bytes_in"] < 64 * 1024 * 1024
            assert (await honest.poll()).request is None

    run(work())


def test_a_flood_before_tls_waits_for_its_turn_and_is_bounded() -> None:
    async def work() -> None:
        async with Stage() as stage:
            # A hello that declares more than ever comes: neither whole nor wrong.
            reader, writer = await stage.raw(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(8 * 1024 * 1024))
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            closed = await stage.record("close")
            assert closed["cause"] in ("tls-failed", "reset")
            assert closed["bytes_in"] < 4 * EARLY_MAX + 1024 * 1024

    run(work())


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b"\r\n\r\n", "identity-empty"),
        (b"MX-SUBSCRIBER 1.0 poll://a/\r\nmore\r\n", "identity-unfinished"),
        (b"MX-SERVER 1.0\r\n\r\n", "identity-unexpected"),
        (b"MX-SUBSCRIBER 1.0 nonsense\r\n\r\n", "subscription-invalid"),
    ],
)
def test_peers_that_identify_themselves_badly(line: bytes, cause: str) -> None:
    async def work() -> None:
        async with Stage() as stage:
            rough = Rough(tentacle_identity(), SUBSCRIPTION, "127.0.0.1", stage.number)
            rough._halibut._opening = (lines.preamble("\n"), line)
            with pytest.raises(EndedError):
                await rough.connect()
            closed = await stage.record("close")
            assert (closed["cause"], closed["log"]) == (cause, "Remote failed to identify itself.")

    run(work())


def test_a_call_reaches_the_tentacle_that_waits_and_is_journalled() -> None:
    async def work() -> None:
        async with Stage() as stage, stage.tentacle() as tentacle:
            call = Call(calls.request_to(SUBSCRIPTION, None, calls.start_script("t1", calls.HEALTH_SCRIPT), 1))
            # Another spelling of the same queue.
            stage.port.queues.put("poll://ABC", call)
            polled = await tentacle.poll()
            assert polled.request == "IScriptServiceV2.StartScript"
            response = await call.response
            assert response.result["State"] == calls.COMPLETE
            assert [entry["Text"] for entry in response.result["Logs"]] == [VERSION]
            record = await stage.record("rpc")
            assert (record["method"], record["error"], record["by"]) == ("StartScript", None, "polling")
            assert record["queued_ns"] <= record["sent_ns"] <= record["answered_ns"]

    run(work())


def test_calls_wait_in_order_and_one_that_was_handed_over_fails_with_its_connection() -> None:
    async def work() -> None:
        async with Stage() as stage:
            first, second = (
                Call(calls.request_to(SUBSCRIPTION, None, calls.get_capabilities(), number)) for number in (1, 2)
            )
            stage.port.queues.put(SUBSCRIPTION, first)
            stage.port.queues.put(SUBSCRIPTION, second)
            async with stage.tentacle(services=Services(takes_s=60)) as slow:
                receiving = asyncio.create_task(slow.receive())
                while first.sent_ns is None:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                slow.reset()
                receiving.cancel()
                with pytest.raises(CallFailedError) as caught:
                    await first.response
                assert not caught.value.connecting
                assert second.sent_ns is None
            async with stage.tentacle() as quick:
                await quick.poll()
                assert (await second.response).id == second.request.id

    run(work())


@pytest.mark.parametrize(
    ("how", "cause", "error", "explained"),
    [
        ("END", "end-for-response", "END came where a response should begin", "the Tentacle had left (END) before"),
        ("FIN", "eof", "Attempted to read past the end of the stream.", "the Tentacle had left, or a balancer had cut it off, before"),
        ("late", "eof", "Attempted to read past the end of the stream.", "the connection ended after the request was handed to it"),
        ("within", "eof", "Attempted to read past the end of the stream.", ""),
    ],
)  # fmt: skip
def test_a_call_that_meets_a_connection_that_ended_says_when_it_ended(
    how: str, cause: str, error: str, explained: str
) -> None:
    async def work() -> None:
        async with Stage() as stage:
            rough = Rough(tentacle_identity(), SUBSCRIPTION, "127.0.0.1", stage.number)
            await rough.connect()
            await stage.record("identified")
            connection = next(iter(stage.port.connections))
            if how == "END":
                rough._write(rough._halibut.send_end())
            if how in ("END", "FIN"):
                rough.half_close()
                while not connection._eof:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            call = Call(calls.request_to(SUBSCRIPTION, None, calls.get_capabilities(), 1))
            stage.port.queues.put(SUBSCRIPTION, call)
            if how == "within":
                rough.say(compress(b"anything")[:4])
            if how in ("late", "within"):
                await rough._event(5, "a request")
                rough.half_close()
            with pytest.raises(CallFailedError) as caught:
                await call.response
            assert str(caught.value) == error
            assert explained in caught.value.explanation
            assert bool(explained) == bool(caught.value.explanation)
            # The journal has the error alone, as a real server has it.
            assert (await stage.record("rpc"))["error"] == error
            closed = await stage.record("close")
            assert (closed["cause"], closed["detail"]) == (cause, error)
            await rough.aclose(end=False)

    run(work())


def test_the_first_call_after_a_restart_is_lost_and_the_second_is_answered() -> None:
    async def work() -> None:
        async with Stage() as stage:
            await _connect_and_leave(stage)
            async with stage.tentacle() as restarted:
                await stage.record("identified", lambda r: r["conn"] == 2)
                first, second = (
                    Call(calls.request_to(SUBSCRIPTION, None, calls.get_capabilities(), number)) for number in (1, 2)
                )
                stage.port.queues.put(SUBSCRIPTION, first)
                with pytest.raises(CallFailedError) as caught:
                    await first.response
                assert "The next call uses a live connection" in caught.value.explanation
                stage.port.queues.put(SUBSCRIPTION, second)
                await restarted.poll()
                assert (await second.response).error is None

    run(work())


async def _connect_and_leave(stage: Stage) -> None:
    """END and FIN of a Tentacle that the port let in, and does not read."""
    async with stage.tentacle():
        await stage.record("identified")
        left = next(iter(stage.port.connections))
    while not left._eof:  # noqa: ASYNC110
        await asyncio.sleep(0)


def test_a_refusing_port_closes_idle_connections_and_lets_a_call_finish() -> None:
    async def work() -> None:
        async with Stage() as stage, stage.tentacle() as idle:
            busy = stage.tentacle(services=Services(takes_s=0.2))
            busy.subscription = "poll://busy/"
            busy._halibut = type(busy._halibut).poll("poll://busy/")
            await busy.connect()
            call = Call(calls.request_to("poll://busy/", None, calls.get_capabilities(), 1))
            stage.port.queues.put("poll://busy/", call)
            polling = asyncio.create_task(busy.poll())
            while call.sent_ns is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            stage.port.refuse()
            assert (await idle.ended).how == "fin"
            assert (await call.response).error is None
            await polling
            assert (await busy.ended).how == "fin"

    run(work())


def test_connections_of_a_tentacle_that_is_trusted_no_more_are_reset() -> None:
    async def work() -> None:
        async with Stage() as stage, stage.tentacle() as tentacle:
            stage.port.distrust(lambda thumbprint: thumbprint != tentacle_identity().thumbprint)
            assert (await tentacle.ended).how == "rst"
            assert (await stage.record("close"))["cause"] == "trust-removed"

    run(work())


def test_a_half_closed_tentacle_still_gets_the_message_that_was_on_its_way() -> None:
    async def work() -> None:
        async with Stage(null_s=0.2) as stage, stage.tentacle() as tentacle:
            tentacle.half_close()
            assert (await tentacle.receive()).request is None
            assert (await tentacle.ended).by == "peer"
            assert (await stage.record("close"))["cause"] == "eof"

    run(work())


def test_ending_it_all_resets() -> None:
    async def work() -> None:
        async with Stage() as stage, stage.tentacle() as tentacle:
            stage.port.end_all(Ending(cause="node-stopped"))
            assert (await tentacle.ended).how == "rst"

    run(work())
