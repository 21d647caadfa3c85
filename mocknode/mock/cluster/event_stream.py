"""`GET /events`: changes in the cluster as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from mocknode.mock.cluster.events import Events

_SILENCE_S: Final = 15.0
"""After this long without an event a comment is sent, so that no proxy in between closes the stream as idle."""


async def stream(events: Events) -> AsyncIterator[str]:
    """Yield every event from now on, until the cluster ends or the client leaves."""
    with events.subscribe() as queue:
        # From this line on the client misses no event.
        yield ": connected\n\n"
        while True:
            try:
                event = await asyncio.wait_for(queue.get(), _SILENCE_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if event is None:
                return
            yield f"event: {event['event']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n"
