"""HTTP/1.1: uvicorn's HttpToolsProtocol, with the connection in hand.

It counts what the parser hands over, tells FIN from RST, holds reading back, paces writing and ends connections in the way a
fault asks for. FIN is a half-close after which what still arrives is read and thrown away (closing with unread data would
reset); RST is SO_LINGER 0 and an abort.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.faults.effects import Cut
from mocknode.mock.node.http.answers import Headers, raw_answer
from mocknode.mock.node.http.batches import BATCH_BYTES, Batches
from mocknode.mock.node.http.bulk import BulkReader
from mocknode.mock.node.http.exchange import Exchange
from mocknode.mock.node.http.held_connections import PeerWatch
from mocknode.mock.node.http.held_flow import HeldFlow
from mocknode.mock.node.http.pacing import PacedTransport
from mocknode.mock.node.http.ping import is_ping
from mocknode.mock.node.http.quick_ping import QuickPings
from mocknode.mock.node.http.request_facts import ConnectionFacts, RequestFacts
from mocknode.mock.node.http.site import Site
from mocknode.system.tcp import reset_on_close, tcp_state

# How long a half-closed connection may go on sending before it is closed altogether: longer than a balancer's
# own timeouts would let it, shorter than a run.
HALF_CLOSED_S: Final = 60.0
# Limit of a head that goes on after its first read. Kestrel takes 32 KiB of headers and a balancer sends 16 KiB, so this turns no
# honest client away; without it a head without end would be kept whole.
HEAD_BYTES_MAX: Final = 64 * 1024
_HEAD_TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
# While a connection's buffer drains before a cut: as fine as a loopback write takes.
_FLUSH_POLL_S: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all connections of a node's HTTP ports share.

    Attributes:
        watch: Notices that the peer of a connection that is not read has gone.
        tls_headers: What an answer over TLS has before its own headers.
        tls_facts: Returns version, cipher, SNI and ALPN of a TLS connection.
    """

    site: Site
    config: NodeConfig
    batches: Batches
    watch: PeerWatch
    quick_pings: QuickPings
    tls_headers: Headers
    tls_facts: Callable[[Any], dict[str, Any]]


