"""HTTP/1.1 over one connection. Our bytes are sent as written, h11 reads the response meanwhile, and nothing is repeated."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Literal

import h11

from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic.connecting import connect
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.observing import Notes, observe, send_steps
from mocknode.judge.traffic.pace import BreakOff
from mocknode.judge.traffic.spec import RequestSpec
from mocknode.judge.traffic.wire import Wire

MAX_HEAD = 128 * 1024
"""Largest response head that is accepted; no balancer forwards a larger one, so this limit never decides a verdict."""


class Http1Connection:
    """One connection to a front door, kept open between exchanges as long as both sides keep it.

    It carries one exchange at a time. `exchange` opens the connection if necessary, but never a second time.
    """

    def __init__(self, front: FrontDoor) -> None:
        self._front = front
        self._wire: Wire | None = None
        self._early = b""
        self._peer_closed = False
        self._busy = False
        self._go = asyncio.Event()
        self._send_error: OSError | None = None

    @property
    def id(self) -> str:
        """Our name for the connection, empty until it is open."""
        return self._wire.id if self._wire else ""

    @property
    def source(self) -> str:
        """Local `address:port`, empty until it is open."""
        return self._wire.source if self._wire else ""

    @property
    def closed(self) -> bool:
        """Whether the connection cannot carry another exchange. An idle connection is checked for the peer's FIN or RST."""
        if self._wire is None or self._busy:
            return False
        if self._wire.closed or self._peer_closed:
            return True
        try:
            while (data := self._wire.receive_now()) is not None:
                if not data:
                    self._peer_closed = True
                    break
                self._early += data
        except OSError:
            self._peer_closed = True
        return self._peer_closed

    async def open(self) -> None:
        """Connect.

        Raises:
            NotConnectedError: the front door was not reached.
        """
        if self._wire is None:
            self._wire = await connect(self._front, "http/1.1")

    def close(self, how: Literal["fin", "rst"] = "fin") -> None:
        """Close with FIN or RST; does nothing when already closed."""
        if self._wire is not None:
            self._wire.close(how)

    async def exchange(self, spec: RequestSpec) -> Attempt:
        """Send one request and read its answer. The attempt says how it ended.

        Raises:
            RuntimeError: another exchange is under way.
            ValueError: a pause lies beyond the body.
            OSError: this process is out of descriptors or memory.
        """
        if self._busy:
            raise RuntimeError("an HTTP/1 connection carries one exchange at a time")
        notes = Notes(spec, self._front, spec.http_version)
        gone = self.closed
        self._busy = True
        try:
            return await observe(notes, self._refuse if gone else self._run)
        finally:
            self._busy = False
            if notes.end != "complete":
                self.close("rst" if notes.end in ("timeout", None) else "fin")

    async def _refuse(self, notes: Notes) -> None:
        notes.connection, notes.source = self.id, self.source
        notes.ended("eof", "the connection was closed before the request")

    async def _run(self, notes: Notes) -> None:
        await self.open()
        assert self._wire is not None
        notes.connection, notes.source = self.id, self.source
        self._go.clear()
        self._send_error = None
        sender = asyncio.ensure_future(self._send(self._wire, notes))
        reader = asyncio.ensure_future(self._read(self._wire, notes, sender.cancel))
        try:
            await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
            step = sender.result() if sender.done() and not sender.cancelled() else None
            if step is not None and notes.end is None:
                await self._break_off(self._wire, notes, step, reader)
            await asyncio.wait({reader})
        finally:
            sender.cancel()
            reader.cancel()
            results = await asyncio.gather(sender, reader, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _break_off(self, wire: Wire, notes: Notes, step: BreakOff, reader: "asyncio.Future[None]") -> None:
        notes.broken_off = True
        notes.mark("abort")
        if step.how == "rst":
            notes.ended("aborted")
            wire.close("rst")
        else:
            wire.half_close()
            await asyncio.wait({reader}, timeout=step.listen_s)
            notes.ended("aborted")
            wire.close("fin")
        reader.cancel()

    async def _send(self, wire: Wire, notes: Notes) -> BreakOff | None:
        steps = notes.spec.steps()
        piece = notes.spec.in_one_piece(self._front)
        try:
            if piece is not None:
                await send_steps([piece], notes, wire.send)
                notes.mark_head_sent()
                return None
            head = memoryview(notes.spec.head(self._front))
            while head:
                head = head[await wire.send(head) :]
            notes.mark_head_sent()
            if notes.spec.expect_continue:
                await self._await_continue(notes)
            return await send_steps(steps, notes, wire.send)
        except OSError as error:
            # What the peer sent before it closed can still be read, so the reader decides how the exchange ended.
            self._send_error = error
            return None

    async def _await_continue(self, notes: Notes) -> None:
        try:
            async with asyncio.timeout(notes.spec.continue_wait_s):
                await self._go.wait()
            notes.mark("continue-received")
        except TimeoutError:
            notes.mark("continue-waived")

    async def _read(self, wire: Wire, notes: Notes, stop_sending: Callable[[], Any]) -> None:
        parser = _parser(notes.spec.method)
        data, self._early = self._early, b""
        at_end = False
        try:
            while notes.end is None:
                if data:
                    parser.receive_data(data)
                if self._digest_events(parser, notes, stop_sending):
                    break
                data = await wire.receive()
                if not data:
                    at_end = True
                    parser.receive_data(b"")
        except h11.RemoteProtocolError as error:
            if at_end:
                self._ended_short(notes, "the answer was cut short" if notes.status else "closed without an answer")
            else:
                notes.ended("protocol-error", str(error))
        except OSError as error:
            self._ended_by(notes, error)
        if notes.end == "complete":
            self._settle(wire, notes, parser)

    def _digest_events(self, parser: h11.Connection, notes: Notes, stop_sending: Callable[[], Any]) -> bool:
        """Process what has arrived; return whether the exchange is over."""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                return False
            if isinstance(event, h11.InformationalResponse):
                notes.interim.append(event.status_code)
                if event.status_code == 100:
                    self._go.set()
            elif isinstance(event, h11.Response):
                fields = (
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers.raw_items()
                )
                notes.answered(event.status_code, tuple(fields))
                stop_sending()
            elif isinstance(event, h11.Data):
                notes.received(event.data)
            elif isinstance(event, h11.EndOfMessage):
                notes.complete()
                return True
            else:  # ConnectionClosed, or PAUSED after a switch of protocols
                self._ended_short(notes, "closed without an answer")
                return True

    def _ended_short(self, notes: Notes, message: str) -> None:
        if isinstance(self._send_error, ConnectionResetError):
            notes.ended("reset", str(self._send_error))  # sending met the RST first, and reading then sees a plain end
        else:
            notes.ended("eof", message)

    def _ended_by(self, notes: Notes, error: OSError) -> None:
        if isinstance(error, ssl.SSLEOFError):
            self._ended_short(notes, "TLS ended without its closing alert")
        elif isinstance(error, TimeoutError):
            notes.ended("timeout", str(error))
        elif isinstance(error, ssl.SSLError):
            notes.ended("protocol-error", str(error))
        else:
            notes.ended("reset", str(error))

    def _settle(self, wire: Wire, notes: Notes, parser: h11.Connection) -> None:
        """Keep the connection after a whole answer, or close it if either side asked for that."""
        unsent = notes.spec.body is not None and notes.body_sent_ns is None
        asked = any(name.lower() == "connection" and value.lower() == "close" for name, value in notes.spec.headers)
        self._early = bytes(parser.trailing_data[0])
        if unsent or asked or notes.broken_off or parser.their_state is not h11.DONE:
            wire.close("fin")


def _parser(method: str) -> h11.Connection:
    """Return a parser for the answer. h11 must know the method, as answers to HEAD and CONNECT end differently."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    parser.send(h11.Request(method=method if method == "HEAD" else "GET", target="/", headers=[("Host", "-")]))
    parser.send(h11.EndOfMessage())
    return parser
