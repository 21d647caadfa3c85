"""The tasks of one node: looked for every 20 s as the real server does, run by waiting, finished while draining.

A node that is stopped, or was, runs nothing: what it ran stays behind until the others see that it is gone for an hour, or until
it comes back and cancels it itself.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mocknode.mock.data.store import NodeRow, StoreError
from mocknode.mock.data.tasks import Task, Tasks
from mocknode.mock.node.lifecycle import Form, State
from mocknode.mock.node.rest.documents.nodes import is_offline

if TYPE_CHECKING:
    from mocknode.mock.node.node import Node

_Result = TypeVar("_Result")
_log: Final = logging.getLogger(__name__)

LOST: Final = "its node was stopped while it ran"
DRAINED: Final = "its node was drained with --cancel-tasks"


class TaskRunner:
    """Looks for tasks, runs them, and cancels those of dead nodes."""

    def __init__(self, node: "Node", tasks: Tasks) -> None:
        self._node, self.tasks = node, tasks
        self._timers: dict[int, asyncio.TimerHandle] = {}

    @property
    def _stopped(self) -> bool:
        return self._node.condition.form is Form.REFUSE

    @property
    def count(self) -> int:
        """Tasks that run here."""
        return len(self._timers)

    async def run(self) -> None:
        """Look for ever."""
        await self._try(self._abandon, LOST)
        while True:
            if not self._stopped:
                for task in await self._try(self._look) or ():
                    self._begin(task)
            await asyncio.sleep(self._node.config.task_poll_s)

    def _look(self) -> list[Task]:
        """Clear up after dead nodes, then take what this one shall run; in the store's thread."""
        node, now_s = self._node, time.time()
        rows = node.store.nodes()
        # What was set by a PUT at any node.
        node.heartbeat.task_cap = next(
            (row.max_concurrent_tasks for row in rows if row.name == node.config.name), node.heartbeat.task_cap
        )
        self._clear_up(rows, now_s)
        # A start is neither: its API says 503, and it has not looked at the queue yet.
        if node.condition.state in (State.DRAINING, State.STARTING):
            return []
        after_s = node.config.web.offline_after_s
        able = [row for row in rows if not row.draining and not is_offline(row, now_s=now_s, after_s=after_s)]
        return self.tasks.take(node.config.name, able, now_s)

    def _clear_up(self, rows: Sequence[NodeRow], now_s: float) -> None:
        after_s = self._node.config.task_cancel_after_s
        seen = {row.name: row.last_seen for row in rows}
        for task in self.tasks.running():
            name = task.node
            if name is None or name == self._node.config.name:
                continue
            # A node that was deleted is back with its next heartbeat, if it lives.
            if now_s - seen.get(name, task.started or 0) > after_s:
                self.tasks.cancel(task.number, f"{name} was not seen for {after_s:g} s", now_s)

    def _begin(self, task: Task) -> None:
        # Numbers begin again when the data are reset; what had this one before is gone.
        if (earlier := self._timers.pop(task.number, None)) is not None:
            earlier.cancel()
        self._timers[task.number] = asyncio.get_running_loop().call_later(
            task.duration_s, lambda: self._node.spawn(self._finish(task))
        )

    async def _finish(self, task: Task) -> None:
        self._timers.pop(task.number, None)
        await self._try(lambda: self.tasks.finish(task, time.time()))

    def stopped(self) -> None:
        """The node is stopped: nothing runs any more, and nobody is told."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def abandon(self, reason: str) -> None:
        """Cancel what runs here."""
        self.stopped()
        await self._try(self._abandon, reason)

    async def _try(self, action: Callable[..., _Result], *args: Any) -> _Result | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._node.store_thread, action, *args)
        except StoreError as exc:
            _log.warning("tasks of %s: %s", self._node.config.name, exc)
            return None

    def _abandon(self, reason: str) -> None:
        self.tasks.cancel_of(self._node.config.name, reason, time.time())
