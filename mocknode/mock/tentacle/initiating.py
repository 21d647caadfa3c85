"""The end that opens a Halibut connection: a polling Tentacle, or a server that dials a listening one.

Each method is one step of the conversation; it waits for what it needs, or raises one of the errors below. Only one task may use
a connection at a time.
"""

import asyncio
import contextlib
import ipaddress
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self, cast

from OpenSSL import SSL

from mocknode.mock.halibut import Connection, events
from mocknode.mock.tentacle.client_hello import ClientHello, client_hello
from mocknode.mock.tentacle.handshake_queue import HandshakeQueue
from mocknode.mock.tentacle.identity import Identity
from mocknode.mock.tentacle.tls import Credential, Tls, TlsError, client_context
from mocknode.system.tcp import keep_alive, reset_on_close

CONNECT_LIMIT_S: Final = 60.0
"""`TcpClientConnectTimeout`, and for the handshake `TcpClientTimeout` as Octopus recommends it."""
HEARTBEAT_LIMIT_S: Final = 60.0
"""Longest wait for PROCEED."""
PIECES_APART_S: Final = 0.05
"""Pause between two pieces of a ClientHello, so that each leaves as a TCP segment of its own."""

Stage = Literal["new", "tcp", "tls", "greeted", "identified"]
"""Progress of a connection: TCP connected, handshake done, preamble and identity sent, MX-SERVER received."""


class TentacleError(Exception):
    """A connection of a simulated Tentacle failed.

    Attributes:
        stage: How far the connection had come.
    """

    def __init__(self, text: str, stage: Stage) -> None:
        super().__init__(text)
        self.stage = stage


class UnreachableError(TentacleError):
    """No TCP connection came about: refused, unreachable, no such host."""


class UnexpectedCertificateError(TentacleError):
    """The server presented another certificate than the pinned one; the text is the real Tentacle's.

    Attributes:
        expected, got: Thumbprints.
        subject: Subject of the presented certificate, such as `CN=lb.corp.test`.
    """

    def __init__(self, text: str, *, expected: str, got: str, subject: str) -> None:
        super().__init__(text, "tls")
        self.expected, self.got, self.subject = expected, got, subject


