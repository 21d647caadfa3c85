"""Events of the cluster for current listeners; nothing is kept, as the journal is the record."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

BACKLOG: Final = 1000
"""Events that wait for a slow listener; beyond this number it loses the newest ones."""


class Events:
    """The publisher of events, with any number of listeners."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[dict[str, Any] | None]] = set()

    def publish(self, event: dict[str, Any]) -> None:
        """Hand an event to every listener, stamped with the monotonic clock."""
        stamped = {**event, "t_ns": time.monotonic_ns()}
        for queue in self._queues:
            # The queue is bounded, so that a listener that reads nothing does not use up memory.
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(stamped)

    def close(self) -> None:
        """Tell every listener that no more events will come."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[dict[str, Any] | None]]:
        """Yield a queue that receives every event from now on, and None at the end."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(BACKLOG)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
