"""Packages on their way into the catalogue: what arrives while one transaction runs goes into the next, together.

A commit costs as much as many rows, and nodes that share a SQLite file wait for each other's commits. Nobody is answered before
the transaction with his package is over.
"""

import asyncio
from concurrent.futures import Executor
from typing import Final

from mocknode.store import Added, Existing, Package, Store

# Packages of one transaction: as many uploads as end at one moment on a busy node; more would keep others from the file.
BATCH_MAX: Final = 64

_Waiting = tuple[Package, Existing, asyncio.Future[Added]]


class Cataloguing:
    """The one writer of packages of a node; `thread` is where its store is used."""

    def __init__(self, store: Store, thread: Executor) -> None:
        self._store, self._thread = store, thread
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, package: Package, existing: Existing) -> Added:
        """Store a package; see `Store.add_packages`.

        Raises:
            StoreError: it was not stored.
        """
        stored: asyncio.Future[Added] = asyncio.get_running_loop().create_future()
        self._waiting.append((package, existing, stored))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            wanted = [(package, existing) for package, existing, _ in batch]
            try:
                added = await asyncio.get_running_loop().run_in_executor(self._thread, self._store.add_packages, wanted)
            except Exception as exc:  # noqa: BLE001
                # Whatever it was, everyone who waits is told; a StoreError is what they expect.
                for _, _, stored in batch:
                    if not stored.done():  # Whoever waited may be gone.
                        stored.set_exception(exc)
            else:
                for (_, _, stored), outcome in zip(batch, added, strict=True):
                    if not stored.done():
                        stored.set_result(outcome)
        self._writing = None
