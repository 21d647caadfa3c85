"""The one executor of effects below HTTP: uvicorn's HttpToolsProtocol, with the connection in hand.

It counts what the parser hands over, tells FIN from RST, holds reading back, paces writing and ends connections in the way a
fault asks for. FIN is a half-close after which what still arrives is read and thrown away (closing with unread data would
reset); RST is SO_LINGER 0 and an abort.
"""

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mocknode.mock.node.faults.effects import Cut
from mocknode.mock.node.http.bulk import BATCH_BYTES, BulkReader
from mocknode.mock.node.http.exchange import Exchange
from mocknode.mock.node.http.pacing import PacedTransport
from mocknode.mock.node.http.ping import is_ping
from mocknode.system.tcp import reset_on_close, tcp_state

if TYPE_CHECKING:
    from mocknode.mock.node.node import Node

# How long a half-closed connection may go on sending before it is closed altogether: longer than a balancer's
# own timeouts would let it, shorter than a run.
HALF_CLOSED_S: Final = 60.0
# Of a head that goes on after its first read. Kestrel takes 32 KiB of headers and a balancer sends 16 KiB, so this turns nobody
# away who means it; without it a head without end would be kept whole.
HEAD_BYTES_MAX: Final = 64 * 1024
_HEAD_TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
# While a connection's buffer drains before a cut: as fine as a loopback write takes.
_FLUSH_POLL_S: Final = 0.001


class HeldFlow(FlowControl):
    """uvicorn's flow control, in which reading stays paused as long as anyone holds it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._holders: set[str] = set()

    @property
    def held(self) -> bool:
        """Whether reading is held back."""
        return bool(self._holders)

    def hold(self, holder: str) -> None:
        """Read nothing until `release` of the same holder."""
        self._holders.add(holder)
        self.pause_reading()

    def release(self, holder: str) -> None:
        """End one hold; reading goes on when it was the last."""
        self._holders.discard(holder)
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless held."""
        if not self._holders and not self._transport.is_closing():
            super().resume_reading()