class NodeProtocol(HttpToolsProtocol):
    """One HTTP/1.1 connection of a node."""

    flow: HeldFlow
    facts: ConnectionFacts

    def __init__(self, config: Config, server_state: ServerState, shared: Shared) -> None:
        super().__init__(config, server_state, {})
        self._shared, self._site = shared, shared.site
        self._conn = self._site.next_connection()
        self.lost: asyncio.Future[None] = self.loop.create_future()
        self.tls = False
        self._exchange: Exchange | None = None
        self._open: set[Http1Stream] = set()
        self._bytes_in = self._requests = self._begun_ns = 0
        self._head_bytes: int | None = None  # within a head: how many came after the read that it began in
        self._eof = self._discarding = False
        self._ended: tuple[str, str] | None = None
        self._paced: PacedTransport | None = None
        self._plain_ping: dict[bytes, bytes] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Record the connection; one that slipped in while the node is silent is held at once."""
        super().connection_made(transport)
        self.flow = HeldFlow(transport)
        self.tls = self.scheme == "https"
        host = self.client[0] if self.client else ""
        self.facts = ConnectionFacts(conn=self._conn, peer=_address(self.client), host=host, tls=self.tls)
        tls = self._shared.tls_facts(transport.get_extra_info("ssl_object")) if self.tls else None
        self._site.note("connection", time.monotonic_ns(), phase="open", conn=self._conn, peer=self.facts.peer,
                        local=_address(self.server), tls=tls)  # fmt: skip
        if self._site.silent:
            self.fall_silent()

    def data_received(self, data: bytes) -> None:
        """Parse, unless what arrives is only drained."""
        self._bytes_in += len(data)
        if self._discarding:
            return
        within = self._head_bytes is not None
        super().data_received(data)
        if within and self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                if not self._open:  # else it would stand within another request's answer
                    self.transport.write(_HEAD_TOO_LONG)
                self.break_off("fin")
            return
        exchange = self._exchange
        if exchange is not None and exchange.bytes_to_come >= BATCH_BYTES and not self.tls and not self._discarding:
            self.transport.set_protocol(BulkReader(self, exchange, self._shared.batches, exchange.bytes_to_come))

    def bulk_came(self, nbytes: int) -> bool:
        """Count bytes that came past the parser; return False when they are only drained."""
        self._bytes_in += nbytes
        self._unset_keepalive_if_required()
        return not self._discarding

    def bulk_over(self) -> None:
        """Take the connection back: the body that was read past the parser is whole. A fresh parser takes what follows."""
        self.transport.set_protocol(self)
        if not self._discarding:
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.on_message_complete()
            if self.cycle.response_complete and not self.transport.is_closing():
                # Answered early: the body's end, not the answer's, is where the connection became idle.
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def eof_received(self) -> None:
        """Note that the peer half-closed; as in uvicorn that ends the connection."""
        self._eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell requests under way how the connection ended, and record it."""
        how, by = self._how_it_ended(exc)
        end = {"reset": "rst", "timeout": "timeout", "fin": "fin"}[how] if by == "peer" else "local"
        super().connection_lost(exc)
        # uvicorn leaves it running after a reset, and with it all of the connection in memory for another two minutes.
        self._unset_keepalive_if_required()
        if not self.lost.done():
            self.lost.set_result(None)
        for stream in list(self._open):
            stream.exchange.lost(end)
        self._site.note("connection", time.monotonic_ns(), phase="close", conn=self._conn, by=by,
                        how="fin" if how == "fin" else "rst", bytes_in=self._bytes_in, requests=self._requests)  # fmt: skip

    def _how_it_ended(self, exc: Exception | None) -> tuple[str, str]:
        if self._ended is not None:
            return self._ended
        if exc is None:
            return "fin", "peer" if self._eof else "node"
        return ("timeout" if isinstance(exc, TimeoutError) else "reset"), "peer"

    def on_message_begin(self) -> None:
        """Note when the first byte of a head came."""
        self._begun_ns = time.monotonic_ns()
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hand the app its exchange before its task runs, unless a plain ping needs no app."""
        self._head_bytes = None
        self._requests += 1
        self._plain_ping = (
            self._shared.quick_pings.takes(self.parser, self.url, self.headers, tls=self.tls) if self._idle else None
        )
        if self._plain_ping is not None:
            return
        super().on_headers_complete()
        if self.tls:
            self.cycle.default_headers = self._shared.tls_headers
        scope: Any = self.scope
        facts = RequestFacts(
            self.facts, req=self._site.next_request(), t_ns=self._begun_ns, method=scope["method"],
            target=self.url.decode("latin-1"), path=scope["path"], http_version=scope["http_version"], headers=self.headers,
            ping=is_ping(scope["path"]),
        )  # fmt: skip
        stream = Http1Stream(self, self.cycle, self._shared, facts)
        self._exchange = stream.exchange
        self._open.add(stream)
        scope["extensions"] = {"mocknode": stream.exchange}
        stream.exchange.begin(self._site.admit(facts))

    def on_body(self, body: bytes) -> None:
        """Hand body bytes on; they are counted there and nowhere else."""
        if self._exchange is not None:
            self._exchange.body(body)

    def on_message_complete(self) -> None:
        """Hand on the end of the body, unless the connection was cut before."""
        if self._plain_ping is not None:
            self._answer_ping(self._plain_ping)
            self._plain_ping = None
        elif self._exchange is not None and not self._discarding:
            super().on_message_complete()
            self._exchange.body_over()

    @property
    def _idle(self) -> bool:
        """Whether nothing is under way here, so that an answer may be written at once."""
        flow = self.flow
        return not (self._open or self.pipeline or self._discarding or self._paced or flow.held or flow.write_paused)

    def _answer_ping(self, headers: dict[bytes, bytes]) -> None:
        self.transport.write(self._shared.quick_pings.answer(self.facts, headers, self._begun_ns))
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        """Go on to the next request, once a paced answer is out."""
        if self._paced is not None and self._paced.busy:
            self._paced.when_done(self._next_request)
        else:
            super().on_response_complete()

    def _next_request(self) -> None:
        self._paced = None
        super().on_response_complete()

    def request_over(self, stream: "Http1Stream") -> None:
        """Forget a request that is over."""
        self._open.discard(stream)

    def shutdown(self) -> None:
        """Close when idle; else the answer in flight says `Connection: close`."""
        if not self._discarding:
            super().shutdown()

    @property
    def held(self) -> bool:
        """Whether reading is held back."""
        return self.flow.held

    def hold(self, why: str) -> None:
        """Read nothing more, and notice when the peer gives up."""
        self.flow.hold(why)
        self._shared.watch.add(self)

    def pace(self, bytes_per_s: float) -> PacedTransport:
        """Return a transport that writes no faster than that, for the rest of one answer."""
        self._paced = PacedTransport(self.transport, self.loop, bytes_per_s)
        return self._paced

    def fall_silent(self) -> None:
        """Read nothing more and let no timer close the connection; the peer has to give up."""
        self._unset_keepalive_if_required()
        self.hold("silent")

    def break_off(self, how: Cut) -> None:
        """End the connection now; the app finds itself disconnected."""
        if self._ended is not None or self.transport.is_closing():
            return
        self._ended = (how, "node")
        self._end_exchanges("local")
        self._unset_keepalive_if_required()
        if how == "reset":
            reset_on_close(self._socket())
            self.transport.abort()
        else:
            self._half_close()

    def _half_close(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            # A TLS layer cannot half-close; its socket can, without the closing alert.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._socket().fileno())) as twin:
                twin.shutdown(socket.SHUT_WR)
        self.flow.resume_reading()
        self.loop.call_later(HALF_CLOSED_S, self.transport.close)

    def ended_by_peer(self, how: Cut) -> None:
        """End the connection: the peer is gone, which was noticed while nothing was read from it."""
        if self._ended is None:
            self._ended = (how, "peer")
            self._end_exchanges("fin" if how == "fin" else "rst")
            self.transport.abort()

    def _end_exchanges(self, end: str) -> None:
        self._discarding = True
        for stream in list(self._open):
            stream.disconnect(end)

    async def flushed(self) -> None:
        """Return when the kernel has everything that was written."""
        # A transport says when its buffer is low, never when it is empty.
        while not self.lost.done() and self.transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(_FLUSH_POLL_S)

    def tcp_state(self) -> int | None:
        """Return the kernel's state of the connection, None where the platform does not tell."""
        return tcp_state(self._socket())

    def _socket(self) -> Any:
        return self.transport.get_extra_info("socket")


