"""What the HTTP side needs of its node. Everything in this package knows the node by this interface alone."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol

from mocknode.mock.node.faults.effects import Plan
from mocknode.mock.node.faults.selection import Upload
from mocknode.mock.node.http.ping import PingState
from mocknode.mock.node.http.request_facts import RequestFacts


class Site(Protocol):
    """The node, as its HTTP side sees it."""

    @property
    def silent(self) -> bool:
        """Whether this node reads and writes nothing."""

    @property
    def watches_uploads(self) -> bool:
        """Whether a trigger waits for the progress of an upload."""

    @property
    def pings_are_plain(self) -> bool:
        """Whether a ping only has to be answered: no fault, no trigger and no setting concerns it."""

    def ping_state(self) -> PingState:
        """Return what a ping says now."""

    def next_connection(self) -> int:
        """Return the number of a new connection, from 1."""

    def next_request(self) -> int:
        """Return the number of a new request, from 1."""

    def note(self, kind: str, t_ns: int, **facts: Any) -> None:
        """Write a journal record."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the requests, until the node ends."""

    def admit(self, facts: RequestFacts) -> Plan:
        """Count a request whose head arrived, and return what to do to it."""

    def upload_moved(self, upload: Upload) -> None:
        """Let the triggers act that wait for this upload to have come this far."""

    def hit(self, fault: str, facts: RequestFacts) -> None:
        """Record that a fault acts on a request."""

    def hold(self, fault: str | None) -> AbstractContextManager[asyncio.Future[None]]:
        """Give a future that the release of this fault resolves."""

    def dismiss(self, facts: RequestFacts) -> None:
        """Count a request that is over."""

    def count_ping(self) -> int:
        """Count a plain ping, and return its number as a request."""
