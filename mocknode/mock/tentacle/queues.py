"""Requests of one node that wait for polling Tentacles: one first-in, first-out queue in memory for each subscription.

A request that was given to a connection is never queued again: when that connection ends, the call fails immediately. There is no
I/O here: an idle connection waits in the queue and is given the next request.
"""

import asyncio
import time
from collections import deque
from typing import Protocol

from mocknode.mock.halibut import RequestMessage, ResponseMessage
from mocknode.mock.halibut.lines import queue_key


class CallFailedError(Exception):
    """A call failed; the text is the real server's where it has one.

    Attributes:
        connecting: Whether no byte of the request had left, so that a retry is safe.
        explanation: Meaning of the error for people; empty where the text says it.
    """

    def __init__(self, text: str, *, connecting: bool, explanation: str = "") -> None:
        super().__init__(text)
        self.connecting = connecting
        self.explanation = explanation


class Waiting(Protocol):
    """An idle connection."""

    def deliver(self, call: "Call") -> None:
        """Send this request and complete the call."""


class Call:
    """A request, and the future of its response.

    Attributes:
        queued_ns, sent_ns, answered_ns: Monotonic times; None until that happens.
        conn: Number of the connection that sent it.
    """

    def __init__(self, request: RequestMessage) -> None:
        self.request = request
        self.response: asyncio.Future[ResponseMessage] = asyncio.get_running_loop().create_future()
        self.queued_ns = time.monotonic_ns()
        self.sent_ns: int | None = None
        self.answered_ns: int | None = None
        self.conn: int | None = None

    def sent(self, conn: int) -> None:
        """Note that a connection sends the request."""
        self.conn, self.sent_ns = conn, time.monotonic_ns()

    def answered(self, response: ResponseMessage) -> None:
        """Note the response."""
        self.answered_ns = time.monotonic_ns()
        if not self.response.done():
            self.response.set_result(response)

    def failed(self, text: str, explanation: str) -> None:
        """Fail the call, as its connection ended before the response."""
        if not self.response.done():
            error = CallFailedError(text, connecting=self.sent_ns is None, explanation=explanation)
            self.response.set_exception(error)


class _Queue:
    __slots__ = ("calls", "waiting")

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()
        # In order of arrival; a dict, so that a connection that ends is removed without a search.
        self.waiting: dict[Waiting, None] = {}


class Queues:
    """The queues of one node."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def put(self, subscription: str, call: Call) -> None:
        """Queue a call, or give it to the connection that has waited longest."""
        queue = self._of(subscription)
        if queue.waiting:
            connection = next(iter(queue.waiting))
            del queue.waiting[connection]
            connection.deliver(call)
        else:
            queue.calls.append(call)

    def take(self, subscription: str, connection: Waiting) -> Call | None:
        """Return the next call for an idle connection; None makes it wait for `Waiting.deliver`."""
        queue = self._of(subscription)
        while queue.calls:
            call = queue.calls.popleft()
            if not call.response.done():
                return call
        queue.waiting[connection] = None
        return None

    def leave(self, subscription: str, connection: Waiting) -> None:
        """Remove a connection that no longer waits."""
        key = queue_key(subscription)
        queue = self._queues.get(key)
        if queue is not None:
            queue.waiting.pop(connection, None)
            if not queue.waiting and not queue.calls:
                del self._queues[key]

    def withdraw(self, subscription: str, call: Call) -> None:
        """Remove a call whose caller has given up."""
        queue = self._queues.get(queue_key(subscription))
        if queue is not None and call in queue.calls:
            queue.calls.remove(call)

    def _of(self, subscription: str) -> _Queue:
        return self._queues.setdefault(queue_key(subscription), _Queue())
