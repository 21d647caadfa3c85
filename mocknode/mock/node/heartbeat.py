"""A node's row in the shared node table: written every 60 s as the real server does, and when its condition changes."""

import asyncio
import logging
import time
from typing import Final

from mocknode.mock.data.store import NodeRow, StoreError
from mocknode.mock.node.http.ping import PingState
from mocknode.mock.node.lifecycle import Form, State
from mocknode.mock.node.services import Services

_log: Final = logging.getLogger(__name__)


class Heartbeat:
    """Checks one node in.

    Attributes:
        last_seen_s: When it last checked in, in seconds since the epoch.
        task_cap: Tasks that the node runs at once.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self.last_seen_s = time.time()
        self.task_cap = services.config.task_cap

    def row(self, *, offline: bool = False) -> NodeRow:
        """Return the row as it is now."""
        services = self._services
        # Refusing connections is what a clean stop looks like, and a server that stops cleanly flags itself offline.
        stopped = offline or services.condition.form is Form.REFUSE
        return NodeRow(
            name=services.config.name,
            version=services.config.version,
            last_seen=self.last_seen_s,
            draining=services.draining,
            offline=stopped,
            max_concurrent_tasks=self.task_cap,
        )

    def ping_state(self) -> PingState:
        """Return what a ping says now."""
        return (self._services.condition.state is State.DRAINING, self.last_seen_s, self.task_cap)

    def beat(self) -> None:
        """Check in, in the background."""
        self.last_seen_s = time.time()
        self._services.spawn(self._write(self.row()))

    async def _write(self, row: NodeRow) -> None:
        services = self._services
        try:
            await services.stored(services.store.heartbeat, row)
        except StoreError as exc:
            _log.warning("%s could not check in: %s", services.config.name, exc)

    async def check_in(self, *, offline: bool = False) -> None:
        """Check in, and return when it is done.

        Raises:
            StoreError: the store cannot be used.
        """
        await self._services.stored(self._services.store.heartbeat, self.row(offline=offline))

    async def run(self) -> None:
        """Check in for ever."""
        while True:
            await asyncio.sleep(self._services.config.heartbeat_s)
            self.beat()


def is_offline(row: NodeRow, *, now_s: float, after_s: float) -> bool:
    """Return whether the cluster considers a node offline: it said so, or was not seen for so long."""
    return row.offline or now_s - row.last_seen > after_s
