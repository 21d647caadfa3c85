"""The evidence that a judge sees of a run, and the variants that it can conclude."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mocknode.judge.record.history import History, Request
from mocknode.judge.verdict.calibration import Calibration, requests_to_confirm_out
from mocknode.judge.verdict.outcome import Level, Outcome, Tier, Variant, failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that a judge may base its verdict on.

    Attributes:
        history: Record of the lane in which the check ran.
        calibration: Measured behaviour of the balancer, the same for all checks.
        patience_s: Longest silence that the operator wants the balancer to tolerate.
        all_drained: Declared policy for a cluster whose nodes all drain; None when nothing was declared.
        layer: Declared layer; an `l4` balancer cannot look at requests.
        failback: Declared return of traffic to the primary region, by hand or automatic; None when nothing was declared.
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
    def requests_to_confirm_out(self) -> int:
        """Consecutive requests that must all bypass a node before it counts as out."""
        return requests_to_confirm_out(len(self.nodes))

    @property
    def blind(self) -> bool:
        """Whether a node was drained and the balancer did not take it out of rotation."""
        return self.calibration.drained and not self.calibration.reacts

    @property
    def root_of_blindness(self) -> str | None:
        """Id of the check that explains why a drained node stays in rotation; None when the balancer takes it out.

        HC-01 when some node is not probed, HC-02 when all are probed and the 418 counts as healthy.
        """
        if not self.blind:
            return None
        return "HC-01" if self.calibration.unprobed(self.nodes) else "HC-02"

    def holds(self, name: str, level: Level, summary: str, **evidence: Any) -> Variant:
        """Make a variant that passes."""
        return Variant(name=name, level=level, tier=self.tier, outcome=Outcome.PASS, summary=summary, evidence=evidence)

    def unknown(self, name: str, level: Level, summary: str, **evidence: Any) -> Variant:
        """Make a variant that the run could not decide."""
        return Variant(
            name=name, level=level, tier=self.tier, outcome=Outcome.UNKNOWN, summary=summary, evidence=evidence
        )

    def breaks(
        self, name: str, level: Level, summary: str, *, cause: str, hurts: str, caused_by: str | None = None,
        ruled_out: Sequence[str] = (), **evidence: Any,
    ) -> Variant:  # fmt: skip
        """Make a variant that does not hold; its level decides between failure, advice and observation."""
        return Variant(
            name=name, level=level, tier=self.tier, outcome=failed(level), summary=summary, cause=cause, hurts=hurts,
            caused_by=caused_by, ruled_out=tuple(ruled_out), evidence=evidence,
        )  # fmt: skip

    def replayed(self, name: str, **evidence: Any) -> Variant:
        """Make the variant of an upload that arrived complete more than once, and blame RT-01 for it."""
        return self.breaks(
            name, "core", "the upload was delivered more than once", cause="post-replayed", caused_by="RT-01",
            hurts="CI: the package is pushed twice", **evidence,
        )  # fmt: skip

    def refused_by_size(self, name: str, level: Level, **evidence: Any) -> Variant:
        """Make the variant of an upload that the balancer answered with 413, and blame UP-01 for it."""
        return self.breaks(
            name, level, "the balancer refuses the upload by its size", cause="body-size-limit", caused_by="UP-01",
            hurts="CI: the upload is refused, whatever its pace and framing", **evidence,
        )  # fmt: skip

    def skips(self, name: str, level: Level, reason: str, **evidence: Any) -> Variant:
        """Make a variant that does not apply here, with the reason."""
        return Variant(name=name, level=level, tier=self.tier, outcome=Outcome.SKIP, summary=reason, evidence=evidence)

    def observes(self, name: str, summary: str, *, cause: str | None = None, **evidence: Any) -> Variant:
        """Make a variant that reports a policy which nobody declared, and its consequences."""
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
    """Convert nanoseconds to seconds with three digits, for evidence."""
    return None if ns is None else round(ns / 1e9, 3)


def late(arrivals: Sequence[Request], since_ns: int, budget_s: float) -> list[Request]:
    """Return the arrivals later than `budget_s` after `since_ns`."""
    return [r for r in arrivals if r.t_ns > since_ns + budget_s * 1e9]


def limited_on_l4(case: Case, variant: Variant) -> Variant:
    """Turn the finding into a limitation when the balancer is declared to balance connections."""
    if case.layer == "l7" or variant.cause is None:
        return variant
    return replace(variant, outcome=Outcome.LIMITATION, summary=variant.summary + " (layer 4 balances connections)")


def tail_probability(trials: int, share: float, at_least: int) -> float:
    """Return P(X >= at_least) for a binomial X, exactly: verdicts claim a false-alarm rate."""
    return math.fsum(
        math.exp(
            math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
            + k * math.log(share) + (trials - k) * math.log1p(-share)
        )
        for k in range(at_least, trials + 1)
    )  # fmt: skip
