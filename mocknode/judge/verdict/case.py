"""What a judge may know of a run, and the variants that it can conclude."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mocknode.judge.record.history import History, Request
from mocknode.judge.verdict.calibration import Calibration, elsewhere_in_a_row
from mocknode.judge.verdict.outcome import Level, Outcome, Tier, Variant, failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a judge may know.

    Attributes:
        history: The lane in which the check ran.
        calibration: Of the lane that calibrated, the same for all.
        patience_s: Longest silence that the operator demands.
        all_drained: Declared policy for a cluster that is drained whole, or None.
        layer: Declared layer; `l4` cannot look at requests.
        failback: Declared: traffic goes back to the primary region by hand or by itself; None undeclared.
    """

    history: History
    calibration: Calibration
    nodes: tuple[str, ...]
    tier: Tier
    patience_s: float
    max_upload: int
    public_name: str
    all_drained: Literal["closed", "open"] | None = None
    layer: Literal["l4", "l7"] = "l7"
    failback: Literal["manual", "auto"] | None = None

    @property
    def row(self) -> int:
        """Requests in a row past a node after which it counts as out."""
        return elsewhere_in_a_row(len(self.nodes))

    @property
    def blind(self) -> bool:
        """The balancer was not seen to take a drained node out."""
        return self.calibration.drained and not self.calibration.reacts

    @property
    def root_of_blindness(self) -> str | None:
        """Whose finding it is that a drained node is not taken out: HC-01's where not every node's ping is asked, HC-02's where all are
        and their 418 is taken for good; None where it is taken out."""
        if not self.blind:
            return None
        return "HC-01" if self.calibration.unasked(self.nodes) else "HC-02"

    def holds(self, name: str, level: Level, summary: str, **evidence: Any) -> Variant:
        """A variant that passes."""
        return Variant(name=name, level=level, tier=self.tier, outcome=Outcome.PASS, summary=summary, evidence=evidence)

    def unknown(self, name: str, level: Level, summary: str, **evidence: Any) -> Variant:
        """A variant that the run could not decide."""
        return Variant(
            name=name, level=level, tier=self.tier, outcome=Outcome.UNKNOWN, summary=summary, evidence=evidence
        )

    def breaks(
        self, name: str, level: Level, summary: str, *, cause: str, hurts: str, caused_by: str | None = None,
        ruled_out: Sequence[str] = (), **evidence: Any,
    ) -> Variant:  # fmt: skip
        """A variant that does not hold; its level decides what that means."""
        return Variant(
            name=name, level=level, tier=self.tier, outcome=failed(level), summary=summary, cause=cause, hurts=hurts,
            caused_by=caused_by, ruled_out=tuple(ruled_out), evidence=evidence,
        )  # fmt: skip

    def replayed(self, name: str, **evidence: Any) -> Variant:
        """An upload that arrived whole more than once: RT-01's finding, wherever it shows."""
        return self.breaks(
            name, "core", "the upload was delivered more than once", cause="post-replayed", caused_by="RT-01",
            hurts="CI: the package is pushed twice", **evidence,
        )  # fmt: skip

    def refused_by_size(self, name: str, level: Level, **evidence: Any) -> Variant:
        """An upload that the balancer answers with 413: UP-01's finding, wherever it shows."""
        return self.breaks(
            name, level, "the balancer refuses the upload by its size", cause="body-size-limit", caused_by="UP-01",
            hurts="CI: the upload is refused, whatever its pace and framing", **evidence,
        )  # fmt: skip

    def skips(self, name: str, level: Level, reason: str, **evidence: Any) -> Variant:
        """A variant that does not apply here, with the reason."""
        return Variant(name=name, level=level, tier=self.tier, outcome=Outcome.SKIP, summary=reason, evidence=evidence)

    def observes(self, name: str, summary: str, *, cause: str | None = None, **evidence: Any) -> Variant:
        """A policy that nobody declared: a fact and its consequences."""
        return Variant(
            name=name,
            level="policy",
            tier=self.tier,
            outcome=Outcome.OBSERVED,
            summary=summary,
            cause=cause,
            evidence=evidence,
        )


def seconds(ns: int | None) -> float | None:
    """Nanoseconds as seconds with three digits, for evidence."""
    return None if ns is None else round(ns / 1e9, 3)


def late(arrivals: Sequence[Request], since_ns: int, budget_s: float) -> list[Request]:
    """Arrivals later than `budget_s` after `since_ns`."""
    return [r for r in arrivals if r.t_ns > since_ns + budget_s * 1e9]


def limited_on_l4(case: Case, variant: Variant) -> Variant:
    """The same finding as a limitation where the balancer is declared to work on connections."""
    if case.layer == "l7" or variant.cause is None:
        return variant
    return replace(variant, outcome=Outcome.LIMITATION, summary=variant.summary + " (layer 4 balances connections)")


def tail_probability(trials: int, share: float, at_least: int) -> float:
    """P(X >= at_least) for X binomial; exact, as verdicts claim a false-alarm rate."""
    return math.fsum(
        math.exp(
            math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
            + k * math.log(share) + (trials - k) * math.log1p(-share)
        )
        for k in range(at_least, trials + 1)
    )  # fmt: skip
