"""Watches the judge's own event loop: a run whose loop stalls sends late and reads late, so it cannot be trusted."""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

TICK_S: Final = 0.1
# Verdicts have margins of half a second; a longer stall may itself have caused what was seen.
STALL_S_MAX: Final = 1.0


class LoopWatch:
    """Measures the longest stall of the event loop while the block runs."""

    def __init__(self) -> None:
        self.longest_stall_s = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def trusted(self) -> bool:
        """Whether every stall was too short to affect a verdict."""
        return self.longest_stall_s <= STALL_S_MAX

    def notes(self) -> list[str]:
        """Return what the report must say about stalls."""
        if self.trusted:
            return []
        return [
            f"the judge itself was stopped for {self.longest_stall_s:.1f} s (allowed: {STALL_S_MAX:.1f} s): too little CPU"
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
