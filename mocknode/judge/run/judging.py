"""Turns the record of a run into results: applies each check's judge, and the rules that all checks share.

The shared rules: a check whose evidence was dropped is unknown; a failure that no configuration of this product can fix is a
limitation; failures that the owner has accepted are accepted; each result names the fixes for this balancer. Nothing here does I/O.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from mocknode.judge.balancers import fitted, fix, generic_fix, limitation
from mocknode.judge.catalogue import hc_02
from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.registry import CHECKS, cause_of
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record import steps
from mocknode.judge.record.history import Dropped, History
from mocknode.judge.record.steps import NotRestored
from mocknode.judge.verdict import foreign, refusals
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.detection import Detected, detect
from mocknode.judge.verdict.outcome import CheckResult, Fix, Outcome, Tier, Variant, accept, merge
from mocknode.judge.verdict.own_answers import answer_for_uploads
from mocknode.judge.verdict.returning import not_returned

_WITHOUT_BUDGETS = ("heavy", "light", "waiting")
"""No check of these lanes depends on how fast the balancer reacts."""

_OF_REQUESTS: Final = frozenset({
    "forwarded-proto-missing", "original-host-missing", "forwarded-for-missing", "spoofed-forwarded-passed",
})  # fmt: skip
"""Causes whose fix sets headers, which a balancer of layer 4 cannot."""
_ON_LAYER_4: Final = {
    "file": "Octopus, Trusted Proxies",
    "snippet": "In Octopus leave the balancer out of Trusted Proxies: on layer 4 it passes requests on as clients sent them.",
    "costs": "The audit log has the balancer's address, unless it keeps the client's.",
}

_Refusals = Mapping[str, refusals.Refusal]

LIMIT: Final = "429"
"""The status of a node's own rate limiter. A check that makes nodes answer it on purpose has a variant of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What judging needs beside the histories, and what is saved with them.

    Attributes:
        kind: Declared or known kind of balancer; None to detect it.
        lanes: Check id -> the lane that it ran in.
        durations_s: Check id -> how long its run took.
        acceptances: (check id, because, until), from the balancer file.
        core_only: Leave out variants that are not core.
        errors: Check id -> the error that ended its run, which makes it unknown.
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
        """Return the facts as `run.json` has them."""
        return asdict(self)


def facts_from(document: Mapping[str, Any]) -> Facts:
    """Return the facts that `Facts.document` made.

    Raises:
        ValueError: the document was made by something else, or by another version.
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


def detection(histories: Sequence[History], calibration: Calibration) -> Detected:
    """Detect the kind of balancer from its answers and its probes, not from those of monitors and of balancers that are gone."""
    attempts = [a for history in histories for a in history.attempts if a.status is not None]
    others = {(p.source, p.user_agent) for p in calibration.probers if p.role in ("monitor", "gone")}
    probes = [
        p for history in histories for p in history.probes if (p.peer.rsplit(":", 1)[0], p.user_agent) not in others
    ]
    return detect(attempts, probes)


def judge(
    ids: Sequence[str], facts: Facts, histories: Mapping[str, History], calibration: Calibration, today: datetime.date
) -> list[CheckResult]:
    """Judge the checks with these ids, in the order of the catalogue."""
    owners = _owners(ids)
    kind = facts.kind or detection(list(histories.values()), calibration).kind
    done = [CHECKS[id_] for id_ in CHECKS if id_ in ids]
    # Reaction times come from the lane that calibrated, so entries that it lost make every check doubtful that depends on them.
    lost = [d for history in histories.values() if history.steps_of("calibration") for d in history.dropped]
    shared = _refused_traffic(histories)
    known = _reported(done, facts, histories, calibration)
    results = [
        _judge_one(
            check, facts, histories[facts.lanes[check.id]], calibration, kind, today,
            refused=refusals_of(check, histories[facts.lanes[check.id]], shared), known=known,
            owned=[name for name, owner in owners.items() if owner == check.id],
            lost=[] if check.lane in _WITHOUT_BUDGETS else lost,
        )
        for check in done
    ]  # fmt: skip
    return _without_repeated_fixes(results)


def _refused_traffic(histories: Mapping[str, History]) -> _Refusals:
    """Return why requests were refused by which the lane that calibrated measured how the balancer reacts."""
    found: dict[str, refusals.Refusal] = {}
    for history in histories.values():
        if history.steps_of("calibration"):
            found |= refusals.refusals(history, history.attempts_of("traffic", "calibration"))
    return found


def refusals_of(check: Check, history: History, shared: _Refusals) -> tuple[_Refusals, _Refusals]:
    """Return why requests of this check were refused, and why those were that it measures by."""
    mine = refusals.refusals(history, history.attempts_of(check.id))
    if check.lane in _WITHOUT_BUDGETS:
        return mine, {}
    names = (check.id, drain_sequence.ID, "restore")
    traffic = [a for a in history.attempts if a.check == "traffic" and a.variant in names]
    return mine, {**shared, **refusals.refusals(history, traffic)}


def _reported(
    done: Sequence[Check], facts: Facts, histories: Mapping[str, History], calibration: Calibration
) -> set[str]:
    """Return the causes of refused requests that the check which is to report them has found."""
    found: set[str] = set()
    for cause, id_ in refusals.ROOTS.items():
        if any(check.id == id_ for check in done):
            variants = _variants(CHECKS[id_], _case(facts, histories[facts.lanes[id_]], calibration), facts, (), ())
            found |= {cause for v in variants if v.cause == cause and v.outcome is Outcome.FAIL}
    return found


def _owners(ids: Sequence[str]) -> dict[str, str]:
    """Return which check answers for a node that did not come back, by the name under which that was recorded."""
    disturbing = [id_ for id_, check in CHECKS.items() if id_ in ids and check.lane not in _WITHOUT_BUDGETS]
    owners = {id_: id_ for id_ in ids if id_ != hc_02.ID}  # That check judges its own.
    for name, id_ in (("calibration", "HC-01"), (drain_sequence.ID, "DR-05")):
        if id_ in ids or disturbing:
            owners[name] = id_ if id_ in ids else disturbing[0]
    return owners


def _without_repeated_fixes(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Remove fixes from a result if the check that is the root of its failure already shows them."""
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
    refused: tuple[_Refusals, _Refusals], known: set[str], owned: Sequence[str], lost: Sequence[Dropped],
) -> CheckResult:  # fmt: skip
    case = _case(facts, history, calibration)
    variants = refusals.blame(check.id, _variants(check, case, facts, lost, owned), *refused, known)
    if facts.core_only and variants:
        variants = [v for v in variants if v.level == "core"] or [
            case.skips("core", "core", "this check has no core claim, and the run was asked for core claims only")
        ]
    variants = [_as_limitation(v, kind) for v in variants]
    result = merge(check.id, check.name, check.profile, variants, duration_s=facts.durations_s.get(check.id, 0.0))
    result = replace(result, fixes=_fixes(variants, kind, facts.layer))
    for id_, because, until in facts.acceptances:
        if id_ == check.id:
            result = accept(result, because, until, expired=today > datetime.date.fromisoformat(until))
    return result


