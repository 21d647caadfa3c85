"""The transition tables of the protocol, one for each role.

NEXT always comes from the initiator of the TCP connection and PROCEED from its acceptor; requests always come from the
server. A polling Tentacle initiates, a listening one accepts, hence four roles.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """State of a conversation. The first six wait for the peer; the others wait for something that we send."""

    AWAIT_SERVER = "awaits the identity of the server"
    AWAIT_REQUEST = "awaits a request"
    AWAIT_RESPONSE = "awaits a response"
    AWAIT_NEXT = "awaits NEXT or END"
    AWAIT_PROCEED = "awaits PROCEED"
    READING_OUT = "reads to the end of the stream"
    UNOPENED = "has not opened"
    WELCOME_DUE = "owes its identity"
    TURN = "may send a request"
    EXECUTING = "owes a response"
    NEXT_DUE = "owes NEXT"
    PROCEED_DUE = "owes PROCEED"
    IDLE = "is between two exchanges"
    OVER = "is over"


class Step(Enum):
    """A step that changes the state of a conversation."""

    OPENED = "sent preamble and identity"
    WELCOMED = "sent MX-SERVER"
    SERVER = "got MX-SERVER"
    SENT_REQUEST = "sent a request"
    SENT_NULL = "sent the null message"
    SENT_RESPONSE = "sent a response"
    SENT_NEXT = "sent NEXT"
    SENT_PROCEED = "sent PROCEED"
    SENT_END = "sent END"
    GOT_REQUEST = "got a request"
    GOT_NULL = "got the null message"
    GOT_RESPONSE = "got a response"
    GOT_NEXT = "got NEXT"
    GOT_PROCEED = "got PROCEED"
    GOT_END = "got END"


Table = dict[tuple[State, Step], State]

POLLING_TENTACLE: Final[Table] = {
    (State.UNOPENED, Step.OPENED): State.AWAIT_SERVER,
    (State.AWAIT_SERVER, Step.SERVER): State.AWAIT_REQUEST,
    (State.AWAIT_REQUEST, Step.GOT_REQUEST): State.EXECUTING,
    (State.AWAIT_REQUEST, Step.GOT_NULL): State.NEXT_DUE,
    (State.EXECUTING, Step.SENT_RESPONSE): State.NEXT_DUE,
    (State.NEXT_DUE, Step.SENT_NEXT): State.AWAIT_PROCEED,
    (State.AWAIT_PROCEED, Step.GOT_PROCEED): State.AWAIT_REQUEST,
    # A Tentacle may leave while it waits; the server reads END after its next message.
    (State.AWAIT_REQUEST, Step.SENT_END): State.OVER,
    (State.NEXT_DUE, Step.SENT_END): State.OVER,
    (State.AWAIT_PROCEED, Step.SENT_END): State.OVER,
}

SERVER_POLLED: Final[Table] = {
    (State.WELCOME_DUE, Step.WELCOMED): State.TURN,
    (State.TURN, Step.SENT_REQUEST): State.AWAIT_RESPONSE,
    (State.TURN, Step.SENT_NULL): State.AWAIT_NEXT,
    (State.AWAIT_RESPONSE, Step.GOT_RESPONSE): State.AWAIT_NEXT,
    (State.AWAIT_NEXT, Step.GOT_NEXT): State.PROCEED_DUE,
    (State.AWAIT_NEXT, Step.GOT_END): State.OVER,
    (State.PROCEED_DUE, Step.SENT_PROCEED): State.TURN,
}

LISTENING_TENTACLE: Final[Table] = {
    (State.WELCOME_DUE, Step.WELCOMED): State.AWAIT_REQUEST,
    (State.AWAIT_REQUEST, Step.GOT_REQUEST): State.EXECUTING,
    (State.AWAIT_REQUEST, Step.GOT_NULL): State.OVER,
    (State.EXECUTING, Step.SENT_RESPONSE): State.AWAIT_NEXT,
    (State.AWAIT_NEXT, Step.GOT_NEXT): State.PROCEED_DUE,
    (State.AWAIT_NEXT, Step.GOT_END): State.OVER,
    (State.PROCEED_DUE, Step.SENT_PROCEED): State.AWAIT_REQUEST,
}

SERVER_DIALLING: Final[Table] = {
    (State.UNOPENED, Step.OPENED): State.AWAIT_SERVER,
    (State.AWAIT_SERVER, Step.SERVER): State.TURN,
    (State.TURN, Step.SENT_REQUEST): State.AWAIT_RESPONSE,
    (State.AWAIT_RESPONSE, Step.GOT_RESPONSE): State.IDLE,
    (State.IDLE, Step.SENT_NEXT): State.AWAIT_PROCEED,
    (State.AWAIT_PROCEED, Step.GOT_PROCEED): State.TURN,
    (State.TURN, Step.SENT_END): State.OVER,
    (State.IDLE, Step.SENT_END): State.OVER,
    (State.AWAIT_PROCEED, Step.SENT_END): State.OVER,
}
