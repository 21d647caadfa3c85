"""The server's side of one Halibut conversation at its port: trust, the polled queue, and a limit for each wait.

It is driven by decrypted bytes; its `Line` writes, sets timers and closes. The limits are those that Octopus recommends
(`HalibutTimeoutsAndLimits.cs`, `RecommendedValues`). The real server does not read while it waits for work, so it notices only
at the next message that a peer has left; this one does the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mocknode.mock.halibut import Connection, ResponseMessage, ServerError, State, events
from mocknode.mock.tentacle import endings
from mocknode.mock.tentacle.endings import Ending
from mocknode.mock.tentacle.page import PAGE
from mocknode.mock.tentacle.queues import Call, Queues
from mocknode.mock.tentacle.records import error_of

_NO_SERVICES: Final = "Service not found: {}"
_HAD_LEFT: Final = (
    "{} before the request was handed to that connection. A server that waits for work does not read, so it notices only with its "
    "next message, after {:g} s at the latest; until then a request may be handed to the dead connection and is lost. The next call "
    "uses a live connection, if the Tentacle is back"
)
_SAID_END: Final = "the Tentacle had left (END)"
_SAID_NOTHING: Final = "the Tentacle had left, or a balancer had cut it off,"
_CUT: Final = (
    "the connection ended after the request was handed to it and before any byte of a response: the Tentacle stopped, or a balancer "
    "cut it off"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a server waits, in seconds.

    Attributes:
        opening_s: Time for a peer to identify itself, TLS included. The real server allows as much for each read, so a peer
            that sends one byte a minute could stay for ever.
        null_s: Time without work until the null message is sent.
        response_s: Time for the first byte of a response, which is the longest a call may run.
        read_s: Time for any further read of a message.
        next_s: Time for NEXT.
    """

    opening_s: float = 60.0
    null_s: float = 30.0
    response_s: float = 300.0
    read_s: float = 60.0
    next_s: float = 60.0


