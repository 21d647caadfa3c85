"""The tasks of one node: it looks for them every 20 s as the real server does, runs them by waiting, and finishes them while draining.

A stopped node runs nothing. Its tasks stay in the table until the other nodes have not seen it for an hour, or until it comes back
and cancels them itself.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from mocknode.mock.data.store import NodeRow, StoreError
from mocknode.mock.data.tasks import Task, Tasks
from mocknode.mock.node.heartbeat import Heartbeat, is_offline
from mocknode.mock.node.lifecycle import Form, State
from mocknode.mock.node.services import Services

_Result = TypeVar("_Result")
_log: Final = logging.getLogger(__name__)

LOST: Final = "its node was stopped while it ran"
DRAINED: Final = "its node was drained with --cancel-tasks"


class TaskRunner:
    """Looks for tasks, runs them, and cancels those of dead nodes."""

    def __init__(self, services: Services, heartbeat: Heartbeat, tasks: Tasks) -> None:
        self._services, self._heartbeat, self._tasks = services, heartbeat, tasks
        self._timers: dict[int, asyncio.TimerHandle] = {}

    @property
    def _stopped(self) -> bool:
        return self._services.condition.form is Form.REFUSE

    @property
    def count(self) -> int:
        """Tasks that run here."""
        return len(self._timers)

    async def run(self) -> None:
        """Look for tasks for ever."""
        await self._try(self._abandon, LOST)
        while True:
            if not self._stopped:
                for task in await self._try(self._look) or ():
                    self._begin(task)
            await asyncio.sleep(self._services.config.task_poll_s)

    def _look(self) -> list[Task]:
        """Clear up after dead nodes, then take what this one shall run; in the store's thread."""
        services, now_s = self._services, time.time()
        rows = services.store.nodes()
        # A PUT at any node may have changed it.
        self._heartbeat.task_cap = next(
            (row.max_concurrent_tasks for row in rows if row.name == services.config.name), self._heartbeat.task_cap
        )
        self._clear_up(rows, now_s)
        # A node that starts answers 503 and has not looked at the queue yet.
        if services.condition.state in (State.DRAINING, State.STARTING):
            return []
        after_s = services.config.web.offline_after_s
        able = [row for row in rows if not row.draining and not is_offline(row, now_s=now_s, after_s=after_s)]
        return self._tasks.take(services.config.name, able, now_s)

    def _clear_up(self, rows: Sequence[NodeRow], now_s: float) -> None:
        after_s = self._services.config.task_cancel_after_s
        seen = {row.name: row.last_seen for row in rows}
        for task in self._tasks.running():
            name = task.node
            if name is None or name == self._services.config.name:
                continue
            # A deleted node is back with its next heartbeat, if it lives.
            if now_s - seen.get(name, task.started or 0) > after_s:
                self._tasks.cancel(task.number, f"{name} was not seen for {after_s:g} s", now_s)

    def _begin(self, task: Task) -> None:
        # Task numbers begin again when the data are reset, so an earlier task with this number is gone.
        if (earlier := self._timers.pop(task.number, None)) is not None:
            earlier.cancel()
        self._timers[task.number] = asyncio.get_running_loop().call_later(
            task.duration_s, lambda: self._services.spawn(self._finish(task))
        )

    async def _finish(self, task: Task) -> None:
        self._timers.pop(task.number, None)
        await self._try(lambda: self._tasks.finish(task, time.time()))

    def stopped(self) -> None:
        """Forget the tasks that run here: the node is stopped, or the data were replaced."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def abandon(self, reason: str) -> None:
        """Cancel the tasks that run here."""
        self.stopped()
        await self._try(self._abandon, reason)

    async def _try(self, action: Callable[..., _Result], *args: Any) -> _Result | None:
        try:
            return await self._services.stored(action, *args)
        except StoreError as exc:
            _log.warning("tasks of %s: %s", self._services.config.name, exc)
            return None

    def _abandon(self, reason: str) -> None:
        self._tasks.cancel_of(self._services.config.name, reason, time.time())
