"""Outcomes of variants and checks, how they merge, and the exit code of a run.

The order of `Outcome`, worst first, is the contract. No outcome is ever assumed because the others do not apply: when a
judge raises, or has no evidence, the outcome is `unknown`.
"""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Level = Literal["core", "extended", "policy"]
Tier = Literal["quick", "full"]
OutcomeName = Literal["fail", "unknown", "advice", "limitation", "observed", "accepted", "pass", "skip"]
"""Values of `Outcome`, as reports have them."""


class Outcome(enum.Enum):
    """Outcome of a claim, worst first."""

    FAIL = "fail"
    UNKNOWN = "unknown"
    ADVICE = "advice"
    LIMITATION = "limitation"
    OBSERVED = "observed"
    ACCEPTED = "accepted"
    PASS = "pass"
    SKIP = "skip"

    @property
    def badness(self) -> int:
        """Rank of the outcome; 0 is the worst."""
        return list(Outcome).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant of a check, judged.

    Attributes:
        name: Unique within the check, such as `302` or `45s`.
        summary: One sentence that a person can act on.
        cause: Slug of the cause, one of those that the check declares; None when nothing is wrong.
        hurts: The users who suffer and how; None when nobody does.
        evidence: Facts that the outcome rests on, as JSON values: attempt ids, times in seconds, counts, the tested value.
        ruled_out: Causes that were excluded, and by which evidence.
        caused_by: Id of the check whose failure explains this one, or None.
    """

    name: str
    level: Level
    tier: Tier
    outcome: Outcome
    summary: str
    cause: str | None = None
    hurts: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    ruled_out: tuple[str, ...] = ()
    caused_by: str | None = None


def failed(level: Level) -> Outcome:
    """Return the outcome of a claim of this level that does not hold."""
    return {"core": Outcome.FAIL, "extended": Outcome.ADVICE, "policy": Outcome.OBSERVED}[level]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Lines to paste into a balancer's configuration, and their side effects."""

    balancer: str
    file: str
    snippet: str
    costs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The verdict on one check. Outcome, summary, cause and hurts are those of its worst variant."""

    id: str
    name: str
    profile: str
    outcome: Outcome
    summary: str
    cause: str | None
    hurts: str | None
    variants: tuple[Variant, ...]
    ruled_out: tuple[str, ...] = ()
    caused_by: str | None = None
    fixes: tuple[Fix, ...] = ()
    duration_s: float = 0.0
    tries: int = 1

    @property
    def core_unknown(self) -> bool:
        """Whether a core claim of this check could not be decided."""
        return any(v.outcome is Outcome.UNKNOWN and v.level == "core" for v in self.variants)

    @property
    def core_limitation(self) -> bool:
        """Whether this product or layer cannot meet a core claim of this check."""
        return any(v.outcome is Outcome.LIMITATION and v.level == "core" for v in self.variants)


def merge(
    id_: str, name: str, profile: str, variants: Sequence[Variant], *, duration_s: float, tries: int = 1
) -> CheckResult:
    """Merge the variants of a check into its result: the worst one decides, and the first among equals.

    Without variants nothing was tested, so the result is unknown.
    """
    if not variants:
        nothing = Variant(
            name="evidence", level="core", tier="full", outcome=Outcome.UNKNOWN, summary="nothing was recorded to judge"
        )
        variants = (nothing,)
    worst = min(variants, key=lambda v: v.outcome.badness)
    return CheckResult(
        id=id_,
        name=name,
        profile=profile,
        outcome=worst.outcome,
        summary=worst.summary,
        cause=worst.cause,
        hurts=worst.hurts,
        variants=tuple(variants),
        ruled_out=worst.ruled_out,
        caused_by=worst.caused_by,
        duration_s=duration_s,
        tries=tries,
    )


def accept(result: CheckResult, because: str, until: str, *, expired: bool = False) -> CheckResult:
    """Mark a failure or an advice as accepted; any other outcome, or an expired acceptance, leaves the result as it is."""
    if result.outcome not in (Outcome.FAIL, Outcome.ADVICE):
        return result
    if expired:
        return replace(result, summary=f"{result.summary} (accepted until {until} only: {because})")
    return replace(result, outcome=Outcome.ACCEPTED, summary=f"{result.summary} (accepted until {until}: {because})")


Result = Literal["conformant", "passed", "limited", "partial", "nonconformant", "untrusted"]


def overall(
    results: Iterable[CheckResult],
    *,
    trusted: bool = True,
    unfinished: Collection[str] = (),
    left_out: Collection[str] = (),
    harmed: bool = False,
) -> Result:
    """Return the run's result: `conformant` means no core failure, no core unknown and no core limitation in any check.

    Args:
        unfinished: Ids of checks that the run was asked for and has not done, which may fail yet.
        left_out: Ids of checks that the run was not asked for: without a fault it has `passed`, and is not `conformant`.
        harmed: The ledger has a lost, doubled or corrupt upload. The check that explains it fails, unless its owner accepted that.
    """
    results = list(results)
    if not trusted:
        return "untrusted"
    if any(r.outcome is Outcome.FAIL for r in results):
        return "nonconformant"
    if unfinished or not results or any(r.core_unknown for r in results):
        return "partial"
    if harmed or any(r.core_limitation for r in results):
        return "limited"
    return "passed" if left_out else "conformant"


EXIT_CODES: dict[Result, int] = {
    "conformant": 0,
    "passed": 0,
    "limited": 0,
    "nonconformant": 1,
    "partial": 4,
    "untrusted": 5,
}
