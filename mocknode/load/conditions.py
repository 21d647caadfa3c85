"""Conditions under which a run has failed: those of `--fail-if`, and those that apply to every run. No I/O."""

import dataclasses
import itertools
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mocknode.text.suggestions import did_you_mean
from mocknode.text.units import format_duration, parse_duration

_FORM: Final = re.compile(r"\s*([a-z0-9._]+)\s*(>=|<=|==|!=|>|<)\s*(\S.*?)\s*")
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_IN_WORDS: Final = {
    ">": "above", ">=": "at or above", "<": "below", "<=": "at or below", "==": "at", "!=": "at anything but",
}  # fmt: skip
_OPPOSITES: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}
# All but the last are latencies of uploads; the last is how long draining nodes still got new ones.
DURATIONS: Final = ("p50", "p90", "p95", "p99", "p99.9", "min", "mean", "max", "drain_reaction")
COUNTS: Final = (
    "attempts", "lost", "doubled", "corrupted", "failed", "failed_undisturbed", "refused", "broken_off",
    "stored_but_reported_failed", "unresolved", "reads_failed",
)  # fmt: skip
RATES: Final = ("error_rate", "per_second", "drift")
LEDGER: Final = frozenset(
    (
        "lost",
        "doubled",
        "corrupted",
        "refused",
        "broken_off",
        "stored_but_reported_failed",
        "unresolved",
        "drain_reaction",
    )
)
"""Metrics that need the nodes' journals."""
METRICS: Final = (*DURATIONS, *COUNTS, *RATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition that fails a run if it holds.

    Attributes:
        text: The condition as the user wrote it.
    """

    text: str
    metric: str
    compare: str
    bound: float

    def shown(self, value: float | None) -> str:
        """A value of the metric as people read it."""
        if value is None:
            return "not measured"
        return format_duration(value) if self.metric in DURATIONS else f"{value:.4g}"

    @property
    def meaning(self) -> str:
        """When the condition fails a run, in words: `fails above 5.0 s`."""
        return f"fails {_IN_WORDS[self.compare]} {self.shown(self.bound)}"

    def holds(self, values: Mapping[str, float | None]) -> bool | None:
        """Whether the condition holds; None when its metric was not measured."""
        value = values[self.metric]
        return None if value is None or math.isnan(value) else _OPERATORS[self.compare](value, self.bound)


def parse_condition(text: str) -> Condition:
    """Read a condition such as `p99>2s`, `lost>0` or `error_rate>=1%`.

    Raises:
        ValueError: naming what was given and what is allowed.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"got {text!r}, allowed: METRIC, one of {' '.join(_OPERATORS)}, and a value, such as 'p99>2s'")
    metric, compare, value = match.groups()
    if metric not in METRICS:
        raise ValueError(f"got metric {metric!r}, allowed: {', '.join(METRICS)}{did_you_mean(metric, METRICS)}")
    return Condition(text=text.strip(), metric=metric, compare=compare, bound=_bound(metric, value))


def _bound(metric: str, value: str) -> float:
    if metric in DURATIONS:
        return parse_duration(value)
    percent = metric == "error_rate" and value.endswith("%")
    try:
        bound = float(value.removesuffix("%") if percent else value) / (100 if percent else 1)
        if math.isfinite(bound) and bound >= 0 and (metric not in COUNTS or bound == int(bound)):
            return bound
    except ValueError:
        pass
    allowed = (
        "a whole number"
        if metric in COUNTS
        else "a number" + (" or a share such as 1%" if metric == "error_rate" else "")
    )
    raise ValueError(f"{metric}: got {value!r}, allowed: {allowed}")


ALWAYS: Final = tuple(
    parse_condition(text) for text in ("lost>0", "doubled>0", "corrupted>0", "failed_undisturbed>0", "reads_failed>0")
)
"""Conditions that fail every run. While a node is down on purpose, a failed upload is not the balancer's fault if its client
received an error. While nodes are only draining, it is."""


def opposite(condition: Condition) -> Condition:
    """Return the condition that fails a run which must meet `condition`."""
    return dataclasses.replace(condition, text=f"not {condition.text}", compare=_OPPOSITES[condition.compare])


def contradictions(conditions: Sequence[Condition]) -> list[str]:
    """Find conditions that no run could pass, since one of them holds whatever is measured; those of every run are included."""
    found = []
    for metric in dict.fromkeys(c.metric for c in conditions):
        about = [c for c in (*ALWAYS, *conditions) if c.metric == metric]
        if all(any(c.holds({metric: value}) for c in about) for value in _telling(metric, about)):
            texts = " and ".join(repr(c.text) for c in about)
            found.append(f"{texts}: one of them holds for every run, so no run could pass")
    return found


def _telling(metric: str, about: Sequence[Condition]) -> set[float]:
    """Sample values of a metric: one for each range that its conditions distinguish."""
    bounds = sorted({0.0, *(c.bound for c in about)})
    if metric in COUNTS:
        return {near for bound in bounds for near in (bound - 1, bound, bound + 1) if near >= 0}
    between = [(low + high) / 2 for low, high in itertools.pairwise(bounds)]
    return {value for value in (*bounds, *between, bounds[-1] + 1) if metric != "error_rate" or value <= 1}
