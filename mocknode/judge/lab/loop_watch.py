"""Can this run be trusted? The judge's own event loop is watched: one that stalls sends late and reads late."""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

TICK_S: Final = 0.1
# Verdicts rest on margins of half a second; a loop that was gone for longer than this may have caused what it saw.
STALL_S_MAX: Final = 1.0


class LoopWatch:
    """Counts how long the event loop was away, while the block runs."""

    def __init__(self) -> None:
        self.longest_stall_s = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def trusted(self) -> bool:
        """No stall was long enough to touch a verdict."""
        return self.longest_stall_s <= STALL_S_MAX

    def notes(self) -> list[str]:
        """What the report has to say about it."""
        if self.trusted:
            return []
        return [
            f"the judge itself stood still for {self.longest_stall_s:.1f} s (allowed: {STALL_S_MAX:.1f} s): too little CPU"
        ]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick(), name="loop-watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tick(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.longest_stall_s = max(self.longest_stall_s, now - before - TICK_S)
            before = now
