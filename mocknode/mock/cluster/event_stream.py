"""`GET /events`: what happens in the cluster, as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from mocknode.mock.cluster.events import Events

_SILENCE_S: Final = 15.0
"""A comment is sent after so much silence, so that no proxy between takes the stream for dead."""


async def stream(events: Events) -> AsyncIterator[str]:
    """Every event from now on, until the cluster ends or the client goes."""
    with events.subscribe() as queue:
        # Tells the client that it misses nothing from here on.
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