class Line(Protocol):
    """The connection, as far as its conversation needs it."""

    conn: int
    peer: str

    def write(self, parts: Iterable[bytes]) -> None:
        """Send each part as a TLS record of its own."""

    def arm(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` after this time; it replaces the action set before."""

    def end(self, ending: Ending, *, by_peer: bool = False) -> None:
        """Close."""

    def judge(self) -> None:
        """Find out whether the peer is trusted, then call `Serving.admit` or `Line.end`."""

    def identified(self, identity: str, subscription: str | None) -> None:
        """Note the identity that the peer sent."""

    def note(self, kind: str, **facts: Any) -> None:
        """Write a journal record."""


class Serving:
    """The server's side of one conversation.

    Attributes:
        exchanges: Number of finished exchanges, null messages included.
        subscription: The polled queue, as the peer sent it.
    """

    __slots__ = (
        "_call", "_connection", "_eof", "_explanation", "_left_before", "_limits", "_line", "_queues", "exchanges", "retiring",
        "subscription",
    )  # fmt: skip

    def __init__(self, line: Line, queues: Queues, limits: Limits) -> None:
        self._line, self._queues, self._limits = line, queues, limits
        self._connection = Connection.accept()
        self._call: Call | None = None
        self._eof = False
        self._explanation = ""
        self._left_before = False
        self.retiring = False
        self.exchanges = 0
        self.subscription: str | None = None

    @property
    def idle(self) -> bool:
        """Whether the conversation waits for work."""
        return self._connection.state is State.TURN

    def received(self, plain: bytes) -> None:
        """Handle decrypted bytes."""
        if self._connection.state is State.AWAIT_RESPONSE:
            self._line.arm(self._limits.read_s, self._timed_out)
        self._handle(self._connection.receive(plain))

    def eof(self) -> bool:
        """Handle the end of the peer's bytes; return True while the connection continues, as one that is not being read does."""
        self._eof = True
        if self.idle:
            return True
        self._handle(self._connection.receive_eof())
        return not self._connection.over

    def admit(self) -> None:
        """Continue with a trusted peer."""
        self._handle(self._connection.authorize())

    def retire(self) -> None:
        """Close as soon as no call is in progress."""
        self.retiring = True
        if self._call is None:
            self._line.end(Ending(cause="node-refused"))

    def over(self, text: str) -> None:
        """Handle the loss of the connection; `text` is the error for a caller that waits for an answer."""
        if self.subscription is not None:
            self._queues.leave(self.subscription, self)
        if self._call is not None:
            self._call.failed(text, self._explanation)
            self._note_call(text)

    def deliver(self, call: Call) -> None:
        """Send this request; called by `Queues` while the conversation waits for work."""
        self._call = call
        call.sent(self._line.conn)
        self._left_before = self._eof
        self._line.arm(self._limits.response_s, self._timed_out)
        self._line.write(self._connection.send_request(call.request))
        self._read_on()

    def _handle(self, found: Iterable[events.Event]) -> None:
        for event in found:
            match event:
                case events.Preamble():
                    self._line.judge()
                case events.NothingSent():
                    self._line.end(Ending(cause="nothing-sent", log=endings.EMPTY_REQUEST), by_peer=True)
                case events.NotHalibut():
                    self._line.write(PAGE)
                    self._line.end(Ending(cause="page", log=endings.BROWSER))
                case events.Identified():
                    self._welcome(event)
                case events.NextReceived():
                    self.exchanges += 1
                    self._line.write(self._connection.send_proceed())
                    self._turn()
                case events.ResponseReceived():
                    self._answered(event.response)
                case events.RequestReceived():
                    self._refuse(event)
                case events.Ended():
                    cause = endings.Ending(cause="end" if event.by == "END" else "eof")
                    self._line.end(cause, by_peer=event.by == "eof")
                case events.Failed():
                    self._explain(event)
                    self._line.end(endings.broken(event, self._line.peer), by_peer=event.cause == "eof")

    def _welcome(self, identified: events.Identified) -> None:
        self.subscription = identified.subscription
        self._line.identified(identified.name, identified.subscription)
        self._line.write(self._connection.welcome())
        if identified.subscription is not None:
            self._turn()
        else:
            self._line.arm(self._limits.response_s, self._timed_out)
            self._handle(self._connection.proceed())

    def _turn(self) -> None:
        if self.subscription is None:
            # The peer is a server that dialled this port as if it were a listening Tentacle.
            self._line.arm(self._limits.next_s, self._timed_out)
            self._handle(self._connection.proceed())
            return
        if self.retiring:
            self._line.end(Ending(cause="node-refused"))
            return
        self._line.arm(self._limits.null_s, self._send_null)
        call = self._queues.take(self.subscription, self)
        if call is not None:
            self.deliver(call)

    def _send_null(self) -> None:
        assert self.subscription is not None
        self._queues.leave(self.subscription, self)
        self._line.arm(self._limits.next_s, self._timed_out)
        self._line.write(self._connection.send_null())
        self._read_on()

    def _read_on(self) -> None:
        """Handle what the peer sent ahead of its turn, its end included."""
        self._handle(self._connection.proceed())
        if self._eof:
            self._handle(self._connection.receive_eof())

    def _explain(self, failed: events.Failed) -> None:
        """Note what the real server's error means here, for a caller that waits for an answer."""
        if failed.cause == "end-for-response":
            self._explanation = _HAD_LEFT.format(_SAID_END, self._limits.null_s)
        elif failed.cause == "eof" and not self._connection.message_begun:
            self._explanation = _HAD_LEFT.format(_SAID_NOTHING, self._limits.null_s) if self._left_before else _CUT

    def _answered(self, response: ResponseMessage) -> None:
        call, self._call = self._call, None
        assert call is not None
        call.answered(response)
        self._note_call(error_of(response), call)
        self._line.arm(self._limits.next_s, self._timed_out)

    def _refuse(self, event: events.RequestReceived) -> None:
        text = _NO_SERVICES.format(event.request.service)
        answer = ResponseMessage(id=event.request.id, error=ServerError(message=text, details=text))
        self._line.write(self._connection.send_response(answer))
        self._line.arm(self._limits.next_s, self._timed_out)
        self._handle(self._connection.proceed())

    def _timed_out(self) -> None:
        if self._connection.state is State.AWAIT_NEXT:
            self._line.end(Ending(cause="timeout", log=endings.NO_MESSAGES))
        else:
            waited = self._connection.state.value if self._connection.state else "awaits an identity"
            self._line.end(Ending(cause="timeout", log=endings.socket_error(self._line.peer), detail=waited))

    def _note_call(self, error: str | None, call: Call | None = None) -> None:
        call = call or self._call
        assert call is not None
        request = call.request
        self._line.note(
            "rpc", conn=call.conn, subscription=self.subscription, service=request.service, method=request.method,
            queued_ns=call.queued_ns, sent_ns=call.sent_ns, answered_ns=call.answered_ns, error=error, by="polling",
        )  # fmt: skip
