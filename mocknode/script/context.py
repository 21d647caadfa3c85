"""What verbs and conditions work with: the seam between the language and the engine. No I/O."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mocknode.script.evidence import Evidence
from mocknode.script.model import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at a condition found.

    Attributes:
        holds: None when the evidence does not tell.
        saw: One line: what was seen.
    """

    holds: bool | None
    saw: str


class StepFailedError(Exception):
    """A step could not do its work, or an expectation did not hold; the message says what was seen."""


class NotSeenError(Exception):
    """The evidence does not tell whether an expectation holds; the message says what was seen."""


class Nodes(Protocol):
    """The part of the control API that verbs use; `mocknode.mock.cluster.client.ControlClient` has it."""

    def set_state(self, name: str, state: str, how: str | None = None) -> Awaitable[Any]:
        """Change a node's state."""
        ...

    def add_fault(
        self,
        name: str,
        kind: str,
        *,
        options: Mapping[str, Any] | None = None,
        on: str = "all",
        first: int | None = None,
        every: int | None = None,
        after: str | None = None,
        ttl: str | None = None,
    ) -> Awaitable[str]:
        """Set a fault and return its id."""
        ...

    def remove_fault(self, name: str, fault_id: str) -> Awaitable[None]:
        """Remove a fault."""
        ...

    def add_tasks(self, duration: str, count: int = 1) -> Awaitable[Any]:
        """Queue tasks."""
        ...


class Stage(Protocol):
    """A run under way, as a verb sees it.

    Attributes:
        evidence: What both sides have shown so far.
        faults: Node and id of the faults that a scenario has named with `as`.
    """

    @property
    def nodes(self) -> Nodes:
        """Changes the nodes."""
        ...

    evidence: Evidence
    faults: dict[str, tuple[str, str]]

    async def until(self, condition: Condition, within: float | str) -> Look:
        """Wait until a condition holds and return what was seen.

        Args:
            within: Seconds, or `calibrated`.

        Raises:
            StepFailedError: it did not hold in time; the message has the last look and the nearest events.
        """
        ...

    async def held(self, condition: Condition, for_s: float) -> Look:
        """Return the first look within this time that finds the opposite, otherwise the last look."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let this time pass."""
        ...

    def left(self, node: str) -> None:
        """Take note that a node is down on purpose from now on, so that failures told to clients are excused."""
        ...

    def returned(self, node: str) -> None:
        """Take note that the node is back."""
        ...
