"""Handshakes take turns, one each time round the event loop, so that thousands at once let what stands be served in between.

A handshake costs a millisecond of arithmetic. When three thousand Tentacles come back together, an event loop that did them as
they arrive would answer nothing else, a load balancer's ping included, for seconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """A queue of what may wait its turn."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = False

    def take(self, action: Callable[[], None]) -> None:
        """Do this when it is its turn."""
        self._waiting.append(action)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._next)

    async def turn(self) -> None:
        """Return when it is our turn."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.take(lambda: None if mine.done() else mine.set_result(None))
        await mine

    def _next(self) -> None:
        # What is asked for next comes after what the loop finds ready by then.
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
            self._waiting.popleft()()
        else:
            self._running = False