def _case(facts: Facts, history: History, calibration: Calibration) -> Case:
    return Case(
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


def _variants(check: Check, case: Case, facts: Facts, lost: Sequence[Dropped], owned: Sequence[str]) -> list[Variant]:
    if (error := facts.errors.get(check.id)) is not None:
        return [case.unknown("run", "core", f"the check could not be run: {error}")]
    if missing := {*case.history.dropped, *lost}:
        entries = sum(d.entries for d in missing)
        text = f"the nodes' journals dropped {entries} entries, so the check cannot be judged"
        return [case.unknown("evidence", "core", text, dropped=entries)]
    try:
        found = answer_for_uploads(case, check.id, check.judge(case))
        for name in owned:
            for step in steps.read(case.history, name, NotRestored):
                found += not_returned(case, step)
        return _limited(case, check.id, foreign.blame(case.history, check.id, found))
    except Exception as exc:  # noqa: BLE001  # an error in a judge must neither count as a pass nor end the run
        return [case.unknown("judge", "core", f"the judge failed: {exc!r}")]


def _limited(case: Case, check: str, variants: list[Variant]) -> list[Variant]:
    """Turn failures into unknowns if the nodes' own rate limit (`mocknode up --rate`) refused requests of this check or of the
    background traffic.
    """
    asked = {a.id for a in case.history.attempts if a.check in (check, "traffic") and a.variant != LIMIT}
    refused = sum(r.status == int(LIMIT) and r.attempt in asked for r in case.history.requests)
    if not refused:
        return variants
    text = f"the nodes themselves refused {refused} requests with 429; start the cluster without --rate, or with --rate-audit"
    broken = (Outcome.FAIL, Outcome.ADVICE)
    return [case.unknown(v.name, v.level, text, **v.evidence) if v.outcome in broken else v for v in variants]


def _as_limitation(variant: Variant, kind: str | None) -> Variant:
    """Turn a failure into a limitation if no configuration of this product can fix it."""
    if kind is None or variant.cause is None or variant.outcome not in (Outcome.FAIL, Outcome.ADVICE):
        return variant
    reason = limitation(kind, cause_of(variant.cause))
    if reason is None:
        return variant
    return replace(variant, outcome=Outcome.LIMITATION, summary=f"{variant.summary}. {reason}")


def fit(results: Sequence[CheckResult], configuration: Mapping[str, str]) -> list[CheckResult]:
    """Return the results with fixes for the configuration that was judged, where its text is known."""
    text = "\n".join(configuration.values())
    return [replace(r, fixes=tuple(fitted(one, text) for one in r.fixes)) for r in results]


def _fixes(variants: Sequence[Variant], kind: str | None, layer: Literal["l4", "l7"]) -> tuple[Fix, ...]:
    """Return one fix for each cause, those of the worst variants first.

    A fix is left out if another one contains all its lines: pasting both would set them twice.
    """
    found: dict[str, Fix] = {}
    for variant in sorted(variants, key=lambda v: v.outcome.badness):
        # The summary of a limitation already says what to change or buy.
        if variant.cause is not None and variant.cause not in found and variant.outcome is not Outcome.LIMITATION:
            cause = cause_of(variant.cause)
            found[variant.cause] = (fix(kind, cause) if kind else None) or generic_fix(cause)
            if layer == "l4" and variant.cause in _OF_REQUESTS:
                found[variant.cause] = replace(found[variant.cause], **_ON_LAYER_4)
    fixes = tuple(found.values())
    return tuple(one for one in fixes if not any(_changes(one) < _changes(other) for other in fixes))


def _changes(one: Fix) -> frozenset[str]:
    return frozenset(line for line in one.snippet.splitlines() if line.startswith(("+", "-")))


def for_timeline(history: History, check: Check) -> History:
    """Return the history for the timeline of one check, in which a sequence of drains that it shares counts as its own."""
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
