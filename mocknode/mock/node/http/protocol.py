"""HTTP/1.1: uvicorn's protocol, with the connection in hand and the web server's own reader of messages.

It counts what the reader hands over, refuses what the web server refuses, tells FIN from RST, holds reading back, paces writing
and ends connections in the way a fault asks for. FIN is a half-close after which what still arrives is read and thrown away
(closing with unread data would reset); RST is SO_LINGER 0 and an abort.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.faults.effects import Cut
from mocknode.mock.node.http.answers import Headers, raw_answer, refusal_answer
from mocknode.mock.node.http.batches import BATCH_BYTES, Batches
from mocknode.mock.node.http.bulk import BulkReader
from mocknode.mock.node.http.exchange import Exchange
from mocknode.mock.node.http.held_connections import PeerWatch
from mocknode.mock.node.http.held_flow import HeldFlow
from mocknode.mock.node.http.messages import KnownHeads, MessageReader
from mocknode.mock.node.http.pacing import PacedTransport
from mocknode.mock.node.http.patience import Patience, Phase
from mocknode.mock.node.http.quick_ping import QuickPings
from mocknode.mock.node.http.request_facts import ConnectionFacts, RequestFacts
from mocknode.mock.node.http.request_head import ALLOWED, STATUSES, Head, Refusal, RefusedRequestError
from mocknode.mock.node.http.request_journal import RequestJournal
from mocknode.mock.node.http.site import Site
from mocknode.system.tcp import reset_on_close, tcp_state

# How long a half-closed connection may go on sending before it is closed altogether: longer than a balancer's
# own timeouts would let it, shorter than a run.
HALF_CLOSED_S: Final = 60.0
# The same after a refusal, whose client may still be sending: a close would reset the connection and the answer with it.
REFUSED_S: Final = 5.0
_KEPT_ALIVE: Final = (b"connection", b"keep-alive")
# While a connection's buffer drains before a cut: as fine as a loopback write takes.
_FLUSH_POLL_S: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all connections of a node's HTTP ports share.

    Attributes:
        watch: Notices that the peer of a connection that is not read has gone.
        heads: Heads that were read before.
        tls_headers: What an answer over TLS has before its own headers.
        tls_facts: Returns version, cipher, SNI and ALPN of a TLS connection.
    """

    site: Site
    config: NodeConfig
    batches: Batches
    watch: PeerWatch
    quick_pings: QuickPings
    heads: KnownHeads
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
        self._patience = Patience(shared.config.limits)
        self._open: set[Http1Stream] = set()
        self._bytes_in = self._requests = self._begun_ns = 0
        self._eof = self._discarding = False
        self._ended: tuple[str, str] | None = None
        self._paced: PacedTransport | None = None
        self._plain_ping: Head | None = None
        self.parser = None  # type: ignore[assignment]  # uvicorn's; `_reader` has its place

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Record the connection; one that slipped in while the node is silent is held at once."""
        super().connection_made(transport)
        self.flow = HeldFlow(transport)
        self._begun_ns = time.monotonic_ns()
        self.tls = self.scheme == "https"
        self._reader = MessageReader(self, self._shared.heads, plain=not self.tls)
        host = self.client[0] if self.client else ""
        self.facts = ConnectionFacts(conn=self._conn, peer=_address(self.client), host=host, tls=self.tls)
        tls = self._shared.tls_facts(transport.get_extra_info("ssl_object")) if self.tls else None
        self._site.note("connection", time.monotonic_ns(), phase="open", conn=self._conn, peer=self.facts.peer,
                        local=_address(self.server), tls=tls)  # fmt: skip
        if self._site.silent:
            self.fall_silent()

    def data_received(self, data: bytes) -> None:
        """Read messages, unless what arrives is only drained."""
        self._bytes_in += len(data)
        if self._discarding:
            return
        if self._reader.between:
            self._begun_ns = time.monotonic_ns()
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
        except RefusedRequestError as exc:
            self._refuse(exc.reason)
            return
        if self._discarding:
            return
        if reader.body_left >= BATCH_BYTES and not self.tls and self._exchange is not None:
            self.transport.set_protocol(BulkReader(self, self._exchange, self._shared.batches, reader.body_left))
        elif reader.waiting and not self.ready:
            self.flow.pause_reading()

    def bulk_came(self, nbytes: int) -> bool:
        """Count bytes that came past the reader; return False when they are only drained."""
        self._bytes_in += nbytes
        return not self._discarding

    def bulk_over(self) -> None:
        """Take the connection back: the body that was read past the reader is whole."""
        self.transport.set_protocol(self)
        if not self._discarding:
            self._reader.body_taken()
            self.message_over()

    def _refuse(self, reason: Refusal) -> None:
        """Answer in place of the application, as the web server does, and end the connection."""
        status = STATUSES.get(reason, 400)
        exchange = self._exchange
        within_body = exchange is not None and not exchange.facts.complete and bool(self._open)
        begun = within_body and self.cycle.response_started
        if within_body and exchange is not None:
            exchange.refuse(reason, None if begun else status)
        else:
            self._note_refused(reason, status)
        if not begun and reason is not Refusal.PREFACE:
            self.transport.write(refusal_answer(status, ALLOWED.get(reason)))
        self._end("fin", REFUSED_S)

    def look(self, now_ns: int, elapsed_s: float) -> None:
        """End what takes longer than the web server waits.

        Args:
            elapsed_s: Time since the last look.
        """
        if self._discarding or self.flow.held or self.lost.done():
            return
        age_s, phase, exchange = (now_ns - self._begun_ns) / 1e9, self._phase, self._exchange
        if self._patience.idle_too_long(phase, age_s):
            self.transport.close()
            return
        received = exchange.received if exchange is not None else 0
        reason = self._patience.refusal(phase, age_s, elapsed_s=elapsed_s, received=received)
        if reason is not None:
            self._refuse(reason)

    @property
    def _phase(self) -> Phase:
        if self._open or not self.ready:
            waits = self._exchange is not None and self._exchange.awaits_body
            return Phase.BODY if waits else Phase.SERVED
        return Phase.HEAD if self._reader.within_head else Phase.IDLE

    def _note_refused(self, reason: Refusal, status: int) -> None:
        """Record a request that no application sees."""
        self._requests += bool(self._reader.head.method)  # bytes that are no HTTP are no request
        facts = RequestFacts(self.facts, self._reader.head, req=self._site.next_request(), t_ns=self._begun_ns)
        facts.refused, facts.status, facts.answered_ns = reason, status, time.monotonic_ns()
        RequestJournal(self._site.note, facts).last("complete")

    def eof_received(self) -> None:
        """Note that the peer half-closed; as in uvicorn that ends the connection."""
        self._eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell requests under way how the connection ended, and record it."""
        how, by = self._how_it_ended(exc)
        end = {"reset": "rst", "timeout": "timeout", "fin": "fin"}[how] if by == "peer" else "local"
        super().connection_lost(exc)
        del self._reader  # it knows its connection: a circle, which would keep both until the garbage collector comes
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

    @property
    def ready(self) -> bool:
        """Whether the next request may begin: the one before is answered."""
        return (self._exchange is None or self.cycle.response_complete) and not self._paced and not self._discarding

    def head_came(self, head: Head) -> None:
        """Hand the app its exchange before its task runs, unless a plain ping needs no app."""
        self._requests += 1
        if self._idle and self._shared.quick_pings.takes(head, tls=self.tls):
            self._plain_ping = head
            return
        scope = self._scope(head)
        self.cycle = RequestResponseCycle(
            scope=scope, transport=self.transport, flow=self.flow, logger=self.logger, access_logger=self.access_logger,
            access_log=False, default_headers=self._default_headers(head), message_event=asyncio.Event(),
            expect_100_continue=head.expects_continue, keep_alive=head.keep_alive, on_response=self.on_response_complete,
        )  # fmt: skip
        self._start_asgi_task(self.cycle, self.app)
        facts = RequestFacts(self.facts, head, req=self._site.next_request(), t_ns=self._begun_ns)
        stream = Http1Stream(self, self.cycle, self._shared, facts)
        self._patience.next_request()
        self._exchange = stream.exchange
        self._open.add(stream)
        scope["extensions"] = {"mocknode": stream.exchange}
        stream.exchange.begin(self._site.admit(facts))

    def _scope(self, head: Head) -> Any:
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": head.version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "method": head.method,
            "path": head.path,
            "query_string": head.query,
            "headers": head.headers,
        }

    def _default_headers(self, head: Head) -> Headers:
        headers = self._shared.tls_headers if self.tls else self.server_state.default_headers
        return [*headers, _KEPT_ALIVE] if head.version == "1.0" and head.keep_alive else headers

    def body_came(self, data: bytes) -> None:
        """Hand body bytes on; they are counted there and nowhere else."""
        if self._exchange is not None:
            self._exchange.body(data)

    def message_over(self) -> None:
        """Hand on the end of the body, unless the connection was cut before."""
        if self._plain_ping is not None:
            self._answer_ping(self._plain_ping)
            self._plain_ping = None
        elif self._exchange is not None and not self._discarding:
            self.cycle.more_body = False
            self.cycle.message_event.set()
            self._exchange.body_over()
        self._begun_ns = time.monotonic_ns()

    @property
    def _idle(self) -> bool:
        """Whether nothing is under way here, so that an answer may be written at once."""
        flow = self.flow
        return not (self._open or self._discarding or self._paced or flow.held or flow.write_paused)

    def _answer_ping(self, head: Head) -> None:
        self.transport.write(self._shared.quick_pings.answer(self.facts, head.named, self._begun_ns))
        self.server_state.total_requests += 1

    def on_response_complete(self) -> None:
        """Go on to the next request, once a paced answer is out."""
        if self._paced is not None and self._paced.busy:
            self._paced.when_done(self._next_request)
        else:
            self._next_request()

    def _next_request(self) -> None:
        self._paced = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._begun_ns = time.monotonic_ns()
        self.flow.resume_reading()
        if self._reader.waiting:
            self.loop.call_soon(self._go_on)  # after the app has left the request that it has just answered

    def _go_on(self) -> None:
        """Read the next request, which came before this one was answered."""
        if not self._discarding and not self.lost.done() and self.transport.get_protocol() is self:
            self._begun_ns = time.monotonic_ns()
            self._feed(b"")

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
        self.hold("silent")

    def break_off(self, how: Cut) -> None:
        """End the connection now; the app finds itself disconnected."""
        self._end(how, HALF_CLOSED_S)

    def _end(self, how: Cut, linger_s: float) -> None:
        if self._ended is not None or self.transport.is_closing():
            return
        self._ended = (how, "node")
        self._end_exchanges("local")
        if how == "reset":
            reset_on_close(self._socket())
            self.transport.abort()
        else:
            self._half_close(linger_s)

    def _half_close(self, linger_s: float) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            # A TLS layer cannot half-close; its socket can, without the closing alert.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._socket().fileno())) as twin:
                twin.shutdown(socket.SHUT_WR)
        self.flow.resume_reading()
        self.loop.call_later(linger_s, self.transport.close)

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
