"""The closed set of things that a fault can make a node do to one request.

A fault only names effects; `http/effects_runner.py` is the one place that carries them out. Every effect says at which point of
the request it acts:

    head ---- body byte n / share of the body ---- body-end ---- answer
    |         |                                    |             |
    parsed    n bytes read by the node             before the    instead of the answer's first byte,
                                                   app acts      after the app has acted

A share of a body whose length was not declared is its end.
"""

import enum
from dataclasses import dataclass
from typing import Literal

Cut = Literal["fin", "reset"]
"""How a connection is ended: an orderly half-close, or RST."""


class Place(enum.Enum):
    """Kinds of points in a request's life."""

    HEAD = "head"
    BYTES = "bytes"
    SHARE = "share"
    BODY_END = "body-end"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a request. `value` counts bytes for BYTES, is 0 to 1 for SHARE, and means nothing elsewhere."""

    place: Place
    value: float = 0

    def offset(self, length: int | None) -> int | None:
        """Return the number of body bytes after which this point is reached; None for a point that is no place in the body."""
        if self.place is Place.BYTES:
            return int(self.value)
        if self.place is Place.SHARE and length is not None:
            return int(self.value * length)
        return None

    @property
    def in_body(self) -> bool:
        """Whether only a request with a body can reach it."""
        return self.place in (Place.BYTES, Place.SHARE)


HEAD = Point(Place.HEAD)
BODY_END = Point(Place.BODY_END)
ANSWER = Point(Place.ANSWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Wait, then go on as usual."""

    at: Point
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Never go on: the connection stays open until the peer gives up or the fault ends (then RST)."""

    at: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """End the connection."""

    at: Point
    how: Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer with this instead of what the node would say.

    Attributes:
        body: None for the documented error document of that status.
        declared: Content-Length to declare, None for the true one.
        then: `keep` the connection as usual (what is left of the body is read), or end it.
    """

    at: Point
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    declared: int | None = None
    then: Literal["keep", "fin", "reset"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Write bytes that are no HTTP, then half-close."""

    at: Point
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReading:
    """Read nothing more, so that the sender's window closes; ends as `Hang` does."""

    at: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRate:
    """Read the body no faster than this."""

    at: Point
    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRate:
    """Write the answer, head included, no faster than this."""

    at: Point
    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAnswer:
    """Declare the whole answer, send a part of its body, end the connection.

    Attributes:
        body_bytes: Sent before the cut; None for half of the body.
        chunked: Send it chunked, without the last chunk, instead of with its Content-Length.
    """

    at: Point
    body_bytes: int | None
    how: Cut
    chunked: bool = False


Effect = Delay | Hang | Break | Reply | Raw | StopReading | ReadRate | WriteRate | CutAnswer

Plan = list[tuple[str | None, Effect]]
"""Effects for one request, each with the id of its fault; None where the node's own state asks for the effect."""
