"""Server tasks, as far as a drain needs them: queued for all nodes, run by one, finished after their duration.

They are a table of the shared store and follow its rule: every call is one short blocking transaction. `may_take` decides which
node takes a task, as the vendor describes it; the store makes sure that two nodes never take the same one.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from mocknode.mock.data.store import NodeRow, Store, draw, next_after, twin

State = Literal["Queued", "Executing", "Success", "Canceled"]
WAITING: Final[State] = "Queued"
RUNNING: Final[State] = "Executing"
DONE: Final[State] = "Success"
CANCELLED: Final[State] = "Canceled"

_metadata = sa.MetaData()
_tasks = sa.Table(
    "tasks", _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("description", sa.String(200), nullable=False),
    sa.Column("duration_s", sa.Float, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("queued", sa.Float, nullable=False),
    sa.Column("node", sa.String(64)),
    sa.Column("started", sa.Float),
    sa.Column("completed", sa.Float),
    sa.Column("reason", sa.String(200)),
)  # fmt: skip
COPIED: Final = ((_tasks, twin(_tasks), sa.true()),)
"""The table with its twin for snapshots and the rows that count as data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task; times are seconds since the epoch.

    Attributes:
        duration_s: Time from start to end.
        node: Name of the node that runs or ran it.
        reason: Why it was cancelled.
    """

    number: int
    description: str
    duration_s: float
    state: State
    queued: float
    node: str | None = None
    started: float | None = None
    completed: float | None = None
    reason: str | None = None

    @property
    def id(self) -> str:
        """Id as Octopus writes it."""
        return f"ServerTasks-{self.number}"


def may_take(*, mine: int, cap: int, running: int, waiting: int, total_cap: int) -> bool:
    """Tell whether a node takes one more task: it is below its cap, and less busy than the cluster with all waiting tasks would be.

    Source: the vendor's page on how high availability works.

    Args:
        mine: Number of tasks that run on this node.
        cap: Task cap of this node; 0 runs none.
        running, waiting: Numbers of tasks of the whole cluster.
        total_cap: Sum of the caps of all nodes that take tasks, this one included.
    """
    return waiting > 0 and mine < cap and mine * total_cap < (running + waiting) * cap


class Tasks:
    """The tasks of a cluster.

    Raises:
        StoreError: the store cannot be used, here and in every method.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        store.prepare(_metadata)

    def add(self, description: str, duration_s: float, count: int, now_s: float) -> list[Task]:
        """Queue `count` equal tasks and return them."""
        values = {"description": description, "duration_s": duration_s, "state": WAITING, "queued": now_s}
        with self._store.transaction() as connection:
            first = draw(connection, "ServerTasks", count, first=next_after(_tasks.c.number))
            connection.execute(sa.insert(_tasks), [{**values, "number": first + index} for index in range(count)])
            return _read(connection, _tasks.c.number >= first)

    def all(self) -> list[Task]:
        """Return every task, oldest first."""
        with self._store.transaction() as connection:
            return _read(connection, sa.true())

    def running(self) -> list[Task]:
        """Return the running tasks, oldest first."""
        with self._store.transaction() as connection:
            return _read(connection, _tasks.c.state == RUNNING)

    def clear(self) -> None:
        """Delete every task."""
        with self._store.transaction() as connection:
            connection.execute(sa.delete(_tasks))

    def take(self, name: str, nodes: Iterable[NodeRow], now_s: float) -> list[Task]:
        """Start the tasks that this node should run now and return them.

        Args:
            nodes: The nodes that take tasks, this one included.
        """
        caps = {node.name: node.max_concurrent_tasks for node in nodes}
        cap, total = caps.get(name, 0), sum(caps.values())
        taken: list[Task] = []
        with self._store.transaction() as connection:
            running = _read(connection, _tasks.c.state == RUNNING)
            waiting = _read(connection, _tasks.c.state == WAITING)
            mine, others = sum(task.node == name for task in running), len(running)
            while may_take(mine=mine, cap=cap, running=others, waiting=len(waiting), total_cap=total):
                number = waiting.pop(0).number
                values = {"state": RUNNING, "node": name, "started": now_s}
                if _change(connection, (_tasks.c.number == number) & (_tasks.c.state == WAITING), values):
                    mine, others = mine + 1, others + 1
                    taken += _read(connection, _tasks.c.number == number)
        return taken

    def finish(self, task: Task, now_s: float) -> bool:
        """Finish a task that a node started; return False if it was cancelled, or the number now belongs to another task."""
        held = (_tasks.c.number == task.number) & (_tasks.c.node == task.node) & (_tasks.c.state == RUNNING)
        held &= _tasks.c.started == task.started
        with self._store.transaction() as connection:
            return _change(connection, held, {"state": DONE, "completed": now_s}) > 0

    def cancel(self, number: int, reason: str, now_s: float) -> bool:
        """Cancel a task; return False if it has ended or is unknown."""
        with self._store.transaction() as connection:
            return _cancel(connection, _tasks.c.number == number, reason, now_s) > 0

    def cancel_of(self, name: str, reason: str, now_s: float) -> int:
        """Cancel the tasks that a node runs and return their number."""
        mine = (_tasks.c.node == name) & (_tasks.c.state == RUNNING)
        with self._store.transaction() as connection:
            return _cancel(connection, mine, reason, now_s)


def begin_again(connection: sa.Connection) -> None:
    """Queue running tasks again, as no node knows any more that it ran them."""
    _change(connection, _tasks.c.state == RUNNING, {"state": WAITING, "node": None, "started": None})


def _read(connection: sa.Connection, where: Any) -> list[Task]:
    rows = connection.execute(sa.select(_tasks).where(where).order_by(_tasks.c.number)).mappings()
    return [Task(**row) for row in rows]


def _cancel(connection: sa.Connection, where: Any, reason: str, now_s: float) -> int:
    going = where & _tasks.c.state.in_((WAITING, RUNNING))
    return _change(connection, going, {"state": CANCELLED, "completed": now_s, "reason": reason})


def _change(connection: sa.Connection, where: Any, values: dict[str, Any]) -> int:
    return connection.execute(sa.update(_tasks).where(where).values(**values)).rowcount


def task_document(task: Task) -> dict[str, Any]:
    """Return a task as the control API shows it."""
    return {"id": task.id, **{key: value for key, value in asdict(task).items() if key != "number"}}
