"""One Halibut conversation without I/O: bytes in, events out; each send returns the bytes to write.

Pass what arrived to `receive`, in pieces of any size, and the end of the stream to `receive_eof`. Both return events in order, and
the same events however the bytes were cut. Sends return the writes to make, one after another: the real implementation flushes
between them, so each is a TLS record of its own. The caller is responsible for timeouts, sockets, TLS and trust.

An acceptor uses `Connection.accept()`; on `Preamble` it decides on trust and calls `authorize`; on `Identified` it answers with
`welcome`, or closes when it has too many connections. An initiator uses `Connection.poll` or `Connection.dial`, then `open`.
`state` says whose turn it is; bytes that arrive ahead of their turn wait, up to `limits.UNREAD_MAX`.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Final

from mocknode.mock.halibut import events, lines, roles
from mocknode.mock.halibut.envelope import BrokenMessageError, DocumentReader, StreamsReader, message_parts
from mocknode.mock.halibut.events import Cause, Event
from mocknode.mock.halibut.limits import UNREAD_MAX
from mocknode.mock.halibut.lines import LineError, LineReader, Newline, PreambleReader
from mocknode.mock.halibut.messages import (
    DocumentError,
    Message,
    RequestMessage,
    ResponseMessage,
    decode_document,
    encode_document,
    request_of,
    response_of,
    streams_in,
)
from mocknode.mock.halibut.roles import State, Step, Table

_NO_PAYLOADS: Final[Mapping[uuid.UUID, bytes]] = {}


class OutOfTurnError(RuntimeError):
    """A send that the protocol does not allow in this state."""


class _BrokenError(Exception):
    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.failed = events.Failed(cause=cause, text=text)


class Connection:
    """One end of a conversation.

    Attributes:
        state: State of the conversation; None until an acceptor knows its peer's role.
    """

    def __init__(self, table: Table, state: State | None, opening: tuple[bytes, ...]) -> None:
        self.state = state
        self._table = table
        self._opening = opening
        self._unread = b""
        self._eof = False
        self._over = False
        self._preamble = PreambleReader()
        self._line = LineReader()
        self._identity: str | None = None
        self._document = DocumentReader()
        self._message: tuple[Message, StreamsReader] | None = None
        self._read_out: events.Failed | None = None
        # An acceptor reads preamble and identity before it knows the table of its role.
        self._reader: Callable[[], Event | None] = self._read_preamble if state is None else self._read_turn

    @classmethod
    def accept(cls) -> "Connection":
        """Return an acceptor: a polled server or a listening Tentacle, depending on the peer's identity."""
        return cls({}, None, ())

    @classmethod
    def poll(cls, subscription: str, newline: Newline = "\n") -> "Connection":
        """Return a polling Tentacle."""
        opening = (lines.preamble(newline), lines.subscriber(subscription))
        return cls(roles.POLLING_TENTACLE, State.UNOPENED, opening)

    @classmethod
    def dial(cls, newline: Newline = "\n") -> "Connection":
        """Return a server that dials a listening Tentacle."""
        return cls(roles.SERVER_DIALLING, State.UNOPENED, (lines.preamble(newline), lines.CLIENT))

    @property
    def message_begun(self) -> bool:
        """Whether any byte of the awaited or failed message has arrived."""
        return self._document.begun or self._message is not None

    @property
    def over(self) -> bool:
        """Whether nothing more will be read or sent."""
        return self._over

    def receive(self, data: bytes) -> list[Event]:
        """Return the events of these bytes and of those that waited."""
        if self._over or self._eof:
            return []
        self._unread += data
        return self._read_all()

    def receive_eof(self) -> list[Event]:
        """Return the events of the end of the stream."""
        if self._over or self._eof:
            return []
        self._eof = True
        return self._read_all()

    def open(self) -> tuple[bytes, ...]:
        """Send preamble and identity of an initiator."""
        self._take(Step.OPENED)
        return self._opening

    def authorize(self) -> list[Event]:
        """Trust the peer of the `Preamble` and return the events of what has arrived since."""
        if self._reader != self._read_nothing:
            raise OutOfTurnError("only a peer that has sent its preamble is authorized")
        self._reader = self._read_identity
        return self._read_all()

    def welcome(self) -> tuple[bytes, ...]:
        """Send MX-SERVER, the acceptor's answer to an identity."""
        return self._send(Step.WELCOMED, lines.SERVER)

    def send_request(
        self, request: RequestMessage, payloads: Mapping[uuid.UUID, bytes] = _NO_PAYLOADS
    ) -> tuple[bytes, ...]:
        """Send a request with the payloads of its data streams."""
        return self._send_message(Step.SENT_REQUEST, request, request.params, payloads)

    def send_null(self) -> tuple[bytes, ...]:
        """Send the null message: there is no work for the polling Tentacle."""
        return self._send_message(Step.SENT_NULL, None, None, _NO_PAYLOADS)

    def send_response(
        self, response: ResponseMessage, payloads: Mapping[uuid.UUID, bytes] = _NO_PAYLOADS
    ) -> tuple[bytes, ...]:
        """Send the response to the last request."""
        return self._send_message(Step.SENT_RESPONSE, response, response.result, payloads)

    def send_next(self) -> tuple[bytes, ...]:
        """Send NEXT: the initiator is ready for another exchange."""
        return self._send(Step.SENT_NEXT, lines.NEXT)

    def send_proceed(self) -> tuple[bytes, ...]:
        """Send PROCEED: the acceptor is ready too."""
        return self._send(Step.SENT_PROCEED, lines.PROCEED)

    def send_end(self) -> tuple[bytes, ...]:
        """Send END: the initiator leaves and closes afterwards."""
        return self._send(Step.SENT_END, lines.END)

    def proceed(self) -> list[Event]:
        """Return the events of bytes that waited for their turn; call it after a send, as the peer may be ahead."""
        return [] if self._over else self._read_all()

    def _send_message(
        self, step: Step, message: Message | None, value: object, payloads: Mapping[uuid.UUID, bytes]
    ) -> tuple[bytes, ...]:
        parts = message_parts(encode_document(message), payloads, streams_in(value))
        return self._send(step, *parts)

    def _send(self, step: Step, *parts: bytes) -> tuple[bytes, ...]:
        self._take(step)
        return parts

    def _take(self, step: Step) -> None:
        after = None if self._over or self.state is None else self._table.get((self.state, step))
        if after is None:
            now = "over" if self._over else self.state.value if self.state else "without a role"
            raise OutOfTurnError(f"{step.value!r} does not follow: the conversation {now}")
        self.state = after
        self._over = after is State.OVER

    def _read_all(self) -> list[Event]:
        found: list[Event] = []
        try:
            while not self._over and (event := self._reader()) is not None:
                found.append(event)
            if not self._over and len(self._unread) > UNREAD_MAX:
                raise _BrokenError("out-of-turn", f"more than {UNREAD_MAX} bytes before their turn")
            if not self._over and self._eof and (ending := self._ending()) is not None:
                found.append(ending)
                self._over = True
        except _BrokenError as broken:
            found.append(broken.failed)
            self._over = True
        if self._over:
            self._unread = b""
        return found

    def _read_preamble(self) -> Event | None:
        whole, self._unread = self._preamble.feed(self._unread)
        head = bytes(self._preamble.head)
        if not whole and not (self._eof and len(head) > 1):
            return None
        if not head.startswith(b"MX"):
            self._over = True
            return events.NotHalibut(head=head)
        self._reader = self._read_nothing
        return events.Preamble(newline=self._preamble.newline)

    def _read_nothing(self) -> Event | None:
        return None

    def _read_identity(self) -> Event | None:
        identified = self._identity_line()
        if identified is None:
            return None
        if identified.name == "MX-SERVER":
            raise _BrokenError("identity-unexpected", "Unexpected remote identity")
        self._table = roles.LISTENING_TENTACLE if identified.name == "MX-CLIENT" else roles.SERVER_POLLED
        self.state = State.WELCOME_DUE
        self._reader = self._read_turn
        return identified

    def _identity_line(self) -> events.Identified | None:
        if self._read_out is not None:
            self._unread = b""
            return None
        if self._identity is None:
            self._identity = self._read_line()
            if self._identity is None:
                return None
            if not self._identity:
                text = "Unable to receive the remote identity; the identity line was empty."
                raise _BrokenError("identity-empty", text)
        blank = self._read_line()
        if blank is None:
            return None
        if blank:
            text = "Unable to receive the remote identity; the following line was not empty."
            raise _BrokenError("identity-unfinished", text)
        return self._identified(self._identity)

    def _identified(self, line: str) -> events.Identified | None:
        # The real reader ignores the version, which is the second token, and everything after the third.
        match [token for token in line.split(" ") if token]:
            case ["MX-CLIENT" | "MX-SERVER" as name, *_]:
                return events.Identified(name=name, subscription=None)
            case ["MX-SUBSCRIBER", _, subscription, *_]:
                if not lines.is_absolute_uri(subscription):
                    raise _BrokenError(
                        "subscription-invalid", f"a subscription is an absolute URI; got {subscription!r}"
                    )
                return events.Identified(name="MX-SUBSCRIBER", subscription=subscription)
            case ["MX-SUBSCRIBER", *_]:
                text = "Unable to process remote identity; 'MX-SUBSCRIBER' did not supply a subscription ID."
                self._reads_out("subscription-missing", text)
            case tokens:
                text = f"Unable to process remote identity; unknown identity type: '{''.join(tokens[:1])}'"
                self._reads_out("identity-unknown", text)
        return None

    def _reads_out(self, cause: Cause, text: str) -> None:
        # The real implementation reads everything such a peer sends for its log, and fails when the stream ends or times out.
        self._read_out = events.Failed(cause=cause, text=text)
        self._unread = b""

    def _read_turn(self) -> Event | None:
        match self.state:
            case State.AWAIT_SERVER:
                return self._read_server()
            case State.AWAIT_REQUEST | State.AWAIT_RESPONSE:
                return self._read_message()
            case State.AWAIT_NEXT | State.AWAIT_PROCEED:
                return self._read_control()
            case _:
                return None

    def _read_server(self) -> Event | None:
        identified = self._identity_line()
        if identified is None:
            return None
        if identified.name != "MX-SERVER":
            # The misspelling is in the real message.
            text = f"Expected the remote endpoint to identity as a server. Instead, it identified as: {identified.name}"
            raise _BrokenError("identity-unexpected", text)
        self._take(Step.SERVER)
        return identified

    def _read_control(self) -> Event | None:
        while (line := self._read_line()) is not None:
            if not line:
                continue
            if self.state is State.AWAIT_PROCEED:
                if line != "PROCEED":
                    raise _BrokenError("expected-proceed", f"Expected PROCEED, got: {line}")
                self._take(Step.GOT_PROCEED)
                return events.ProceedReceived()
            if line == "NEXT":
                self._take(Step.GOT_NEXT)
                return events.NextReceived()
            if line == "END":
                self._take(Step.GOT_END)
                return events.Ended(by="END")
            raise _BrokenError("expected-next-or-end", f"Expected NEXT or END, got: {line}")
        return None

    def _read_line(self) -> str | None:
        try:
            line, self._unread = self._line.feed(self._unread)
        except LineError as error:
            raise _BrokenError("line-too-long" if error.too_long else "bad-line", str(error)) from None
        if line is not None:
            self._line = LineReader()
        return line

    def _read_message(self) -> Event | None:
        try:
            if self._message is None:
                document, self._unread = self._document.feed(self._unread)
                if document is None:
                    return None
                self._document = DocumentReader()
                message = self._parsed(document)
                if message is None:
                    return self._null()
                carrier = message.params if isinstance(message, RequestMessage) else message.result
                self._message = message, StreamsReader(streams_in(carrier))
            message, reader = self._message
            streams, self._unread = reader.feed(self._unread)
        except BrokenMessageError as error:
            # These five bytes are no valid start of DEFLATE; it fails at the last byte of the line.
            if self.state is State.AWAIT_RESPONSE and self._document.head == lines.END:
                raise _BrokenError("end-for-response", "END came where a response should begin") from None
            raise _BrokenError(error.cause, str(error)) from None
        except DocumentError as error:
            raise _BrokenError("bad-document", str(error)) from None
        if streams is None:
            return None
        self._message = None
        if isinstance(message, RequestMessage):
            self._take(Step.GOT_REQUEST)
            return events.RequestReceived(request=message, streams=streams)
        self._take(Step.GOT_RESPONSE)
        return events.ResponseReceived(response=message, streams=streams)

    def _parsed(self, data: bytes) -> Message | None:
        document = decode_document(data)
        if document is None:
            return None
        return request_of(document) if self.state is State.AWAIT_REQUEST else response_of(document)

    def _null(self) -> Event:
        if self.state is State.AWAIT_RESPONSE:
            raise _BrokenError("wrong-message", "a null message is no response")
        self._take(Step.GOT_NULL)
        return events.NullReceived()

    def _ending(self) -> Event | None:
        if self._read_out is not None:
            return self._read_out
        if self._reader == self._read_nothing:
            return None  # The trust decision comes first; `authorize` calls this again.
        if self._reader == self._read_preamble and not self._preamble.head:
            return events.NothingSent()
        if self._between_exchanges():
            return events.Ended(by="eof")
        return events.Failed(cause="eof", text="Attempted to read past the end of the stream.")

    def _between_exchanges(self) -> bool:
        match self.state:
            case State.AWAIT_REQUEST:
                return not self.message_begun
            case State.AWAIT_NEXT:
                return not self._line.begun
            case State.TURN | State.IDLE | State.NEXT_DUE | State.PROCEED_DUE:
                return True
            case _:
                return False
