"""One request and its answer at a node: the facts, the app's way to read and to answer, and where faults come in.

The protocol feeds it (body bytes, end of body, loss of the connection), the app reads from it and answers through it. Facts
are taken where the parser hands bytes over, so bytes the app never read count too.
"""

import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from mocknode.mock.node.faults.effects import Place
from mocknode.mock.node.faults.selection import Chosen, Facts
from mocknode.mock.node.http.bulk import BATCH_BYTES
from mocknode.mock.node.http.effects_runner import Interference, OverError, Plan
from mocknode.mock.node.http.proxies import client_address, is_trusted
from mocknode.mock.node.http.request_journal import Lines

if TYPE_CHECKING:
    from mocknode.mock.node.http.protocol import NodeProtocol

__all__ = ["BodyLimitError", "Exchange", "OverError"]

ATTEMPT_QUERY: Final = "mocknode-id"
"""Query parameter that stands for `X-Mocknode-Attempt` where that header did not arrive."""

# What the paths end in by which packages come.
UPLOAD_ENDS: Final = ("/packages/raw", "/nuget/packages", "/delta")


class BodyLimitError(Exception):
    """The body is longer than this node takes."""


def attempt_in(target: str) -> str | None:
    """The attempt id in a request target's query, `mocknode-id`; None without one."""
    _, question, query = target.partition("?")
    if not question or ATTEMPT_QUERY not in query:
        return None
    return dict(parse_qsl(query)).get(ATTEMPT_QUERY)


