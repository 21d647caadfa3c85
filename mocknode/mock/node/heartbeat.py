"""A node's row in the shared node table: written every 60 s as the real server does, and when its condition changes."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from mocknode.mock.data.store import NodeRow, StoreError
from mocknode.mock.node.lifecycle import Form

if TYPE_CHECKING:
    from mocknode.mock.node.node import Node

_log: Final = logging.getLogger(__name__)


class Heartbeat:
    """Checks one node in. `last_seen_s` is what its ping says; seconds since the epoch."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.last_seen_s = time.time()
        self.task_cap = node.config.task_cap

    def row(self, *, offline: bool = False) -> NodeRow:
        """The row as it is now."""
        node = self._node
        # Refusing connections is what a clean stop looks like, and a server that stops cleanly flags itself offline.
        stopped = offline or node.condition.form is Form.REFUSE
        return NodeRow(
            name=node.config.name,
            version=node.config.version,
            last_seen=self.last_seen_s,
            draining=node.draining,
            offline=stopped,
            max_concurrent_tasks=self.task_cap,
        )

    def beat(self) -> None:
        """Check in, in the background."""
        self.last_seen_s = time.time()
        row = self.row()
        self._node.spawn(self._write(row))

    async def _write(self, row: NodeRow) -> None:
        node = self._node
        try:
            await asyncio.get_running_loop().run_in_executor(node.store_thread, node.store.heartbeat, row)
        except StoreError as exc:
            _log.warning("%s could not check in: %s", node.config.name, exc)

    async def first(self) -> None:
        """Check in before anybody can ask.

        Raises:
            StoreError: the store cannot be used.
        """
        await asyncio.get_running_loop().run_in_executor(
            self._node.store_thread, self._node.store.heartbeat, self.row()
        )

    async def run(self) -> None:
        """Check in for ever."""
        while True:
            await asyncio.sleep(self._node.config.heartbeat_s)
            self.beat()
