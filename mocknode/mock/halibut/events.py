"""What a connection learnt from the bytes that it was given."""

from dataclasses import dataclass
from typing import Literal

from mocknode.mock.halibut.messages import RequestMessage, ResponseMessage

IdentityName = Literal["MX-CLIENT", "MX-SUBSCRIBER", "MX-SERVER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preamble:
    """A Halibut peer greeted. Nothing more is read until `Connection.authorize`, as the real acceptor decides on trust here.

    Attributes:
        newline: `\\r\\n` from Windows, `\\n` from Linux and macOS.
    """

    newline: Literal["\r\n", "\n"]


@dataclass(frozen=True, slots=True)
class NothingSent:
    """The peer left without a byte: a TLS health check, or an initiator that disliked our certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHalibut:
    """The first bytes are no preamble. The real acceptor answers any such peer with its friendly page.

    Attributes:
        head: What was sent up to the blank line, at most `limits.PREAMBLE_MAX` bytes.
    """

    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """The peer said who it is.

    Attributes:
        subscription: Address of the queue that a subscriber polls, as sent: `poll://abc/`.
    """

    name: IdentityName
    subscription: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStream:
    """A data stream that arrived whole. Its bytes are counted and hashed, never kept.

    Attributes:
        id: The sender's GUID.
        length: Bytes.
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
    """No work: what a server sends a polling Tentacle after 30 s without any."""


@dataclass(frozen=True, slots=True)
class NextReceived:
    """The initiator is ready for the next exchange; answer with `Connection.send_proceed`."""


@dataclass(frozen=True, slots=True)
class ProceedReceived:
    """The acceptor is ready too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The conversation is over between two exchanges. A stream that ends in the middle of one is `Failed`.

    Attributes:
        by: `eof` when the stream ended without END, as it does when a server restarts or a balancer cuts.
    """

    by: Literal["END", "eof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The peer broke the protocol; nothing more is read. Always the last event.

    Attributes:
        cause: Machine-readable: one of `Cause`.
        text: In the words of the real implementation where it has any.
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