class EndedError(TentacleError):
    """The connection ended too early; `end` says how."""

    def __init__(self, text: str, stage: Stage, end: "End") -> None:
        super().__init__(text, stage)
        self.end = end


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a connection.

    Attributes:
        by: `peer` (balancer or node), or `self`.
        how: `fin`, `rst`, or `timeout` when the kernel gave up.
        at_ns: Monotonic time.
        stage: How far the connection had come.
    """

    by: Literal["peer", "self"]
    how: Literal["fin", "rst", "timeout"]
    at_ns: int
    stage: Stage


_UNEXPECTED: Final = (
    "The server at {uri} presented an unexpected security certificate. We expected the server to present a certificate with "
    "the thumbprint '{expected}'. Instead, it presented a certificate with a thumbprint of '{got}' and subject '{subject}'."
)


class Initiator(asyncio.Protocol):
    """A connection that we open; an async context manager that connects, and sends END when the block ends.

    Args:
        identity: Certificate to present, or the credential made of it; None presents none.
        halibut: The conversation, not yet opened.
        pinned: Thumbprint that the peer must have; None notes the one it has and continues.
        sni: Server name to send; None sends none. The default sends the host unless it is an address, as a real Tentacle does.
        alpn: Protocols to offer; a real Tentacle offers none.
        hello_pieces: Number of TCP segments that the ClientHello is cut into.
        context: A `client_context`, shared by many connections of one process.
        handshakes: Queue for the handshakes of many connections; None handles them as they arrive.

    Attributes:
        stage: How far the connection has come.
        hello: The ClientHello that was sent.
        thumbprint, subject: Thumbprint and subject of the peer's certificate.
        local: `host:port` of our own end.
        ended: Future with the end of the connection, whoever ended it.
        bytes_in, bytes_out: Bytes on the wire, TLS included.
    """

    def __init__(
        self, identity: Identity | Credential | None, halibut: Connection, host: str, port: int, *,
        pinned: str | None = None, sni: str | None = "", alpn: Sequence[str] = (), hello_pieces: int = 1,
        context: SSL.Context | None = None, handshakes: HandshakeQueue | None = None,
    ) -> None:  # fmt: skip
        self.host, self.port = host, port
        self.stage: Stage = "new"
        self.hello: ClientHello | None = None
        self.thumbprint: str | None = None
        self.subject: str | None = None
        self.local = ""
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.bytes_in = self.bytes_out = 0
        self._pinned, self._pieces = pinned, hello_pieces
        credential = Credential.of(identity) if isinstance(identity, Identity) else identity
        name = (None if _is_address(host) else host) if sni == "" else sni
        self._tls = Tls.connect(context or client_context(), credential, name, alpn)
        self._halibut = halibut
        self._handshakes = handshakes
        self._early = bytearray()
        self._transport: asyncio.Transport | None = None
        self._events: deque[events.Event] = deque()
        self._tls_error: TlsError | None = None
        self._wake: asyncio.Future[None] | None = None
        self._closing = False

    async def __aenter__(self) -> Self:
        """Connect; see `connect`."""
        try:
            await self.connect()
        except BaseException:
            await self.aclose(end=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send END and close."""
        await self.aclose()

    async def connect(self, limit_s: float = CONNECT_LIMIT_S) -> None:
        """Connect by TCP and TLS, send preamble and identity, and wait until the server has identified itself.

        Raises:
            UnreachableError, UnexpectedCertificateError, EndedError, TimeoutError.
        """
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.get_running_loop().create_connection(lambda: self, self.host, self.port)
        except (TimeoutError, asyncio.CancelledError) as exc:
            # uvloop closes a connection that is established by then, without calling connection_lost.
            self._end("self", "fin")
            if isinstance(exc, asyncio.CancelledError):
                raise
            raise TimeoutError(f"{self.host}:{self.port}: no TCP connection within {limit_s:g} s") from None
        except ConnectionResetError:
            # It was established, and reset before this task ran again.
            self.stage = "tcp"
            self._end("peer", "rst")
            raise self._ended_error("the TLS handshake") from None
        except OSError as exc:
            raise UnreachableError(f"{self.host}:{self.port}: {exc.strerror or exc}", "new") from exc
        await self._shake_hands(limit_s)
        self._look_at_server()
        self._write(self._halibut.open())
        self.stage = "greeted"
        await self._event(limit_s, "the identity of the server")
        self.stage = "identified"

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        if self._transport is not None:
            self._transport.write_eof()

    def reset(self) -> None:
        """Send RST."""
        if self._transport is not None:
            self._closing = True
            reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading until `resume`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Continue reading."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def aclose(self, *, end: bool = True) -> None:
        """Close with FIN, after END where the protocol allows it."""
        if self._transport is None:
            return
        if end and self.stage == "identified" and not self.ended.done() and not self._halibut.over:
            with contextlib.suppress(RuntimeError):  # When it is not our turn, FIN alone has to do.
                self._write(self._halibut.send_end())
        self._closing = True
        self._transport.close()
        await self.ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the new TCP connection."""
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport.get_extra_info("socket"))
        host, port = transport.get_extra_info("sockname")[:2]
        self.local = f"{host}:{port}"
        self.stage = "tcp"

    def data_received(self, data: bytes) -> None:
        """Decrypt the data and keep the events for the task that waits."""
        self.bytes_in += len(data)
        if self._handshakes is None or (self._tls.handshaken and not self._early):
            self._decrypt(data)
            return
        if not self._early:
            self._handshakes.put(self._go_on)
        self._early += data

    def _go_on(self) -> None:
        data = bytes(self._early)
        self._early.clear()
        if data and not self.ended.done():
            self._decrypt(data)

    def _decrypt(self, data: bytes) -> None:
        try:
            plain = self._tls.receive(data)
        except TlsError as exc:
            self._tls_error = exc
            plain = b""
        self._flush()
        if plain:
            self._events += self._halibut.receive(plain)
        self._notify()

    def eof_received(self) -> bool:
        """End the connection, as a Tentacle does when its peer sends no more."""
        self._go_on()
        self._end("peer", "fin")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how the connection ended."""
        if self._closing or exc is None:
            self._end("self", "fin")
        else:
            self._end("peer", "timeout" if isinstance(exc, TimeoutError) else "rst")

    def _end(self, by: Literal["peer", "self"], how: Literal["fin", "rst", "timeout"]) -> None:
        if not self.ended.done():
            self.ended.set_result(End(by=by, how=how, at_ns=time.monotonic_ns(), stage=self.stage))
        self._notify()

    async def _shake_hands(self, limit_s: float) -> None:
        self._tls.receive(b"")
        hello = self._tls.outgoing()
        self.hello = client_hello(hello)
        size = -(-len(hello) // self._pieces)
        for at in range(0, len(hello), size):
            if at:
                await asyncio.sleep(PIECES_APART_S)
            self._send(hello[at : at + size])
        await self._until(lambda: self._tls.handshaken or self._tls_error is not None, limit_s, "the TLS handshake")
        if self._tls_error is not None:
            self.reset()
            raise EndedError(f"{self.host}:{self.port}: TLS failed: {self._tls_error}", self.stage, await self.ended)
        self.stage = "tls"

    def _look_at_server(self) -> None:
        peer = self._tls.peer
        assert peer is not None  # A TLS server always presents one.
        self.thumbprint, self.subject = peer.thumbprint, peer.subject
        # The real Tentacle compares with `==` too: a lower-case thumbprint never matches.
        if self._pinned is not None and self._pinned != peer.thumbprint:
            text = _UNEXPECTED.format(
                uri=f"https://{self.host}:{self.port}/",
                expected=self._pinned,
                got=peer.thumbprint,
                subject=peer.subject,
            )
            raise UnexpectedCertificateError(text, expected=self._pinned, got=peer.thumbprint, subject=peer.subject)

    async def _event(self, limit_s: float, awaited: str) -> events.Event:
        await self._until(lambda: bool(self._events), limit_s, awaited)
        event = self._events.popleft()
        if isinstance(event, events.Failed | events.Ended):
            self._closing = True
            assert self._transport is not None
            self._transport.close()
            why = event.text if isinstance(event, events.Failed) else "the peer sent END"
            raise EndedError(
                f"{self.host}:{self.port}: {why}, while {awaited} was awaited", self.stage, await self.ended
            )
        return event

    async def _until(self, ready: Callable[[], bool], limit_s: float, awaited: str) -> None:
        if ready():
            return
        try:
            async with asyncio.timeout(limit_s):
                while not ready():
                    if self.ended.done():
                        raise self._ended_error(awaited)
                    self._wake = asyncio.get_running_loop().create_future()
                    await self._wake
        except TimeoutError:
            raise TimeoutError(f"{self.host}:{self.port}: {awaited} did not come within {limit_s:g} s") from None

    def _ended_error(self, awaited: str) -> EndedError:
        end = self.ended.result()
        text = f"{self.host}:{self.port}: the connection ended ({end.how} by {end.by}) before {awaited}"
        return EndedError(text, self.stage, end)

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _write(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self._tls.send(part)
        self._flush()

    def _flush(self) -> None:
        if out := self._tls.outgoing():
            self._send(out)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self.bytes_out += len(data)
            self._transport.write(data)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
