"""Changes of a node's state that wait for their trigger."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from mocknode.mock.node.active_faults import TIMER_SLACK_S
from mocknode.mock.node.faults.selection import Upload
from mocknode.mock.node.lifecycle import Condition
from mocknode.mock.node.services import Services
from mocknode.mock.node.triggers import Measure, Trigger

OVERDUE_S: Final = 0.25
"""A timer later than this means that the process was stopped."""
HEARING_S: Final = 0.05
"""Time to read what was written to the control channel while the process was stopped; it is there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledState:
    """A change of state that waits for its trigger."""

    wanted: Condition
    trigger: Trigger
    set_s: float
    set_pings: int


class ScheduledStates:
    """The changes that wait on one node.

    Args:
        become: Changes the node's condition, for a cause.

    Attributes:
        waiting: The changes whose trigger is not met yet.
    """

    def __init__(self, services: Services, become: Callable[[Condition, str], Awaitable[None]]) -> None:
        self._services, self._become = services, become
        self.waiting: list[ScheduledState] = []
        self._resets = 0

    def add(self, wanted: Condition, trigger: Trigger, *, pings: int, later: Callable[[], None]) -> None:
        """Change the condition when the trigger is met; `later` is called when the time that it waits for is over.

        A later change for the same moment does not replace an earlier one.
        """
        self.waiting.append(
            ScheduledState(wanted=wanted, trigger=trigger, set_s=time.monotonic(), set_pings=pings)
        )  # fmt: skip
        if trigger.measure is Measure.TIME:
            asyncio.get_running_loop().call_later(trigger.value + TIMER_SLACK_S, later)

    def waits_for_uploads(self) -> bool:
        """Return whether a change waits for a share or bytes of a body."""
        return any(item.trigger.measure in (Measure.SHARE, Measure.BYTES) for item in self.waiting)

    def activate(self, *, pings: int, upload: Upload | None) -> None:
        """Carry out the changes whose trigger is met."""
        now_s = time.monotonic()
        received, length = (-1, None) if upload is None else (upload.received, upload.length)
        for item in list(self.waiting):
            elapsed_s = now_s - item.set_s
            if item.trigger.met(elapsed_s=elapsed_s, pings=pings - item.set_pings, received=received, length=length):
                self.waiting.remove(item)
                late = item.trigger.measure is Measure.TIME and elapsed_s > item.trigger.value + OVERDUE_S
                self._services.spawn(self._change(item.wanted, self._resets, late=late))

    async def _change(self, wanted: Condition, resets: int, *, late: bool) -> None:
        if late:
            # The process was stopped when this was due. Commands that came meanwhile go first.
            await asyncio.sleep(HEARING_S)
        if resets != self._resets:
            return
        with contextlib.suppress(ValueError):  # Superseded: the node was moved where this is not possible any more.
            await self._become(wanted, "trigger")

    def clear(self) -> None:
        """Forget every change, including those that are just being carried out."""
        self._resets += 1
        self.waiting.clear()

    def documents(self) -> list[dict[str, Any]]:
        """Return the changes that wait, for the agent."""
        return [{**item.wanted.document(), "after": item.trigger.text} for item in self.waiting]
