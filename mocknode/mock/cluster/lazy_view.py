"""What the controller uses of the shared store: opened when it is first asked for, and never in the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_View = TypeVar("_View")
_Result = TypeVar("_Result")


class LazyView(Generic[_View]):
    """A view of the store that `make` opens, once."""

    def __init__(self, make: Callable[[], _View]) -> None:
        self._make = make
        self._view: _View | None = None
        self._opening = threading.Lock()

    async def use(self, action: Callable[[_View], _Result]) -> _Result:
        """What `action` makes of the view, in a thread.

        Raises:
            StoreError: it cannot be opened; the next call tries again.
        """
        return await asyncio.to_thread(lambda: action(self._open()))

    def _open(self) -> _View:
        with self._opening:
            if self._view is None:
                self._view = self._make()
            return self._view
