"""DR-05 all-drained-policy: what people and CI get when every node is drained, and how soon it ends."""

from typing import Any, Final

from scenarios.catalogue import drain_walk
from scenarios.check import ROOT_OF_BLINDNESS, Case, Check, seconds
from scenarios.history import Step
from scenarios.verdict import Variant

ID: Final = "DR-05"
CONSEQUENCES: Final = {
    "open": "fails open: users still reach the portal (and can end the drain there), and new requests keep landing on drained nodes",
    "closed": "fails closed: no request reaches a drained node, and everybody is locked out until a node returns",
}


def judge(case: Case) -> list[Variant]:
    """An answer within 5 s, recovery within the calibrated reaction; open or closed is a policy."""
    variants = []
    for step in case.history.steps_of(drain_walk.ID, "all-out-done"):
        variants += [_answers(case, step), _recovery(case, step)]
        if step.detail["variant"] == "418":
            variants.append(_policy(case))
    return variants


def _answers(case: Case, step: Step) -> Variant:
    name = str(step.detail["variant"])
    attempts = case.history.of(ID, name)
    slow = [a for a in attempts if a.status is None or a.duration_s > drain_walk.ANSWER_S_MAX]
    evidence: dict[str, Any] = {
        "asked": len(attempts), "slow": len(slow), "slowest_s": round(max((a.duration_s for a in attempts), default=0.0), 2),
        "statuses": sorted({str(a.status or a.end) for a in attempts}),
    }  # fmt: skip
    # A refused or reset connection is an answer at once: F5 resets when a pool is empty.
    silent = [a for a in slow if a.end == "timeout" or a.duration_s > drain_walk.ANSWER_S_MAX]
    if not attempts:
        return case.unknown(f"{name}-answer", "core", "nothing was asked")
    if silent:
        summary = f"with all nodes out ({name}) {len(silent)} of {len(attempts)} requests had no answer within 5 s"
        hurts = "CI jobs hang instead of failing at once"
        return case.breaks(f"{name}-answer", "core", summary, cause="all-drained-no-answer", hurts=hurts, **evidence)
    return case.holds(
        f"{name}-answer", "core", f"with all nodes out ({name}) everybody gets an answer at once", **evidence
    )


def _recovery(case: Case, step: Step) -> Variant:
    name, node, back_ns = str(step.detail["variant"]), str(step.detail["node"]), int(step.detail["back_ns"])
    served = [a for a in case.history.attempts if a.started_ns >= back_ns and a.node == node and a.status == 200]
    evidence: dict[str, Any] = {"node": node, "after_s": seconds(served[0].ended_ns - back_ns) if served else None}
    budget_s = 2 * case.calibration.in_budget_s + 2.0
    if not served or served[0].ended_ns > back_ns + budget_s * 1e9:
        summary = f"after all nodes were out ({name}) and one returned, it got no traffic within {budget_s:.1f} s"
        hurts = "everybody: the outage outlasts its cause"
        root = ROOT_OF_BLINDNESS if case.blind else None
        cause = "all-drained-no-recovery"
        return case.breaks(f"{name}-recovery", "core", summary, cause=cause, caused_by=root, hurts=hurts, **evidence)
    return case.holds(f"{name}-recovery", "core", "traffic flows as soon as one node is back", **evidence)


def _policy(case: Case) -> Variant:
    attempts = case.history.of(ID, "418")
    if not attempts:
        return case.unknown("policy", "policy", "nothing was asked")
    found = "open" if any(a.node is not None for a in attempts) else "closed"
    statuses = sorted({str(a.status or a.end) for a in attempts})
    evidence: dict[str, Any] = {"policy": found, "declared": case.all_drained, "statuses": statuses}
    if case.all_drained is None:
        return case.observes(
            "policy", f"with all nodes drained this balancer {CONSEQUENCES[found]} ({', '.join(statuses)})", **evidence
        )
    if case.all_drained == found:
        return case.holds(
            "policy", "policy", f"with all nodes drained the balancer fails {found}, as declared", **evidence
        )
    summary = f"with all nodes drained the balancer fails {found}; declared is {case.all_drained}"
    return case.breaks(
        "policy", "core", summary, cause="all-drained-policy-differs", caused_by=ROOT_OF_BLINDNESS if case.blind else None,
        hurts="whoever relies on the declared policy: " + CONSEQUENCES[found], **evidence,
    )  # fmt: skip


CHECK = Check(
    id=ID,
    name="all-drained-policy",
    profile="web",
    claim="With every node drained everybody gets an answer at once, and traffic flows as soon as one returns.",
    offenders=(
        "open: ALB, NLB, Front Door, Traffic Manager, Envoy by default",
        "closed: nginx Plus, HAProxy, Traefik, Caddy, Apache, Application Gateway, F5",
    ),
    quick="all 418",
    full="all 418, all 503, all refused",
    lane="drains",
    judge=judge,
    run=drain_walk.run,
    disturbs=True,
)
