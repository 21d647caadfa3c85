"""What every part of a node may use: configuration, journal, shared store, condition, and work beside the requests."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from mocknode.mock.data.directory import Directory
from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.journal import Journal
from mocknode.mock.node.lifecycle import ONLINE, Form, State

_Result = TypeVar("_Result")


class Services:
    """The services of one node.

    Args:
        emit: Sends an event to the agent.

    Attributes:
        directory, store: What the nodes of the cluster share.
        store_thread: The thread in which the store is used.
        condition: What the node is now; the node alone changes it.
    """

    def __init__(
        self, config: NodeConfig, journal: Journal, directory: Directory, emit: Callable[[dict[str, Any]], None]
    ) -> None:
        self.config, self.journal, self.directory, self.emit = config, journal, directory, emit
        self.store = directory.store
        self.store_thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.condition = ONLINE
        self._works: set[asyncio.Task[None]] = set()
        self._connections = 0

    @property
    def silent(self) -> bool:
        """Whether this node reads and writes nothing."""
        return self.condition.form is Form.BLACKHOLE

    @property
    def draining(self) -> bool:
        """Whether the ping says 418."""
        return self.condition.state is State.DRAINING

    def next_connection(self) -> int:
        """Return the number of a new connection, from 1; all ports count together."""
        self._connections += 1
        return self._connections

    async def stored(self, action: Callable[..., _Result], *args: Any) -> _Result:
        """Call the shared store in its thread.

        Raises:
            StoreError: the store cannot be used.
        """
        return await asyncio.get_running_loop().run_in_executor(self.store_thread, action, *args)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the requests, until the node ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    def cancel_work(self) -> None:
        """End what `spawn` began."""
        for task in list(self._works):
            task.cancel()
