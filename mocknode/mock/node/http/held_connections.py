"""Connections that a node holds without reading: who still waits, and who has given up.

A transport that is not read does not learn that its peer went away, so the kernel is asked (TCP_INFO). Sockets that a node
accepts while it is a blackhole are held here too, without a byte read or written, TLS or not.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from mocknode.system.tcp import reset_on_close, tcp_state

if TYPE_CHECKING:
    from mocknode.mock.node.faults.effects import Cut
    from mocknode.mock.node.http.protocol import NodeProtocol
    from mocknode.mock.node.node import Node

# How late the end of a held connection may be noticed.
POLL_S: Final = 0.1

_ESTABLISHED: Final = 1
_CLOSE: Final = 7


class PeerWatch:
    """Watches connections that are not read, as long as there are any."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._spawn = spawn
        self._watched: set[NodeProtocol] = set()
        self._running = False

    def add(self, protocol: "NodeProtocol") -> None:
        """Watch a connection until it is lost or read again."""
        self._watched.add(protocol)
        if not self._running:
            self._running = True
            self._spawn(self._poll())

    async def _poll(self) -> None:
        while self._watched:
            await asyncio.sleep(POLL_S)
            for protocol in list(self._watched):
                if protocol.lost.done() or not protocol.flow.held:
                    self._watched.discard(protocol)
                elif (gone := peer_gone(protocol.tcp_state())) is not None:
                    self._watched.discard(protocol)
                    protocol.ended_by_peer(gone)
        self._running = False


def peer_gone(state: int | None) -> "Cut | None":
    """How the peer ended a connection in this TCP state, None while it is there."""
    if state is None or state == _ESTABLISHED:
        return None
    return "reset" if state == _CLOSE else "fin"


class HeldSockets:
    """Connections accepted while the node is a blackhole.

    Args:
        facts: Of the listener, for its connections' records.
    """

    def __init__(self, node: "Node", **facts: str) -> None:
        self._node, self._facts = node, facts
        self._held: dict[socket.socket, int] = {}
        self._polling = False

    def accept(self, listener: socket.socket) -> None:
        """Take every connection that waits at a listener."""
        with contextlib.suppress(OSError):
            while True:
                sock, peer = listener.accept()
                conn = self._held[sock] = self._node.next_connection()
                local = sock.getsockname()
                self._node.journal.add("connection", time.monotonic_ns(), phase="open", conn=conn, tls=None,
                                       peer=f"{peer[0]}:{peer[1]}", local=f"{local[0]}:{local[1]}", **self._facts)  # fmt: skip
                if not self._polling:
                    self._polling = True
                    self._node.spawn(self._poll())

    def __len__(self) -> int:
        return len(self._held)

    async def _poll(self) -> None:
        while self._held:
            await asyncio.sleep(POLL_S)
            for sock in list(self._held):
                if (gone := peer_gone(tcp_state(sock))) is not None:
                    self._close(sock, gone, "peer")
        self._polling = False

    def reset_all(self) -> None:
        """End every held connection with RST."""
        for sock in list(self._held):
            reset_on_close(sock)
            self._close(sock, "reset", "node")

    def _close(self, sock: socket.socket, how: str, by: str) -> None:
        conn = self._held.pop(sock)
        sock.close()
        self._node.journal.add("connection", time.monotonic_ns(), phase="close", conn=conn, by=by,
                               how="fin" if how == "fin" else "rst", bytes_in=0, requests=0, cause="held", **self._facts)  # fmt: skip
