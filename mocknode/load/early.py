"""Decides when `--abort-on-fail` ends a run: as soon as one of its conditions is certain to hold. No I/O."""

from collections.abc import Sequence
from typing import Final

from mocknode.judge.record.ledger import Class
from mocknode.load.conditions import Condition

_OF_CLASS: Final[dict[Class, str]] = {
    "lost": "lost", "delivered_twice": "doubled", "corrupted": "corrupted",
}  # fmt: skip
GROWING: Final = (*_OF_CLASS.values(), "failed", "failed_undisturbed", "reads_failed")
"""Counts that only grow: a condition on one of these stays true once it holds."""


class Failing:
    """The failed attempts behind each of the counts that only grow.

    Args:
        conditions: The conditions of the run; those that could stop holding again are judged at its end.
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
        """Return a condition that holds and is certain to hold at the end; None if there is none."""
        counts = {metric: float(len(ids)) for metric, ids in self._bad.items()}
        return next((c for c in self._conditions if c.holds(counts)), None)
