"""When a run ends before its time: all its uploads were made, or it has failed already and was asked to end then. Pure."""

from collections.abc import Sequence
from typing import Final

from mocknode.judge.record.ledger import Class
from mocknode.load.conditions import Condition

_OF_CLASS: Final[dict[Class, str]] = {
    "lost": "lost", "delivered_twice": "doubled", "corrupted": "corrupted",
}  # fmt: skip
GROWING: Final = (*_OF_CLASS.values(), "failed", "failed_undisturbed", "reads_failed")
"""Counts that only grow: once one is over its bound, it stays so."""


class Failing:
    """The attempts that are bad by one of the counts that only grow.

    Args:
        conditions: Conditions of the run; those that could stop holding again are left to the end.
    """

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = [c for c in conditions if c.metric in GROWING and c.compare in (">", ">=")]
        self._bad: dict[str, set[str]] = {metric: set() for metric in GROWING}

    def take(self, id_: str, kind: str, found: Class | None, told: str, disturbed: bool) -> None:
        """Count one attempt that ended."""
        failed = told != "acknowledged"
        for metric, bad in (
            (_OF_CLASS.get(found) if found else None, True),
            ("failed", failed and kind == "push"),
            ("failed_undisturbed", failed and kind == "push" and not disturbed),
            ("reads_failed", failed and kind != "push" and not disturbed),
        ):
            if metric is not None and bad:
                self._bad[metric].add(id_)

    def first(self) -> Condition | None:
        """A condition that holds and will hold at the end."""
        counts = {metric: float(len(ids)) for metric, ids in self._bad.items()}
        return next((c for c in self._conditions if c.holds(counts)), None)
