"""Outcomes of variants and checks, how they merge, and what they mean for the exit code.

The table of outcomes is the contract (worst first); no outcome is ever computed as a remainder: a judge that raises, or
that had nothing to look at, is `unknown`.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Level = Literal["core", "extended", "policy"]
Tier = Literal["quick", "full"]


class Outcome(enum.Enum):
    """What became of a claim, worst first."""

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
        """0 is the worst."""
        return list(Outcome).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant of a check, judged.

    Attributes:
        name: Unique within the check, such as `302` or `45s`.
        summary: One sentence a person can act on.
        cause: Slug of what is wrong, None unless something is.
        hurts: Whom it hurts and how, None unless somebody is.
        evidence: JSON-able facts the outcome rests on: attempt ids, times in seconds, counts, the tested value.
        ruled_out: What was excluded as the cause, and by what.
        caused_by: Id of the check whose failure is the root of this one, or None.
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
    """What a claim of this level becomes when it does not hold."""
    return {"core": Outcome.FAIL, "extended": Outcome.ADVICE, "policy": Outcome.OBSERVED}[level]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Lines to paste into a balancer's configuration, and what they cost."""

    balancer: str
    file: str
    snippet: str
    costs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check, judged. Outcome, summary, cause and hurts are those of its worst variant."""

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
        """A core claim of this check could not be decided."""
        return any(v.outcome is Outcome.UNKNOWN and v.level == "core" for v in self.variants)

    @property
    def core_limitation(self) -> bool:
        """A core claim of this check cannot be met by this product or layer."""
        return any(v.outcome is Outcome.LIMITATION and v.level == "core" for v in self.variants)


def merge(
    id_: str, name: str, profile: str, variants: Sequence[Variant], *, duration_s: float, tries: int = 1
) -> CheckResult:
    """The check's result from its variants: the worst one speaks for it; among equals the first.

    Without variants nothing was looked at, and that is unknown.
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
    """A failure or advice waived by its owner; anything else stays what it is, and so does one whose waiver has expired."""
    if result.outcome not in (Outcome.FAIL, Outcome.ADVICE):
        return result
    if expired:
        return replace(result, summary=f"{result.summary} (accepted until {until} only: {because})")
    return replace(result, outcome=Outcome.ACCEPTED, summary=f"{result.summary} (accepted until {until}: {because})")


Result = Literal["conformant", "limited", "partial", "nonconformant", "untrusted"]


def overall(results: Iterable[CheckResult], *, trusted: bool = True) -> Result:
    """The run's result: `conformant` means no core failure, no core unknown and no core limitation."""
    results = list(results)
    if not trusted:
        return "untrusted"
    if any(r.outcome is Outcome.FAIL for r in results):
        return "nonconformant"
    if not results or any(r.core_unknown for r in results):
        return "partial"
    if any(r.core_limitation for r in results):
        return "limited"
    return "conformant"


EXIT_CODES: dict[Result, int] = {"conformant": 0, "limited": 0, "nonconformant": 1, "partial": 4, "untrusted": 5}
