"""What faults do to one request: carries out the effects that were chosen for it, each at its point.

See `faults/effects.py` for the points. Effects at head, end of body and answer run within the app's own task, which waits for
them; those in the body act from the parser's callbacks, beside the app.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from mocknode.mock.node.faults.effects import (
    Break,
    CutAnswer,
    Delay,
    Effect,
    Hang,
    Place,
    Plan,
    Raw,
    ReadRate,
    Reply,
    StopReading,
    WriteRate,
)
from mocknode.mock.node.http.answers import error_answer
from mocknode.mock.node.http.request_facts import RequestFacts
from mocknode.mock.node.http.site import Site
from mocknode.mock.node.http.stream import Stream


class OverError(Exception):
    """The request is over for the app: its connection is gone or a fault has answered in its place."""


class EffectsRunner:
    """The effects on one request.

    Args:
        answered: Called when an effect has sent the whole answer.
    """

    def __init__(self, site: Site, stream: Stream, facts: RequestFacts, answered: Callable[[], None]) -> None:
        self._site, self._stream, self._facts, self._answered = site, stream, facts, answered
        self._pending: Plan = []
        self._stalled = False
        self._read_rate: float | None = None
        self._cut: CutAnswer | None = None
        self._declared = 0

    def add(self, plan: Plan, *, late: bool = False) -> None:
        """Add effects. With `late`, which means within the body, those at the head act now."""
        self._pending += plan
        if plan:
            self.advance(late=late)

    @property
    def stalled(self) -> bool:
        """Whether the node behaves as if it had read no further."""
        return self._stalled

    def waits_for(self, place: Place) -> bool:
        """Return whether an effect waits for this point."""
        return any(self._place(effect) is place for _, effect in self._pending)

    def _place(self, effect: Effect) -> Place:
        """Return where an effect acts on this request: a share of an undeclared length is the end of the body."""
        undeclared = effect.at.place is Place.SHARE and self._facts.length is None
        return Place.BODY_END if undeclared else effect.at.place

    async def reach(self, place: Place) -> None:
        """Carry out what waits for this point.

        Raises:
            OverError: the request is over.
        """
        while item := next((i for i in self._pending if self._place(i[1]) is place), None):
            self._pending.remove(item)
            await self._carry_out(*item)

    def moved(self) -> None:
        """Carry out what acts at or before the body bytes that came, and keep to the read rate."""
        if self._pending:
            self.advance()
        facts = self._facts
        if self._read_rate is not None and facts.first_body_ns is not None:
            ahead_s = facts.received / self._read_rate - (time.monotonic_ns() - facts.first_body_ns) / 1e9
            if ahead_s > 0:
                self._stream.pause_for(ahead_s)

    def advance(self, *, late: bool = False) -> None:
        """Carry out what acts within the body at or before the bytes read so far."""
        for item in list(self._pending):
            if (late and item[1].at.place is Place.HEAD) or self._reached(item[1]):
                self._pending.remove(item)
                self._act(*item)

    def _reached(self, effect: Effect) -> bool:
        offset = effect.at.offset(self._facts.length)
        if offset is None or self._facts.received < offset:
            return False
        # What limits reading acts before the first byte, anything else not before there is a body.
        return self._facts.received > 0 or isinstance(effect, ReadRate | StopReading)

    def _act(self, fault: str | None, effect: Effect) -> None:
        match effect:
            case ReadRate():
                self._note_hit(fault)
                self._read_rate = effect.bytes_per_s
            case Break():
                self._note_hit(fault)
                self._stream.break_off(effect.how)
            case _:
                if isinstance(effect, StopReading):
                    self._stall()  # Immediately: the parser may hold more of the body already.
                self._site.spawn(self._aside(fault, effect))

    def _stall(self) -> None:
        self._stalled = True
        self._stream.stop_reading()

    async def _aside(self, fault: str | None, effect: Effect) -> None:
        with contextlib.suppress(OverError):
            await self._carry_out(fault, effect)

    def _note_hit(self, fault: str | None) -> None:
        if fault is not None and fault not in self._facts.faults:
            self._facts.faults.append(fault)
            self._site.hit(fault, self._facts)

    async def _carry_out(self, fault: str | None, effect: Effect) -> None:
        self._note_hit(fault)
        match effect:
            case Delay():
                await self._wait(fault, effect.seconds)
            case Hang():
                await self._hang(fault)
            case StopReading():
                self._stall()
                await self._hang(fault)
            case Break():
                self._stream.break_off(effect.how)
                raise OverError
            case Raw():
                await self._stream.send_raw(effect.data)
                self._stream.break_off("fin")
                raise OverError
            case Reply():
                await self._reply(effect)
                raise OverError
            case ReadRate():
                self._read_rate = effect.bytes_per_s
            case WriteRate():
                self._stream.pace_answer(effect.bytes_per_s)
            case CutAnswer():
                self._cut = effect

    async def _hang(self, fault: str | None) -> None:
        await self._wait(fault, None)
        self._stream.break_off("reset")
        raise OverError

    async def _wait(self, fault: str | None, seconds: float | None) -> None:
        """Wait for the time, the release of the fault, or the loss of the connection.

        Raises:
            OverError: the connection is gone.
        """
        lost = self._stream.lost
        with self._site.hold(fault) as released:
            await asyncio.wait((released, lost), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            raise OverError

    async def _reply(self, reply: Reply) -> None:
        facts, stream = self._facts, self._stream
        if stream.answer_begun or stream.disconnected:
            return
        headers, body = error_answer(reply.status, reply.headers, reply.body)
        facts.status = reply.status
        facts.answered_ns = time.monotonic_ns()
        if reply.then == "keep" and reply.declared is None:
            await stream.send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await stream.send({"type": "http.response.body", "body": body})
        else:
            declared = len(body) if reply.declared is None else reply.declared
            shown = b"" if facts.method == "HEAD" else body
            await stream.send_misframed(reply.status, headers, declared, shown)
        facts.answer_bytes += len(body)
        self._answered()
        if reply.then != "keep":
            stream.break_off(reply.then)

    def answer_head(self, message: Any) -> Any:
        """Return the answer's head as the effects want it sent."""
        if self._cut is None:
            return message
        headers = dict(message["headers"])
        self._declared = int(headers.get(b"content-length", 0))
        if not self._cut.chunked:
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
        facts = self._facts
        limit = cut.body_bytes
        if limit is None:
            limit = (len(body) if cut.chunked else self._declared) // 2
        part = body[: max(0, limit - facts.answer_bytes)]
        if body and len(part) == len(body):
            return
        await self._stream.send({"type": "http.response.body", "body": part, "more_body": True})
        facts.answer_bytes += len(part)
        await self._stream.flushed()
        self._stream.break_off(cut.how)
        raise OverError
