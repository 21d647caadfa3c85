"""One exchange on a stream of an HTTP/2 connection: turns h2's events into notes. Does no I/O."""

import asyncio
from collections.abc import Iterable
from typing import Any

import h2.events

from mocknode.judge.record.history import End
from mocknode.judge.traffic.observing import Notes
from mocknode.judge.traffic.pace import BreakOff


class Stream:
    """An exchange that is under way.

    Attributes:
        go: Set by `100 Continue`.
        done: Set once the exchange is over; the notes say how.
        sender: Sends the body; a final response cancels it.
        sent_all: Whether our side of the stream is closed.
    """

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.go = asyncio.Event()
        self.done = asyncio.Event()
        self.sender: asyncio.Future[BreakOff | None] | None = None
        self.sent_all = notes.spec.body is None

    def end(self, end: End, error: str | None = None) -> None:
        """End the exchange; does nothing when it has ended already."""
        self.notes.ended(end, error)
        self.done.set()

    def take(self, event: h2.events.Event) -> None:
        """Process an event of this stream."""
        if isinstance(event, h2.events.ResponseReceived):
            self.notes.answered(*_split(event.headers or ()))
            if self.sender is not None:
                self.sender.cancel()
        elif isinstance(event, h2.events.InformationalResponseReceived):
            status, _ = _split(event.headers or ())
            self.notes.interim.append(status)
            if status == 100:
                self.go.set()
        elif isinstance(event, h2.events.DataReceived):
            self.notes.received(bytes(event.data or b""))
        elif isinstance(event, h2.events.StreamEnded):
            self.notes.complete()
            self.done.set()
        elif isinstance(event, h2.events.StreamReset):
            self.end("reset", f"the stream was reset, error code {event.error_code}")


def _split(headers: Iterable[tuple[Any, Any]]) -> tuple[int, tuple[tuple[str, str], ...]]:
    fields = [(str(name), str(value)) for name, value in headers]
    status = next((int(value) for name, value in fields if name == ":status"), 0)
    return status, tuple(item for item in fields if not item[0].startswith(":"))
