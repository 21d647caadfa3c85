"""What carries one request and its answer: the seam between HTTP's meaning and a version's bytes.

`Exchange` and the effects of faults work on a `Stream` alone. HTTP/1.1 has one for each request of a connection
(`protocol.py`); another version of HTTP brings its own class.
"""

import asyncio
from typing import Any, Protocol

from mocknode.mock.node.faults.effects import Cut
from mocknode.mock.node.http.answers import Headers


class Stream(Protocol):
    """One request on the wire, and the way back to its client.

    Attributes:
        lost: Resolved when the connection is gone.
        news: Set when there is more of the body, or when there will be none.
    """

    lost: asyncio.Future[None]
    news: asyncio.Event

    @property
    def disconnected(self) -> bool:
        """Whether nothing that is sent arrives any more."""

    @property
    def answer_begun(self) -> bool:
        """Whether a part of the answer has been sent."""

    @property
    def answer_sent(self) -> bool:
        """Whether the whole answer has been sent."""

    def ask_for_body(self) -> None:
        """Send 100 Continue, once, if the client waits for it."""

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Read on, unless something else holds reading back."""

    def pause_for(self, seconds: float) -> None:
        """Read nothing for this long."""

    def stop_reading(self) -> None:
        """Read nothing any more, and notice when the peer gives up."""

    def add_headers(self, headers: Headers) -> None:
        """Put headers on whatever is answered."""

    async def send(self, message: Any) -> None:
        """Send a part of the answer, an ASGI message."""

    async def send_misframed(self, status: int, headers: Headers, declared: int, body: bytes) -> None:
        """Send a whole answer whose declared length may be wrong, and announce the end of the connection."""

    async def send_raw(self, data: bytes) -> None:
        """Send bytes that are no HTTP, in place of an answer."""

    def pace_answer(self, bytes_per_s: float) -> None:
        """Send the rest of the answer no faster than this."""

    async def flushed(self) -> None:
        """Return when the kernel has everything that was sent."""

    def close(self) -> None:
        """Close the connection."""

    def break_off(self, how: Cut) -> None:
        """End the connection now, in this way."""

    def finished(self) -> None:
        """Forget this stream: its request is over."""
