"""A queue for TLS handshakes: one runs in each round of the event loop, and other work runs in between.

A handshake costs a millisecond of arithmetic. When three thousand Tentacles reconnect together, an event loop that ran all
handshakes as they arrive would answer nothing else, not even a load balancer's ping, for seconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class HandshakeQueue:
    """Handshakes that wait for their round of the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = False

    def put(self, action: Callable[[], None]) -> None:
        """Run `action` when every earlier one has run."""
        self._waiting.append(action)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._next)

    async def wait(self) -> None:
        """Return when every earlier action has run."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.put(lambda: None if mine.done() else mine.set_result(None))
        await mine

    def _next(self) -> None:
        # Scheduled first, so that the next action runs after whatever the loop finds ready by then.
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
            self._waiting.popleft()()
        else:
            self._running = False
