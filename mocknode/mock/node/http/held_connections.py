"""Connections that a node holds without reading: notices which of their peers have given up.

A transport that is not read does not learn that its peer went away, so the kernel is asked (TCP_INFO).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from mocknode.mock.node.faults.effects import Cut

# How late the end of a held connection may be noticed.
POLL_S: Final = 0.1

_ESTABLISHED: Final = 1
_CLOSE: Final = 7


class HeldConnection(Protocol):
    """A connection that is not read.

    Attributes:
        lost: Resolved when the connection is gone.
    """

    lost: asyncio.Future[None]

    @property
    def held(self) -> bool:
        """Whether reading is still held back."""

    def tcp_state(self) -> int | None:
        """Return the kernel's state of the connection, None where the platform does not tell."""

    def ended_by_peer(self, how: Cut) -> None:
        """End it: the peer has gone."""


class PeerWatch:
    """Watches connections that are not read, as long as there are any.

    Args:
        spawn: Runs something beside the requests.
    """

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._spawn = spawn
        self._watched: set[HeldConnection] = set()
        self._running = False

    def add(self, connection: HeldConnection) -> None:
        """Watch a connection until it is lost or read again."""
        self._watched.add(connection)
        if not self._running:
            self._running = True
            self._spawn(self._poll())

    async def _poll(self) -> None:
        while self._watched:
            await asyncio.sleep(POLL_S)
            for connection in list(self._watched):
                if connection.lost.done() or not connection.held:
                    self._watched.discard(connection)
                elif (gone := peer_gone(connection.tcp_state())) is not None:
                    self._watched.discard(connection)
                    connection.ended_by_peer(gone)
        self._running = False


def peer_gone(state: int | None) -> Cut | None:
    """Return how the peer ended a connection in this TCP state, None while it is there."""
    if state is None or state == _ESTABLISHED:
        return None
    return "reset" if state == _CLOSE else "fin"
