"""What waits for polling Tentacles: one queue a subscription, in memory, first in first out, of one node.

A request that was handed to a connection is never put back: when that connection ends, the call fails at once. No I/O: a
connection that has nothing to do waits here, and is handed the next request.
"""

import asyncio
import time
from collections import deque
from typing import Protocol

from mocknode.mock.halibut import RequestMessage, ResponseMessage
from mocknode.mock.halibut.lines import queue_key


class CallFailedError(Exception):
    """A call came to nothing; the text is the real server's where it has one.

    Attributes:
        connecting: Whether no byte of the request had left, so that it is safe to try again.
        explanation: What that means, for people; empty where the text says it.
    """

    def __init__(self, text: str, *, connecting: bool, explanation: str = "") -> None:
        super().__init__(text)
        self.connecting = connecting
        self.explanation = explanation


class Waiting(Protocol):
    """A connection that has nothing to do."""

    def deliver(self, call: "Call") -> None:
        """Send this request, and see to its end."""


class Call:
    """One request on its way, and the future of its response.

    Attributes:
        queued_ns, sent_ns, answered_ns: Monotonic; None while that has not happened.
        conn: Number of the connection that it was handed to.
    """

    def __init__(self, request: RequestMessage) -> None:
        self.request = request
        self.response: asyncio.Future[ResponseMessage] = asyncio.get_running_loop().create_future()
        self.queued_ns = time.monotonic_ns()
        self.sent_ns: int | None = None
        self.answered_ns: int | None = None
        self.conn: int | None = None

    def sent(self, conn: int) -> None:
        """A connection took it."""
        self.conn, self.sent_ns = conn, time.monotonic_ns()

    def answered(self, response: ResponseMessage) -> None:
        """Its response is there."""
        self.answered_ns = time.monotonic_ns()
        if not self.response.done():
            self.response.set_result(response)

    def failed(self, text: str, explanation: str) -> None:
        """Its connection ended first."""
        if not self.response.done():
            error = CallFailedError(text, connecting=self.sent_ns is None, explanation=explanation)
            self.response.set_exception(error)


class _Queue:
    __slots__ = ("calls", "waiting")

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()
        # In the order in which they came; a dict, so that one that ends is taken out at once.
        self.waiting: dict[Waiting, None] = {}


class Queues:
    """The queues of one node."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def put(self, subscription: str, call: Call) -> None:
        """Queue a call, or hand it to the connection that waits longest."""
        queue = self._of(subscription)
        if queue.waiting:
            connection = next(iter(queue.waiting))
            del queue.waiting[connection]
            connection.deliver(call)
        else:
            queue.calls.append(call)

    def take(self, subscription: str, connection: Waiting) -> Call | None:
        """The next call for a connection that has nothing to do; None makes it wait for `Waiting.deliver`."""
        queue = self._of(subscription)
        while queue.calls:
            call = queue.calls.popleft()
            if not call.response.done():
                return call
        queue.waiting[connection] = None
        return None

    def leave(self, subscription: str, connection: Waiting) -> None:
        """A connection waits no more."""
        key = queue_key(subscription)
        queue = self._queues.get(key)
        if queue is not None:
            queue.waiting.pop(connection, None)
            if not queue.waiting and not queue.calls:
                del self._queues[key]

    def withdraw(self, subscription: str, call: Call) -> None:
        """Nobody waits for this call any more."""
        queue = self._queues.get(queue_key(subscription))
        if queue is not None and call in queue.calls:
            queue.calls.remove(call)

    def _of(self, subscription: str) -> _Queue:
        return self._queues.setdefault(queue_key(subscription), _Queue())
