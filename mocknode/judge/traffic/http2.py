"""HTTP/2 over TLS: several exchanges at a time on one connection, with flow control, and nothing is repeated."""

import asyncio
import contextlib
import ssl
from typing import Literal

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from mocknode.judge.record.history import Attempt, End
from mocknode.judge.traffic.connecting import NotConnectedError, connect
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.goaway import Goaway, GoawayFilter
from mocknode.judge.traffic.observing import Notes, observe, send_steps
from mocknode.judge.traffic.pace import BreakOff
from mocknode.judge.traffic.spec import RequestSpec
from mocknode.judge.traffic.stream import Stream
from mocknode.judge.traffic.wire import Wire

_NOT_IN_HTTP2 = {"host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "trailer"}


class Http2Connection:
    """One HTTP/2 connection to a front door; several calls of `exchange` may run at the same time.

    Raises:
        ValueError: the front door does not speak https; HTTP/2 is agreed on by ALPN.
    """

    def __init__(self, front: FrontDoor) -> None:
        if front.scheme != "https":
            raise ValueError(f"HTTP/2 needs TLS, so the front door has to be https, got {front.url}")
        self._front = front
        self._wire: Wire | None = None
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="latin-1"))
        self._goaway = GoawayFilter()
        self._streams: dict[int, Stream] = {}
        self._tasks: list[asyncio.Future[None]] = []
        self._opening = asyncio.Lock()
        self._pulse = asyncio.Event()
        self._to_write = asyncio.Event()
        self._queued = self._written = 0
        self._over: tuple[End, str] | None = None

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
        """Whether no new exchange can start: either side closed, or the peer sent GOAWAY."""
        return self._over is not None

    async def open(self) -> None:
        """Connect and agree on HTTP/2.

        Raises:
            NotConnectedError: the front door was not reached, or does not speak HTTP/2.
        """
        async with self._opening:
            if self._wire is not None:
                return
            wire = await connect(self._front, "h2")
            if wire.alpn != "h2":
                wire.close("fin")
                raise NotConnectedError("protocol-error", f"{self._front.url} did not agree on h2, but on {wire.alpn}")
            self._wire = wire
            self._h2.initiate_connection()
            self._tasks = [asyncio.ensure_future(self._write(wire)), asyncio.ensure_future(self._read(wire))]
            self._to_write.set()

    def close(self, how: Literal["fin", "rst"] = "fin") -> None:
        """Close with GOAWAY and FIN, or with RST. Exchanges still under way end as `eof`; a second call does nothing."""
        if self._wire is None or self._wire.closed:
            return
        for task in self._tasks:
            task.cancel()
        if how == "fin" and self._over is None:
            self._h2.close_connection()
            self._wire.send_now(self._h2.data_to_send())
        self._finish("eof", "closed by ourselves")
        self._wire.close(how)

    async def exchange(self, spec: RequestSpec) -> Attempt:
        """Send one request on a stream of its own. The attempt says how it ended.

        Raises:
            ValueError: the spec ends with FIN or truncates chunks; a stream can only be reset.
        """
        if spec.framing.truncated or (spec.abort is not None and spec.abort.how == "fin"):
            raise ValueError("an HTTP/2 stream can be aborted with rst only")
        return await observe(Notes(spec, self._front, "2"), self._run)

    async def _run(self, notes: Notes) -> None:
        await self.open()
        notes.connection, notes.source = self.id, self.source
        limit = self._h2.remote_settings
        while self._over is None and self._h2.open_outbound_streams >= limit.max_concurrent_streams:
            await self._pulse.wait()
        if self._over is not None:
            notes.ended(*self._over)
            return
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = Stream(notes)
        self._h2.send_headers(number, self._head(notes.spec), end_stream=notes.spec.body is None)
        stream.sender = asyncio.ensure_future(self._send(number, stream))
        done = asyncio.ensure_future(stream.done.wait())
        try:
            await asyncio.wait({stream.sender, done}, return_when=asyncio.FIRST_COMPLETED)
            step = stream.sender.result() if stream.sender.done() and not stream.sender.cancelled() else None
            if step is not None and notes.end is None:
                notes.broken_off = True
                notes.mark("abort")
                stream.end("aborted")
            await asyncio.wait({done})
        finally:
            stream.sender.cancel()
            done.cancel()
            results = await asyncio.gather(stream.sender, done, return_exceptions=True)
            self._forget(number)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _head(self, spec: RequestSpec) -> list[tuple[str, str]]:
        fields = [(name.lower(), value) for name, value in spec.fields(self._front)]
        authority = next((value for name, value in fields if name == "host"), self._front.authority)
        pseudo = [
            (":method", spec.method),
            (":scheme", "https"),
            (":authority", authority),
            (":path", spec.target_at(self._front)),
        ]
        return pseudo + [item for item in fields if item[0] not in _NOT_IN_HTTP2]

    async def _send(self, number: int, stream: Stream) -> BreakOff | None:
        notes = stream.notes
        await self._flush()
        notes.mark_head_sent()
        if notes.spec.expect_continue:
            try:
                async with asyncio.timeout(notes.spec.continue_wait_s):
                    await stream.go.wait()
                notes.mark("continue-received")
            except TimeoutError:
                notes.mark("continue-waived")

        async def write(data: bytes | memoryview) -> int:
            while (room := self._h2.local_flow_control_window(number)) <= 0:
                await self._pulse.wait()
            count = min(room, self._h2.max_outbound_frame_size, len(data))
            self._h2.send_data(number, bytes(data[:count]))
            await self._flush()
            return count

        try:
            step = await send_steps(notes.spec.steps(framed=False), notes, write)
            if step is None and notes.spec.body is not None:
                self._h2.end_stream(number)
                stream.sent_all = True
                await self._flush()
        except h2.exceptions.ProtocolError:
            return None  # the peer ended the stream; its answer is on the way to the notes
        return step

    def _forget(self, number: int) -> None:
        """Drop a stream that is over for us, and tell the peer unless the peer has ended it too."""
        stream = self._streams.pop(number)
        if not (stream.sent_all and stream.notes.whole):
            with contextlib.suppress(h2.exceptions.ProtocolError):  # the peer was first
                self._h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        self._to_write.set()
        self._beat()

    async def _flush(self) -> None:
        """Wait until the kernel has taken everything queued before this call; never returns if the connection is gone."""
        self._to_write.set()
        self._queued += 1
        ticket = self._queued
        while self._written < ticket:
            await self._pulse.wait()

    def _beat(self) -> None:
        """Wake everything that waits for flow-control room, for the kernel, or for the end."""
        self._pulse.set()
        self._pulse.clear()

    async def _write(self, wire: Wire) -> None:
        try:
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                ticket, view = self._queued, memoryview(self._h2.data_to_send())
                while view:
                    view = view[await wire.send(view) :]
                self._written = ticket
                self._beat()
        except OSError:
            # Reading shows how the connection ended, and what the peer sent before that.
            return

    async def _read(self, wire: Wire) -> None:
        try:
            while data := await wire.receive():
                passed, notices = self._goaway.feed(data)
                for event in self._h2.receive_data(passed) if passed else ():
                    self._take(event)
                for notice in notices:
                    self._going_away(notice)
                self._to_write.set()
                self._beat()
            self._finish("eof", "the peer closed the connection")
        except h2.exceptions.ProtocolError as error:
            self._finish("protocol-error", str(error) or type(error).__name__)
        except ssl.SSLEOFError:
            self._finish("eof", "TLS ended without its closing alert")
        except OSError as error:
            self._finish("reset", str(error))

    def _finish(self, end: End, error: str) -> None:
        self._over = self._over or (end, error)
        for stream in self._streams.values():
            stream.end(end, error)
        self._to_write.set()
        self._beat()

    def _going_away(self, notice: Goaway) -> None:
        message = f"GOAWAY, error code {notice.code}"
        self._over = self._over or ("eof", message)
        for number, stream in self._streams.items():
            if number > notice.last_stream:
                stream.end("reset", message)

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            # Do this for abandoned streams too, as their bytes count against the connection's window.
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is not None:
            stream.take(event)