class Http1Stream:
    """One request of an HTTP/1.1 connection: see `Stream`.

    Attributes:
        exchange: The request that this carries.
    """

    __slots__ = ("_cycle", "_protocol", "exchange", "lost", "news", "send")

    def __init__(
        self, protocol: NodeProtocol, cycle: RequestResponseCycle, shared: Shared, facts: RequestFacts
    ) -> None:
        self._protocol, self._cycle = protocol, cycle
        self.lost, self.news = protocol.lost, cycle.message_event
        self.send: Callable[[Any], Coroutine[Any, Any, None]] = cycle.send
        self.exchange = Exchange(shared.site, self, facts, shared.config, shared.batches)

    @property
    def disconnected(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        return self._cycle.disconnected

    @property
    def answer_begun(self) -> bool:
        """Whether a part of the answer has been sent."""
        return self._cycle.response_started

    @property
    def answer_sent(self) -> bool:
        """Whether the whole answer has been sent."""
        return self._cycle.response_complete

    def disconnect(self, end: str) -> None:
        """Let the app find itself disconnected."""
        self._cycle.disconnected = True
        self.exchange.lost(end)

    def ask_for_body(self) -> None:
        """Send 100 Continue, once, if the client waits for it."""
        cycle = self._cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.waiting_for_100_continue = False
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        self._protocol.flow.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless something else holds reading back."""
        self._protocol.flow.resume_reading()

    def pause_for(self, seconds: float) -> None:
        """Read nothing for this long."""
        flow = self._protocol.flow
        flow.hold("rate")
        self._protocol.loop.call_later(seconds, flow.release, "rate")

    def stop_reading(self) -> None:
        """Read nothing any more, and notice when the peer gives up."""
        self._protocol.hold("stop-reading")

    def add_headers(self, headers: Headers) -> None:
        """Put headers on whatever is answered."""
        self._cycle.default_headers = [*self._cycle.default_headers, *headers]

    async def send_misframed(self, status: int, headers: Headers, declared: int, body: bytes) -> None:
        """Send a whole answer whose Content-Length may be wrong, and announce the end of the connection."""
        await self.send_raw(raw_answer(status, self._cycle.default_headers + headers, declared, body))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes past the HTTP machinery, and wait until the kernel has them."""
        cycle = self._cycle
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(data)
        await self._protocol.flushed()

    def pace_answer(self, bytes_per_s: float) -> None:
        """Send the rest of the answer no faster than this."""
        self._cycle.transport = self._protocol.pace(bytes_per_s)  # type: ignore[assignment]

    async def flushed(self) -> None:
        """Return when the kernel has everything that was sent."""
        await self._protocol.flushed()

    def close(self) -> None:
        """Close the connection."""
        self._protocol.transport.close()

    def break_off(self, how: Cut) -> None:
        """End the connection now, in this way."""
        self._protocol.break_off(how)

    def finished(self) -> None:
        """Forget this stream: its request is over."""
        self._protocol.request_over(self)


def _address(pair: tuple[str, int | None] | None) -> str:
    return "" if pair is None else f"{pair[0]}:{pair[1]}"
