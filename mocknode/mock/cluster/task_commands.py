"""The control API's commands for tasks in the shared store."""

import time
from typing import Any, Final

from mocknode.mock.cluster.lazy_view import LazyView
from mocknode.mock.data.store import Store
from mocknode.mock.data.tasks import Task, Tasks, task_document
from mocknode.mock.node.refusals import RefusedError
from mocknode.text.units import parse_duration

DURATION_MAX_S: Final = 7 * 24 * 3600.0
"""Longer than any deployment, and short enough for a node's timer."""
BY_HAND: Final = "cancelled through the control API"


class UnknownTaskError(RefusedError):
    """No unfinished task has that id."""


class TaskCommands:
    """Adds, lists and cancels tasks."""

    def __init__(self, store_url: str) -> None:
        self._tasks = LazyView(lambda: Tasks(Store(store_url)))

    async def add(self, description: str, duration: str, count: int) -> list[dict[str, Any]]:
        """Queue tasks and return them.

        Raises:
            RefusedError: the duration is not valid.
            StoreError: nothing was queued.
        """
        try:
            duration_s = parse_duration(duration)
        except ValueError as exc:
            raise RefusedError(f"duration: {exc}", got=duration, allowed=["30s", "5m"]) from exc
        if duration_s > DURATION_MAX_S:
            raise RefusedError(
                f"duration: got {duration!r}, allowed: up to 7 days", got=duration, allowed=["30s", "168h"]
            )
        return _documents(await self._tasks.use(lambda tasks: tasks.add(description, duration_s, count, time.time())))

    async def all(self) -> list[dict[str, Any]]:
        """Return every task, oldest first."""
        return _documents(await self._tasks.use(lambda tasks: tasks.all()))

    async def cancel(self, id_: str) -> None:
        """Cancel a task; a node that runs it notices when the task would have ended.

        Raises:
            UnknownTaskError: no unfinished task has that id.
        """
        unfinished = [task for task in await self._tasks.use(lambda tasks: tasks.all()) if task.completed is None]
        number = next((task.number for task in unfinished if task.id == id_), None)
        if number is None or not await self._tasks.use(lambda tasks: tasks.cancel(number, BY_HAND, time.time())):
            ids = [task.id for task in unfinished]
            raise UnknownTaskError(
                f"task: got {id_!r}, allowed: {', '.join(ids) or 'none, as every task has ended'}", got=id_, allowed=ids
            )

    async def clear(self) -> None:
        """Delete every task."""
        await self._tasks.use(lambda tasks: tasks.clear())


def _documents(tasks: list[Task]) -> list[dict[str, Any]]:
    return [task_document(task) for task in tasks]
