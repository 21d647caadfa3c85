"""A view of the shared store that the controller opens at its first use, and never in the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_View = TypeVar("_View")
_Result = TypeVar("_Result")


class LazyView(Generic[_View]):
    """A view of the store; `make` opens it at the first use."""

    def __init__(self, make: Callable[[], _View]) -> None:
        self._make = make
        self._view: _View | None = None
        self._opening = threading.Lock()

    async def use(self, action: Callable[[_View], _Result]) -> _Result:
        """Run `action` on the view in a thread and return its result.

        Raises:
            StoreError: the store cannot be opened; the next call tries again.
        """
        return await asyncio.to_thread(lambda: action(self._open()))

    def _open(self) -> _View:
        with self._opening:
            if self._view is None:
                self._view = self._make()
            return self._view
