"""What faults do to one request: carries out the effects that were chosen for it, each at its point.

See `faults/effects.py` for the points. Effects at head, end of body and answer run within the app's own task, which waits for
them; those in the body act from the parser's callbacks, beside the app.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from mocknode.mock.node.faults.effects import (
    Break,
    CutAnswer,
    Delay,
    Effect,
    Hang,
    Place,
    Raw,
    ReadRate,
    Reply,
    StopReading,
    WriteRate,
)
from mocknode.mock.node.http.answers import error_answer, raw_answer

if TYPE_CHECKING:
    from mocknode.mock.node.http.exchange import Exchange


class OverError(Exception):
    """The request is over for the app: its connection is gone or a fault has answered in its place."""


Plan = list[tuple[str | None, Effect]]
"""Effects with the id of the fault they come from; None where the node's own condition asks for them."""


class Interference:
    """The effects of one exchange."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._pending: Plan = []
        self._stalled = False
        self._read_rate: float | None = None
        self._cut: CutAnswer | None = None

    def add(self, plan: Plan, *, late: bool = False) -> None:
        """Take up effects; of those that come `late`, within a body, the ones at the head act now."""
        self._pending += plan
        if plan:
            self.advance(late=late)

    @property
    def stalled(self) -> bool:
        """Whether the node is meant to have read no further."""
        return self._stalled

    def waits_for(self, place: Place) -> bool:
        """Whether something is to be done at this point."""
        return any(self._place(effect) is place for _, effect in self._pending)

    def _place(self, effect: Effect) -> Place:
        """Where an effect acts on this request: a share of an undeclared length is the end of the body."""
        undeclared = effect.at.place is Place.SHARE and self._exchange.length is None
        return Place.BODY_END if undeclared else effect.at.place

    async def reach(self, place: Place) -> None:
        """Carry out what waits for this point.

        Raises:
            OverError: the request is over.
        """
        while item := next((i for i in self._pending if self._place(i[1]) is place), None):
            self._pending.remove(item)
            await self._carry_out(*item)

    # Within the body

    def moved(self) -> None:
        """Body bytes came: let act what acts at or before them, and keep to the rate."""
        if self._pending:
            self.advance()
        exchange = self._exchange
        if self._read_rate is not None and exchange.first_body_ns is not None:
            ahead_s = exchange.received / self._read_rate - (time.monotonic_ns() - exchange.first_body_ns) / 1e9
            if ahead_s > 0:
                exchange.protocol.pause_for(ahead_s)

    def advance(self, *, late: bool = False) -> None:
        """Carry out what acts within the body at or before the bytes read so far."""
        for item in list(self._pending):
            if (late and item[1].at.place is Place.HEAD) or self._reached(item[1]):
                self._pending.remove(item)
                self._act(*item)

    def _reached(self, effect: Effect) -> bool:
        offset = effect.at.offset(self._exchange.length)
        if offset is None or self._exchange.received < offset:
            return False
        # What limits reading acts before the first byte, anything else not before there is a body.
        return self._exchange.received > 0 or isinstance(effect, ReadRate | StopReading)

    def _act(self, fault: str | None, effect: Effect) -> None:
        exchange = self._exchange
        match effect:
            case ReadRate():
                exchange.note_hit(fault)
                self._read_rate = effect.bytes_per_s
            case Break():
                exchange.note_hit(fault)
                exchange.protocol.break_off(effect.how)
            case _:
                if isinstance(effect, StopReading):
                    self._stall()  # At once: more of the body may be in the parser's hands already.
                exchange.node.spawn(self._aside(fault, effect))

    def _stall(self) -> None:
        self._stalled = True
        self._exchange.protocol.flow.hold("stop-reading")
        self._exchange.node.watch(self._exchange.protocol)

    async def _aside(self, fault: str | None, effect: Effect) -> None:
        with contextlib.suppress(OverError):
            await self._carry_out(fault, effect)

    # Anywhere

    async def _carry_out(self, fault: str | None, effect: Effect) -> None:
        self._exchange.note_hit(fault)
        protocol = self._exchange.protocol
        match effect:
            case Delay():
                await self._wait(fault, effect.seconds)
            case Hang():
                await self._hang(fault)
            case StopReading():
                self._stall()
                await self._hang(fault)
            case Break():
                protocol.break_off(effect.how)
                raise OverError
            case Raw():
                await self._write(effect.data)
                protocol.break_off("fin")
                raise OverError
            case Reply():
                await self._reply(effect)
                raise OverError
            case ReadRate():
                self._read_rate = effect.bytes_per_s
            case WriteRate():
                protocol.pace_answer(self._exchange.cycle, effect.bytes_per_s)
            case CutAnswer():
                self._cut = effect

    async def _hang(self, fault: str | None) -> None:
        await self._wait(fault, None)
        self._exchange.protocol.break_off("reset")
        raise OverError

    async def _wait(self, fault: str | None, seconds: float | None) -> None:
        """Wait for the time, the release of the fault, or the loss of the connection.

        Raises:
            OverError: the connection is gone.
        """
        lost = self._exchange.protocol.lost
        with self._exchange.node.faults.hold(fault) as released:
            await asyncio.wait((released, lost), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            raise OverError

    async def _reply(self, reply: Reply) -> None:
        exchange, cycle = self._exchange, self._exchange.cycle
        if cycle.response_started or cycle.disconnected:
            return
        headers, body = error_answer(reply.status, reply.headers, reply.body)
        exchange.status = reply.status
        exchange.answered_ns = time.monotonic_ns()
        if reply.then == "keep" and reply.declared is None:
            await cycle.send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await cycle.send({"type": "http.response.body", "body": body})
        else:
            declared = len(body) if reply.declared is None else reply.declared
            shown = b"" if exchange.method == "HEAD" else body
            await self._write(raw_answer(reply.status, cycle.default_headers + headers, declared, shown))
        exchange.answer_bytes += len(body)
        exchange.answered()
        if reply.then != "keep":
            exchange.protocol.break_off(reply.then)

    async def _write(self, data: bytes) -> None:
        """Write bytes past the HTTP machinery, and wait until the kernel has them."""
        cycle = self._exchange.cycle
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(data)
        await self._exchange.protocol.flushed()

    # The answer

    def answer_head(self, message: Any) -> Any:
        """The answer's head as it shall be sent."""
        if self._cut is None or not self._cut.chunked:
            return message
        kept = [(key, value) for key, value in message["headers"] if key.lower() != b"content-length"]
        return {**message, "headers": kept}

    async def answer_body(self, body: bytes) -> None:
        """Let a part of the answer's body pass, or send what is left of it and cut.

        Raises:
            OverError: the answer was cut.
        """
        if (cut := self._cut) is None:
            return
        exchange = self._exchange
        limit = cut.body_bytes
        if limit is None:
            whole = len(body) if cut.chunked else exchange.cycle.expected_content_length + exchange.answer_bytes
            limit = whole // 2
        part = body[: max(0, limit - exchange.answer_bytes)]
        if body and len(part) == len(body):
            return
        await exchange.cycle.send({"type": "http.response.body", "body": part, "more_body": True})
        exchange.answer_bytes += len(part)
        await exchange.protocol.flushed()
        exchange.protocol.break_off(cut.how)
        raise OverError
