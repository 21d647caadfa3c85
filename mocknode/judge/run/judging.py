"""From the record to the results: every check's judge, and what is the same for all of them. Pure.

After a check's own judge has spoken: dropped evidence makes it unknown, a cause that no configuration of this product can
mend makes it a limitation, the owner's acceptances are applied, and the fixes for this balancer are looked up.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from mocknode.judge.balancers import fix, generic_fix, limitation
from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.registry import CHECKS, cause_of
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record.history import Dropped, History
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.detection import Detected, detect
from mocknode.judge.verdict.outcome import CheckResult, Fix, Outcome, Tier, Variant, accept, merge

_WITHOUT_BUDGETS = ("heavy", "light", "waiting")
"""Lanes whose checks are held to no reaction time."""


LIMIT: Final = "429"
"""Status of a node's own limiter; a check that has nodes answer it on purpose names the variant after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What judging needs beside the histories; saved with them.

    Attributes:
        kind: Declared or known kind of balancer, None to go by detection.
        lanes: Check id to the lane that it ran in.
        durations_s: Check id to how long its run took.
        acceptances: (check id, because, until) of the balancer file.
        core_only: Leave out variants that are not core.
        errors: Check id to what its run raised: it is unknown then.
    """

    nodes: tuple[str, ...]
    tier: Tier
    patience_s: float
    max_upload: int
    public_name: str
    kind: str | None = None
    layer: Literal["l4", "l7"] = "l7"
    all_drained: Literal["closed", "open"] | None = None
    failback: Literal["manual", "auto"] | None = None
    acceptances: tuple[tuple[str, str, str], ...] = ()
    core_only: bool = False
    lanes: Mapping[str, str] = field(default_factory=dict)
    durations_s: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the document that is saved."""
        return asdict(self)


def facts_from(document: Mapping[str, Any]) -> Facts:
    """The facts that `document` saved.

    Raises:
        ValueError: when it is not theirs.
    """
    try:
        return Facts(
            **{
                **document,
                "nodes": tuple(document["nodes"]),
                "acceptances": tuple((a, b, c) for a, b, c in document["acceptances"]),
            }
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"not the facts of a run of this version: {exc}") from exc


def detection(histories: Sequence[History]) -> Detected:
    """What kind of balancer it is, by what it said and how it probes."""
    attempts = [a for history in histories for a in history.attempts if a.status is not None]
    return detect(attempts, [p for history in histories for p in history.probes])


def judge(
    ids: Sequence[str], facts: Facts, histories: Mapping[str, History], calibration: Calibration, today: datetime.date
) -> list[CheckResult]:
    """Results of the checks named, in the order of the catalogue."""
    kind = facts.kind or detection(list(histories.values())).kind
    done = [CHECKS[id_] for id_ in CHECKS if id_ in ids]
    # Budgets come from the lane that calibrated: what it lost is missing to every check that is held to a reaction time.
    doubt = [d for history in histories.values() if history.steps_of("calibration") for d in history.dropped]
    results = [
        _judge_one(
            check, facts, histories[facts.lanes[check.id]], calibration, kind, today,
            doubt=[] if check.lane in _WITHOUT_BUDGETS else doubt,
        )
        for check in done
    ]  # fmt: skip
    return _said_once(results)


