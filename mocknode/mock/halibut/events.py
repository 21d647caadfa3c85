"""Events that a connection derives from the bytes it received."""

from dataclasses import dataclass
from typing import Literal

from mocknode.mock.halibut.messages import RequestMessage, ResponseMessage

IdentityName = Literal["MX-CLIENT", "MX-SUBSCRIBER", "MX-SERVER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preamble:
    """The peer sent its preamble. The connection reads on after `Connection.authorize`: the real acceptor decides on trust at this point.

    Attributes:
        newline: `\\r\\n` from Windows, `\\n` from Linux and macOS.
    """

    newline: Literal["\r\n", "\n"]


@dataclass(frozen=True, slots=True)
class NothingSent:
    """The peer left without sending a byte: a TLS health check, or an initiator that rejected our certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHalibut:
    """The first bytes are no preamble. The real acceptor answers every such peer with a web page.

    Attributes:
        head: The bytes up to the blank line, at most `limits.PREAMBLE_MAX`.
    """

    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """The peer sent its identity.

    Attributes:
        subscription: Address of the queue that a subscriber polls, as it was sent: `poll://abc/`.
    """

    name: IdentityName
    subscription: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStream:
    """A data stream that arrived complete. Its bytes are counted and hashed, not kept.

    Attributes:
        id: The sender's GUID.
        length: Number of bytes.
        sha1: Lower-case hex digest.
    """

    id: str
    length: int
    sha1: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """A request with all its data streams."""

    request: RequestMessage
    streams: tuple[DataStream, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseReceived:
    """A response with all its data streams."""

    response: ResponseMessage
    streams: tuple[DataStream, ...]


@dataclass(frozen=True, slots=True)
class NullReceived:
    """The null message, which a server sends a polling Tentacle after 30 s without work."""


@dataclass(frozen=True, slots=True)
class NextReceived:
    """The initiator is ready for the next exchange; answer with `Connection.send_proceed`."""


@dataclass(frozen=True, slots=True)
class ProceedReceived:
    """The acceptor is ready for the next exchange too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The conversation ended between two exchanges. A stream that ends in the middle of one is `Failed`.

    Attributes:
        by: `eof` when the stream ended without END, as when a server restarts or a balancer cuts the connection.
    """

    by: Literal["END", "eof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The peer broke the protocol; nothing more is read. This is always the last event.

    Attributes:
        cause: Machine-readable cause.
        text: Message of the real implementation, where it has one.
    """

    cause: "Cause"
    text: str


Cause = Literal[
    "eof",
    "line-too-long",
    "bad-line",
    "identity-empty",
    "identity-unfinished",
    "identity-unknown",
    "identity-unexpected",
    "subscription-missing",
    "subscription-invalid",
    "expected-proceed",
    "expected-next-or-end",
    "bad-deflate",
    "document-too-large",
    "bad-document",
    "wrong-message",
    "end-for-response",
    "unexpected-stream",
    "stream-size-mismatch",
    "too-many-streams",
    "out-of-turn",
]

Event = (
    Preamble
    | NothingSent
    | NotHalibut
    | Identified
    | RequestReceived
    | ResponseReceived
    | NullReceived
    | NextReceived
    | ProceedReceived
    | Ended
    | Failed
)