class Exchange:
    """One request.

    Attributes:
        length: Declared length of the body; None when it is chunked or there is none.
        received: Body bytes so far, as the parser handed them over.
        complete: The body arrived whole.
        file_bytes, sha1, package: Set by an upload; see the journal.
        faults: Ids of the faults that acted on it.
    """

    def __init__(self, protocol: "NodeProtocol", req: int, t_ns: int, ping: bool) -> None:
        scope = protocol.scope
        self.protocol, self.node, self.cycle = protocol, protocol.node, protocol.cycle
        self.req, self.t_ns, self.ping = req, t_ns, ping
        self.method: str = scope["method"]
        self.target = protocol.url.decode("latin-1")
        self.http_version: str = scope["http_version"]
        self.headers: list[tuple[bytes, bytes]] = protocol.headers
        self._first = dict(reversed(self.headers))
        # The header's id, or the one in the query: some balancers take headers away that they do not know.
        self.attempt = self.header(b"x-mocknode-attempt") or attempt_in(self.target)
        length = self.header(b"content-length")
        self.length = int(length) if length is not None else None
        self.expects_body = self.header(b"transfer-encoding") is not None or bool(self.length)
        upload_path = scope["path"].rstrip("/").lower().endswith(UPLOAD_ENDS)
        self.upload = self.expects_body and self.method in ("POST", "PUT") and upload_path
        self.received = 0
        self.first_body_ns: int | None = None
        self.last_body_ns: int | None = None
        self.complete = False
        self.file_bytes: int | None = None
        self.sha1: str | None = None
        self.package: dict[str, Any] | None = None
        self.status: int | None = None
        self.answered_ns: int | None = None
        self.answer_bytes = 0
        self.faults: list[str] = []
        self._chunks: list[bytes | bytearray] = []
        self._buffered = 0
        self._answer_whole = self._finished = False
        self._interference = Interference(self)
        self._lines = Lines(self)

    def header(self, name: bytes) -> str | None:
        """First value of a request header, by lower-case name."""
        value = self._first.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def client(self) -> str:
        """Address of the client, trusted proxies looked through."""
        peer = self.protocol.client[0] if self.protocol.client else ""
        lines = [value.decode("latin-1") for key, value in self.headers if key == b"x-forwarded-for"]
        return client_address(peer, lines, self.node.trusted)

    @property
    def secure(self) -> bool:
        """Whether the client speaks TLS, to this node or, by its word, to a trusted proxy."""
        if self.protocol.tls:
            return True
        said = (self.header(b"x-forwarded-proto") or "").partition(",")[0].strip().lower()
        return said == "https" and is_trusted(
            self.protocol.client[0] if self.protocol.client else "", self.node.trusted
        )

    def answer_also(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Add headers to whatever is answered."""
        self.cycle.default_headers = [*self.cycle.default_headers, *headers]

    @property
    def facts(self) -> Facts:
        """What the selection of faults looks at."""
        return Facts(ping=self.ping, attempt=self.attempt, has_body=self.expects_body, length=self.length)

    @property
    def bytes_to_come(self) -> int:
        """Of a declared body, 0 for any other."""
        return 0 if self.length is None or self.complete else self.length - self.received

    # Told by the node

    def begin(self, plan: Plan) -> None:
        """The head is here: note it where the request may last, and take up what shall be done to it."""
        if self.expects_body or plan:
            self._lines.head()
        self._interference.add(plan)

    def join(self, chosen: Chosen) -> None:
        """A fault became active because of this upload; its points that lie behind act now."""
        if not self._finished:
            self._interference.add([(chosen.fault, effect) for effect in chosen.effects], late=True)

    def note_hit(self, fault: str | None) -> None:
        """A fault acts on this request."""
        if fault is not None and fault not in self.faults:
            self.faults.append(fault)
            self.node.faults.note_hit(fault, self)

    # Fed by the protocol

    def body(self, data: bytes) -> None:
        """Body bytes came out of the parser."""
        if not self.cycle.response_complete:
            self.store(data)
        self.count(len(data))

    def store(self, data: bytes | bytearray) -> None:
        """Keep body bytes for the app, and read no more when it falls behind."""
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered >= BATCH_BYTES:
            self.protocol.flow.pause_reading()
        self.cycle.message_event.set()

    def count(self, nbytes: int) -> None:
        """Note that body bytes came, and let act what acts at or before them."""
        self.last_body_ns = time.monotonic_ns()
        if self.first_body_ns is None:
            self.first_body_ns = self.last_body_ns
        self.received += nbytes
        self._interference.moved()
        if self.upload and self.node.watches_uploads:
            self.node.upload_moved(self)

    def body_over(self) -> None:
        """The parser saw the end of the body, unless the node is meant not to have read so far."""
        if self._interference.stalled:
            return
        self.complete = True
        if self._answer_whole:
            self._lines.body()
            self.finish("complete")

    def lost(self, end: str) -> None:
        """The connection is gone; `end` says how: fin, rst, timeout, or local when it was our doing."""
        self.finish("complete" if self._answer_whole else end)

    # Used by the app

    async def read(self) -> list[bytes | bytearray]:
        """Body bytes as they came; an empty list is the end of the body.

        Raises:
            OverError: the connection is gone or the request has been answered by a fault.
            BodyLimitError: the body is too long; what follows of it is thrown away.
        """
        cycle, limit = self.cycle, self.node.config.web.body_max
        if limit is not None and max(self.received, self.length or 0) > limit:
            raise BodyLimitError(f"a body of more than {limit} bytes is not accepted")
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.waiting_for_100_continue = False
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._chunks or self._interference.stalled:
            if cycle.disconnected or cycle.response_complete:
                raise OverError
            if self.complete or not self.expects_body:
                return []
            self.protocol.flow.resume_reading()
            await cycle.message_event.wait()
            cycle.message_event.clear()
        chunks, self._chunks, self._buffered = self._chunks, [], 0
        return chunks

    async def drop_body(self) -> None:
        """Read what is left of the body, for nothing."""
        while await self.read():
            pass

    def give_back(self, chunks: list[bytes | bytearray]) -> None:
        """The app reads these no more; large ones are used again."""
        for chunk in chunks:
            self.node.batches.give(chunk)

    async def head_read(self) -> None:
        """The app begins: let faults act."""
        await self._interference.reach(Place.HEAD)

    async def body_end(self) -> None:
        """The app has the whole body and has not acted on it: note the delivery, let faults act."""
        self._lines.body()
        await self._interference.reach(Place.BODY_END)

    async def send(self, message: Any) -> None:
        """ASGI send: the answer, with what faults do to it.

        Raises:
            OverError: the connection is gone or a fault has answered.
        """
        head = message["type"] == "http.response.start"
        if head:
            await self._before_answer()
            message = self._interference.answer_head(message)
            self.status = message["status"]
        if self.node.silent:
            await self.protocol.lost
        if self.cycle.disconnected or self._answer_whole:
            raise OverError
        body = message.get("body", b"")
        if head:
            self.answered_ns = time.monotonic_ns()
        else:
            await self._interference.answer_body(body)
            self.answer_bytes += 0 if self.method == "HEAD" else len(body)
        await self.cycle.send(message)
        if not head and not message.get("more_body", False):
            self.answered()
            if not self._finished:
                self.protocol.drain_for(self.node.config.body_drain_s, self)

    async def _before_answer(self) -> None:
        """An app that answers early must not outrun what faults do at the end of the body."""
        if self._interference.waits_for(Place.BODY_END):
            await self.drop_body()
            await self.body_end()
        await self._interference.reach(Place.ANSWER)

    def answered(self) -> None:
        """The answer is written whole; the request lasts until its body is over too."""
        self._answer_whole = True
        if self.complete or not self.expects_body:
            self.finish("complete")

    def finish(self, end: str) -> None:
        """The request is over: write its last line, once."""
        if not self._finished:
            self._finished = True
            self._lines.last(end)
            self.protocol.exchange_over(self)
