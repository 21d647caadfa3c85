"""Packages on their way into the catalogue: what arrives while one transaction runs goes into the next, together.

A commit costs as much as many rows, and nodes that share a SQLite file wait for each other's commits. A client is answered when the
transaction with its package is over. A package that began to arrive before all data were replaced is refused: it belongs to data
that no longer exist, and perhaps its space does not either.
"""

import asyncio
from concurrent.futures import Executor
from typing import Final

from mocknode.mock.data.store import Added, Existing, Package, RestoredError, Store

# Packages of one transaction: as many uploads as end at one moment on a busy node; more would keep others from the file.
BATCH_MAX: Final = 64

_Waiting = tuple[Package, Existing, int, asyncio.Future[Added]]


class Cataloguing:
    """The one writer of packages of a node; `thread` is where its store is used.

    Attributes:
        restores: How often all data were replaced, as far as this node knows.
    """

    def __init__(self, store: Store, thread: Executor) -> None:
        self._store, self._thread = store, thread
        self.restores = 0
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, package: Package, existing: Existing, began: int) -> Added:
        """Store a package; see `Store.add_packages`.

        Args:
            began: `restores` when it began to arrive.

        Raises:
            StoreError, RestoredError: it was not stored.
        """
        stored: asyncio.Future[Added] = asyncio.get_running_loop().create_future()
        self._waiting.append((package, existing, began, stored))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            now = self.restores
            _refuse([one for one in batch if one[2] != now], RestoredError(now))
            batch = [one for one in batch if one[2] == now]
            if not batch:
                continue
            wanted = [(package, existing) for package, existing, _, _ in batch]
            try:
                added = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._store.add_packages, wanted, now
                )
            except Exception as exc:  # noqa: BLE001
                # Every upload that waits gets the error; a StoreError is what they expect.
                _refuse(batch, exc)
                if isinstance(exc, RestoredError):
                    self.restores = max(self.restores, exc.restores)
            else:
                for (*_, stored), outcome in zip(batch, added, strict=True):
                    if not stored.done():  # The client may be gone.
                        stored.set_result(outcome)
        self._writing = None


def _refuse(batch: list[_Waiting], exc: Exception) -> None:
    for *_, stored in batch:
        if not stored.done():
            stored.set_exception(exc)