class NodeProtocol(HttpToolsProtocol):
    """One connection of a node."""

    flow: HeldFlow

    def __init__(self, config: Config, server_state: ServerState, node: "Node") -> None:
        super().__init__(config, server_state, {})
        self.node = node
        self.conn = node.next_connection()
        self.lost: asyncio.Future[None] = self.loop.create_future()
        self.peer, self.tls = "", False
        self._exchange: Exchange | None = None
        self._open: set[Exchange] = set()
        self._bytes_in = self._requests = self._begun_ns = 0
        self._head_bytes: int | None = None  # within a head: how many came after the read that it began in
        self._eof = self._discarding = False
        self._ended: tuple[str, str] | None = None
        self._paced: PacedTransport | None = None
        self._plain_ping: dict[bytes, bytes] | None = None

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the connection; one that slipped in while the node is silent is held at once."""
        super().connection_made(transport)
        self.flow = HeldFlow(transport)
        self.peer = _address(self.client)
        self.tls = self.scheme == "https"
        tls = self.node.tls_facts(transport.get_extra_info("ssl_object")) if self.tls else None
        self.node.journal.add("connection", time.monotonic_ns(), phase="open", conn=self.conn, peer=self.peer,
                              local=_address(self.server), tls=tls)  # fmt: skip
        if self.node.silent:
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
            self.transport.set_protocol(BulkReader(self, exchange, exchange.bytes_to_come))

    def bulk_came(self, nbytes: int) -> bool:
        """Bytes came past the parser; False when they are only drained."""
        self._bytes_in += nbytes
        self._unset_keepalive_if_required()
        return not self._discarding

    def bulk_over(self) -> None:
        """The body that was read past the parser is whole; a fresh parser takes what follows."""
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
        """The peer half-closed; as in uvicorn that ends the connection."""
        self._eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell requests under way how it ended, and note it."""
        how, by = self._how_it_ended(exc)
        end = {"reset": "rst", "timeout": "timeout", "fin": "fin"}[how] if by == "peer" else "local"
        super().connection_lost(exc)
        # uvicorn leaves it running after a reset, and with it all of the connection in memory for another two minutes.
        self._unset_keepalive_if_required()
        if not self.lost.done():
            self.lost.set_result(None)
        for exchange in list(self._open):
            exchange.lost(end)
        self.node.journal.add("connection", time.monotonic_ns(), phase="close", conn=self.conn, by=by,
                              how="fin" if how == "fin" else "rst", bytes_in=self._bytes_in, requests=self._requests)  # fmt: skip

    def _how_it_ended(self, exc: Exception | None) -> tuple[str, str]:
        if self._ended is not None:
            return self._ended
        if exc is None:
            return "fin", "peer" if self._eof else "node"
        return ("timeout" if isinstance(exc, TimeoutError) else "reset"), "peer"

    # Requests

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        self._begun_ns = time.monotonic_ns()
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head: hand the app its exchange before its task runs, unless a plain ping needs no app."""
        self._head_bytes = None
        self._requests += 1
        self._plain_ping = self.node.quick_pings.takes(self) if self._idle else None
        if self._plain_ping is not None:
            return
        super().on_headers_complete()
        if self.tls:
            self.cycle.default_headers = self.node.server.tls_headers
        exchange = Exchange(self, self.node.next_request(), self._begun_ns, is_ping(self.scope["path"]))
        self._exchange = exchange
        self._open.add(exchange)
        self.scope["extensions"] = {"mocknode": exchange}  # type: ignore[dict-item]
        self.node.admit(exchange)

    def on_body(self, body: bytes) -> None:
        """Body bytes, counted here and nowhere else."""
        if self._exchange is not None:
            self._exchange.body(body)

    def on_message_complete(self) -> None:
        """The end of the body, unless the connection was cut before."""
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
        self.transport.write(self.node.quick_pings.answer(self, headers, self._begun_ns))
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

    def exchange_over(self, exchange: Exchange) -> None:
        """The exchange has written its last line."""
        self._open.discard(exchange)
        self.node.dismiss(exchange)

    def drain_for(self, seconds: float, exchange: Exchange) -> None:
        """It is answered before its body was read: close the connection unless the rest of it comes within these seconds."""
        self.loop.call_later(seconds, self._leave_rest, exchange)

    def _leave_rest(self, exchange: Exchange) -> None:
        if exchange in self._open and not self.node.silent:
            self.transport.close()

    def shutdown(self) -> None:
        """FIN when idle; else the answer in flight says `Connection: close`."""
        if not self._discarding:
            super().shutdown()

    # Effects

    def pause_for(self, seconds: float) -> None:
        """Read nothing for a while."""
        self.flow.hold("rate")
        self.loop.call_later(seconds, self.flow.release, "rate")

    def pace_answer(self, cycle: RequestResponseCycle, bytes_per_s: float) -> None:
        """Write the rest of this cycle's answer no faster than that."""
        self._paced = PacedTransport(self.transport, self.loop, bytes_per_s)
        cycle.transport = self._paced  # type: ignore[assignment]

    def fall_silent(self) -> None:
        """Read nothing more and let no timer close the connection; the peer has to give up."""
        self._unset_keepalive_if_required()
        self.flow.hold("silent")
        self.node.watch(self)

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
        """The peer is found gone while nothing is read from it."""
        if self._ended is None:
            self._ended = (how, "peer")
            self._end_exchanges("fin" if how == "fin" else "rst")
            self.transport.abort()

    def _end_exchanges(self, end: str) -> None:
        self._discarding = True
        for exchange in list(self._open):
            exchange.cycle.disconnected = True
            exchange.cycle.message_event.set()
            exchange.lost(end)

    async def flushed(self) -> None:
        """Return when the kernel has everything that was written."""
        # A transport says when its buffer is low, never when it is empty.
        while not self.lost.done() and self.transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(_FLUSH_POLL_S)

    def tcp_state(self) -> int | None:
        """The kernel's state of the connection, None where the platform does not tell."""
        return tcp_state(self._socket())

    def _socket(self) -> Any:
        return self.transport.get_extra_info("socket")


def _address(pair: tuple[str, int | None] | None) -> str:
    return "" if pair is None else f"{pair[0]}:{pair[1]}"
