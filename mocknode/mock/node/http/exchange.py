"""One request and its answer: the app's way to read and to answer, and where faults come in.

The protocol feeds it (body bytes, end of body, loss of the connection), the app reads from it and answers through it. Facts
are taken where the parser hands bytes over, so bytes that the app never reads count too.
"""

import asyncio
import time
from typing import Any

from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.faults.effects import Place, Plan
from mocknode.mock.node.faults.selection import Candidate
from mocknode.mock.node.http.answers import Headers
from mocknode.mock.node.http.batches import BATCH_BYTES, Batches, Chunk
from mocknode.mock.node.http.effects_runner import EffectsRunner, OverError
from mocknode.mock.node.http.request_facts import RequestFacts
from mocknode.mock.node.http.request_head import Refusal
from mocknode.mock.node.http.request_journal import RequestJournal
from mocknode.mock.node.http.site import Site
from mocknode.mock.node.http.stream import Stream

__all__ = ["BodyLimitError", "Exchange", "OverError"]


class BodyLimitError(Exception):
    """The body is longer than this node accepts."""


class Exchange:
    """One request on its stream.

    Attributes:
        facts: The request, as far as it has come.
    """

    def __init__(self, site: Site, stream: Stream, facts: RequestFacts, config: NodeConfig, batches: Batches) -> None:
        self.facts = facts
        self._site, self._stream, self._config, self._batches = site, stream, config, batches
        self._chunks: list[Chunk] = []
        self._buffered = 0
        self._answer_whole = self._finished = self._awaiting = False
        self._effects = EffectsRunner(site, stream, facts, self._answered)
        self._journal = RequestJournal(site.note, facts)

    @property
    def received(self) -> int:
        """Body bytes so far."""
        return self.facts.received

    @property
    def length(self) -> int | None:
        """Declared length of the body; None when it is chunked."""
        return self.facts.length

    @property
    def candidate(self) -> Candidate:
        """What the selection of faults looks at."""
        return self.facts.candidate

    def join(self, plan: Plan) -> None:
        """Carry out the effects of a fault that this upload activated; those whose point is passed act now."""
        if not self._finished:
            self._effects.add(plan, late=True)

    def begin(self, plan: Plan) -> None:
        """Begin with the head: record it if the request may last, and carry out the plan."""
        if self.facts.expects_body or plan:
            self._journal.head()
        self._effects.add(plan)

    @property
    def bytes_to_come(self) -> int:
        """Bytes of a declared body that have not arrived; 0 for any other body."""
        facts = self.facts
        return 0 if facts.length is None or facts.complete else facts.length - facts.received

    @property
    def awaits_body(self) -> bool:
        """Whether the app waits for bytes that only the client keeps back."""
        return self._awaiting and not self._effects.stalled

    @property
    def wants_body(self) -> bool:
        """Whether the app can still make use of body bytes."""
        return not self._stream.answer_sent

    def body(self, data: bytes) -> None:
        """Take body bytes from the parser."""
        if self.wants_body:
            self.store(data)
        self.count(len(data))

    def store(self, data: Chunk) -> None:
        """Keep body bytes for the app, and read no more when it falls behind."""
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered >= BATCH_BYTES:
            self._stream.pause_reading()
        self._stream.news.set()

    def count(self, nbytes: int) -> None:
        """Record that body bytes came, and carry out what acts at or before them."""
        facts = self.facts
        facts.last_body_ns = time.monotonic_ns()
        if facts.first_body_ns is None:
            facts.first_body_ns = facts.last_body_ns
        facts.received += nbytes
        self._effects.moved()
        if facts.upload and self._site.watches_uploads:
            self._site.upload_moved(self)

    def body_over(self) -> None:
        """Take the end of the body, unless a fault keeps the node from having read so far."""
        self._stream.news.set()
        if self._effects.stalled:
            return
        self.facts.complete = True
        if self._answer_whole:
            self._journal.body()
            self._finish("complete")

    def refuse(self, reason: Refusal, status: int | None) -> None:
        """Note that the web server refuses the request within its body; the status is None if the answer has begun."""
        self.facts.refused = reason
        if status is not None:
            self.facts.status, self.facts.answered_ns = status, time.monotonic_ns()

    def lost(self, end: str) -> None:
        """End with the connection; `end` is `fin`, `rst`, `timeout`, or `local` when this node ended it."""
        self._stream.news.set()
        self._finish("complete" if self._answer_whole else end)

    async def read(self) -> list[Chunk]:
        """Return body bytes as they came; an empty list is the end of the body.

        Raises:
            OverError: the connection is gone or the request has been answered by a fault.
            BodyLimitError: the body is too long; the rest of it is thrown away.
        """
        stream, facts, limit = self._stream, self.facts, self._config.web.body_max
        if limit is not None and max(facts.received, facts.length or 0) > limit:
            raise BodyLimitError(f"a body of more than {limit} bytes is not accepted")
        while not self._chunks or self._effects.stalled:
            if stream.disconnected or stream.answer_sent:
                raise OverError
            if facts.complete or not facts.expects_body:
                return []
            if not facts.received:
                stream.ask_for_body()
            stream.resume_reading()
            self._awaiting = True
            await stream.news.wait()
            self._awaiting = False
            stream.news.clear()
        chunks, self._chunks, self._buffered = self._chunks, [], 0
        return chunks

    async def drop_body(self) -> None:
        """Read the rest of the body and throw it away."""
        while await self.read():
            pass

    def give_back(self, chunks: list[Chunk]) -> None:
        """Take back chunks that the app no longer reads; large ones are reused."""
        for chunk in chunks:
            self._batches.give(chunk)

    async def head_read(self) -> None:
        """Let faults act before the app does anything."""
        await self._effects.reach(Place.HEAD)

    async def body_end(self) -> None:
        """Record the delivery, and let faults act: the app has the whole body and has not acted on it."""
        self._journal.body()
        await self._effects.reach(Place.BODY_END)

    def answer_also(self, headers: Headers) -> None:
        """Put headers on whatever is answered."""
        self._stream.add_headers(headers)

    async def send(self, message: Any) -> None:
        """Send a part of the answer, an ASGI message, with what faults do to it.

        Raises:
            OverError: the connection is gone or a fault has answered.
        """
        facts, stream = self.facts, self._stream
        head = message["type"] == "http.response.start"
        if head:
            await self._before_answer()
            message = self._effects.answer_head(message)
            facts.status = message["status"]
        if self._site.silent:
            await stream.lost
        if stream.disconnected or self._answer_whole:
            raise OverError
        body = message.get("body", b"")
        if head:
            facts.answered_ns = time.monotonic_ns()
        else:
            await self._effects.answer_body(body)
            facts.answer_bytes += 0 if facts.method == "HEAD" else len(body)
        await stream.send(message)
        if not head and not message.get("more_body", False):
            self._answered()
            if not self._finished:
                asyncio.get_running_loop().call_later(self._config.body_drain_s, self._leave_rest)

    async def _before_answer(self) -> None:
        """Carry out what faults do at the end of the body, which an app that answers early must not outrun."""
        if self._effects.waits_for(Place.BODY_END):
            await self.drop_body()
            await self.body_end()
        await self._effects.reach(Place.ANSWER)

    def _answered(self) -> None:
        """Take the end of the answer; the request lasts until its body is over too."""
        self._answer_whole = True
        self._stream.news.set()
        if self.facts.complete or not self.facts.expects_body:
            self._finish("complete")

    def _leave_rest(self) -> None:
        """Reset the connection: the request was answered, and the rest of its body did not come in time."""
        if not self._finished and not self._site.silent:
            self._stream.break_off("reset")

    def _finish(self, end: str) -> None:
        """Write the last record, once."""
        if not self._finished:
            self._finished = True
            self._journal.last(end)
            self._stream.finished()
            self._site.dismiss(self.facts)