def _said_once(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Results without the fixes that the root of what they found shows already."""
    shown = {result.id: result.fixes for result in results}
    return [
        replace(
            result, fixes=tuple(one for one in result.fixes if all(one not in shown.get(r, ()) for r in _roots(result)))
        )
        for result in results
    ]


def _roots(result: CheckResult) -> set[str]:
    return {v.caused_by for v in result.variants if v.caused_by is not None} - {result.id}


def _judge_one(
    check: Check, facts: Facts, history: History, calibration: Calibration, kind: str | None, today: datetime.date, *,
    doubt: Sequence[Dropped],
) -> CheckResult:  # fmt: skip
    case = Case(
        history=history,
        calibration=calibration,
        nodes=facts.nodes,
        tier=facts.tier,
        patience_s=facts.patience_s,
        max_upload=facts.max_upload,
        public_name=facts.public_name,
        all_drained=facts.all_drained,
        layer=facts.layer,
        failback=facts.failback,
    )
    variants = _variants(check, case, facts, doubt)
    if facts.core_only and variants:
        variants = [v for v in variants if v.level == "core"] or [
            case.skips("core", "core", "this check has no core claim, and only those were asked for")
        ]
    variants = [_as_limitation(v, kind) for v in variants]
    result = merge(check.id, check.name, check.profile, variants, duration_s=facts.durations_s.get(check.id, 0.0))
    result = replace(result, fixes=_fixes(variants, kind))
    for id_, because, until in facts.acceptances:
        if id_ == check.id:
            result = accept(result, because, until, expired=today > datetime.date.fromisoformat(until))
    return result


def _variants(check: Check, case: Case, facts: Facts, doubt: Sequence[Dropped]) -> list[Variant]:
    if (error := facts.errors.get(check.id)) is not None:
        return [case.unknown("run", "core", f"the check could not be run: {error}")]
    if missing := {*case.history.dropped, *doubt}:
        lost = sum(d.entries for d in missing)
        return [
            case.unknown(
                "evidence", "core", f"the nodes' journals dropped {lost} entries; nothing can be said", dropped=lost
            )
        ]
    try:
        return _limited(case, check.id, check.judge(case))
    except Exception as exc:  # noqa: BLE001  # a judge that fails must never read as a pass, nor end the run
        return [case.unknown("judge", "core", f"the judge failed: {exc!r}")]


def _limited(case: Case, check: str, variants: list[Variant]) -> list[Variant]:
    """Nothing is the balancer's failure where the nodes themselves refused this check's requests, or the traffic beside it
    (`mocknode up --rate`)."""
    asked = {a.id for a in case.history.attempts if a.check in (check, "traffic") and a.variant != LIMIT}
    refused = sum(r.status == int(LIMIT) and r.attempt in asked for r in case.history.requests)
    if not refused:
        return variants
    text = (
        f"the nodes themselves refused {refused} requests with 429; start the cluster without a limit of its rate, or with "
        "--rate-audit"
    )
    broken = (Outcome.FAIL, Outcome.ADVICE)
    return [case.unknown(v.name, v.level, text, **v.evidence) if v.outcome in broken else v for v in variants]


def _as_limitation(variant: Variant, kind: str | None) -> Variant:
    """A failure that no configuration of this product can mend."""
    if kind is None or variant.cause is None or variant.outcome not in (Outcome.FAIL, Outcome.ADVICE):
        return variant
    reason = limitation(kind, cause_of(variant.cause))
    if reason is None:
        return variant
    return replace(variant, outcome=Outcome.LIMITATION, summary=f"{variant.summary}. {reason}")


def _fixes(variants: Sequence[Variant], kind: str | None) -> tuple[Fix, ...]:
    """One fix for each cause that is a finding of its own, in the order of the variants' badness.

    One whose lines all stand in another's is left out: pasting both would set them twice.
    """
    found: dict[str, Fix] = {}
    for variant in sorted(variants, key=lambda v: v.outcome.badness):
        # A limitation has said already what to change or buy.
        if variant.cause is not None and variant.cause not in found and variant.outcome is not Outcome.LIMITATION:
            cause = cause_of(variant.cause)
            found[variant.cause] = (fix(kind, cause) if kind else None) or generic_fix(cause)
    fixes = tuple(found.values())
    return tuple(one for one in fixes if not any(_changes(one) < _changes(other) for other in fixes))


def _changes(mending: Fix) -> frozenset[str]:
    return frozenset(line for line in mending.snippet.splitlines() if line.startswith(("+", "-")))


def for_timeline(history: History, check: Check) -> History:
    """The history as a timeline of one check wants it: the walk that it read counts as its own."""
    shared = {drain_sequence.ID} if check.run is drain_sequence.run else {"calibration"} if check.run is None else set()
    return History(
        attempts=[replace(a, check=check.id) if a.check in shared else a for a in history.attempts],
        requests=history.requests,
        probes=history.probes,
        connections=history.connections,
        states=history.states,
        faults=history.faults,
        dropped=history.dropped,
        steps=[replace(s, check=check.id) if s.check in shared else s for s in history.steps],
        sessions=history.sessions,
        tentacles=history.tentacles,
        synced_ns=history.synced_ns,
    )
