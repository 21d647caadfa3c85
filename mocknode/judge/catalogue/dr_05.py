"""DR-05 all-drained-policy: what people and CI get when every node is drained, and how soon it ends."""

from typing import Any, Final

from mocknode.judge.catalogue import dr_04
from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import advice, drain_sequence
from mocknode.judge.catalogue.shared.drain_sequence import AllOutDone
from mocknode.judge.record import steps
from mocknode.judge.record.history import Attempt
from mocknode.judge.record.steps import Recorded
from mocknode.judge.verdict import foreign
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant
from mocknode.judge.verdict.own_answers import HURTS, own_successes

ID: Final = "DR-05"
CONSEQUENCES: Final = {
    "open": "fails open: users still reach the portal (and can end the drain there), and new requests keep landing on drained nodes",
    "closed": "fails closed: no request reaches a drained node, and everybody is locked out until a node returns",
}


def judge(case: Case) -> list[Variant]:
    """Answers come within 5 s and are no success, and traffic recovers within the calibrated reaction; open or closed is a policy."""
    variants = []
    for step in steps.read(case.history, drain_sequence.ID, AllOutDone):
        variants += [_answers(case, step), _recovery(case, step)]
        if step.facts.variant == "418":
            variants.append(_policy(case))
    return variants


def _answers(case: Case, step: Recorded[AllOutDone]) -> Variant:
    name = step.facts.variant
    attempts = case.history.attempts_of(ID, name)
    slow = [a for a in attempts if a.status is None or a.duration_s > drain_sequence.ANSWER_S_MAX]
    evidence: dict[str, Any] = {
        "asked": len(attempts), "slow": len(slow), "slowest_s": round(max((a.duration_s for a in attempts), default=0.0), 2),
        "statuses": sorted({str(a.status or a.end) for a in attempts}),
    }  # fmt: skip
    # A refused or reset connection counts as an immediate answer: F5 resets when a pool is empty.
    silent = [a for a in slow if a.end == "timeout" or a.duration_s > drain_sequence.ANSWER_S_MAX]
    if not attempts:
        return case.unknown(f"{name}-answer", "core", "nothing was asked")
    if silent:
        summary = f"with all nodes out ({name}) {len(silent)} of {len(attempts)} requests had no answer within 5 s"
        hurts = "CI jobs hang instead of failing immediately"
        return case.breaks(f"{name}-answer", "core", summary, cause="all-drained-no-answer", hurts=hurts, **evidence)
    if false := own_successes(case.history, attempts):
        return _answered_by_itself(case, name, false, evidence)
    return case.holds(
        f"{name}-answer", "core", f"with all nodes out ({name}) every request is answered immediately", **evidence
    )


def _answered_by_itself(case: Case, name: str, false: list[Attempt], evidence: dict[str, Any]) -> Variant:
    """Return the failure of a balancer that answers with a success, or sends clients to a page, when no node can serve."""
    telling = next((a for a in false if a.sha1 is not None), false[0])
    what = f"by the balancer itself with a page and {telling.status}"
    if telling.told != "acknowledged":
        what = f"by the balancer itself with {telling.status} to {telling.header('Location')}, where clients that follow get a page instead of a node"
    cause, root, hurts = "own-answer-is-success", None, HURTS
    if foreign.known(case.history) is not None:
        what, cause, root, hurts = (
            f"with {telling.status} by a server that is none of the nodes",
            foreign.CAUSE,
            foreign.ROOT,
            foreign.HURTS,
        )
    stored = "" if telling.sha1 is None else "; an upload is among them, and no node has it"
    return case.breaks(
        f"{name}-answer", "core", f"with all nodes out ({name}) {len(false)} of {evidence['asked']} requests are answered {what}{stored}",
        cause=cause, caused_by=root, hurts=hurts, attempt=telling.id, server=telling.header("Server"),
        answer=" ".join(telling.body.split()), **evidence,
    )  # fmt: skip


def _recovery(case: Case, step: Recorded[AllOutDone]) -> Variant:
    name, node, back_ns = f"{step.facts.variant}-recovery", step.facts.node, step.facts.back_ns
    flows_ns = _flows_from(case, step)
    after_s = None if flows_ns is None else (flows_ns - back_ns) / 1e9
    evidence: dict[str, Any] = {"node": node, "after_s": None if after_s is None else round(after_s, 3)}
    budget_s = 2 * case.calibration.in_budget_s + 2.0
    if after_s is not None and after_s <= budget_s:
        return case.holds(name, "core", "traffic flows as soon as one node is back", **evidence)
    returned = f"after all nodes were out ({step.facts.variant}) and one returned"
    if after_s is not None and case.blind:
        # Without probes there is no calibrated reaction to compare with; passive health marks expire after a while.
        return case.observes(name, f"{returned}, requests failed for another {after_s:.1f} s", **evidence)
    summary = f"{returned}, traffic did not flow within {budget_s:.1f} s"
    # One of many nodes is back: a balancer that ignores health below a share of nodes goes on using those that are out.
    panics = any(v.cause == "panic-mode" for v in dr_04.judge(case))
    root = case.root_of_blindness or (dr_04.ID if panics else None)
    hurts = "everybody: the outage outlasts its cause"
    return case.breaks(name, "core", summary, cause="all-drained-no-recovery", caused_by=root, hurts=hurts, **evidence)


def _flows_from(case: Case, step: Recorded[AllOutDone]) -> int | None:
    """Return the time from which the returned node serves and no request fails; None if that did not happen."""
    back_ns, node = step.facts.back_ns, step.facts.node
    since = [a for a in drain_sequence.traffic_since(case.history, back_ns) if a.started_ns <= step.t_ns]
    failed_ns = max((a.ended_ns for a in since if a.status != 200), default=back_ns)
    served = (a.ended_ns for a in since if a.node == node and a.status == 200)
    return min((ended_ns for ended_ns in served if ended_ns > failed_ns), default=None)


def _policy(case: Case) -> Variant:
    attempts = case.history.attempts_of(ID, "418")
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
    summary = f"with all nodes drained the balancer fails {found}, but {case.all_drained} is declared"
    return case.breaks(
        "policy", "core", summary, cause="all-drained-policy-differs", caused_by=case.root_of_blindness,
        hurts="whoever relies on the declared policy: " + CONSEQUENCES[found], **evidence,
    )  # fmt: skip


CHECK = Check(
    id=ID,
    name="all-drained-policy",
    profile="web",
    claim="With every node drained every request is answered immediately, and never with a success; traffic flows as soon as one node returns.",
    offenders=(
        "open: ALB, NLB, Front Door, Traffic Manager, Envoy by default",
        "closed: nginx Plus, HAProxy, Traefik, Caddy, Apache, Application Gateway, F5",
        "a sorry page with status 200, such as nginx' `error_page 502 =200`, or a redirect to one",
    ),
    quick="all 418",
    full="all 418, all 503, all refused",
    causes=(
        Cause(
            "all-drained-no-answer",
            Advice(
                do="Let the balancer answer immediately (503) when no node is healthy, instead of waiting or dropping the connection.",
                costs="Nothing.",
            ),
        ),
        Cause(
            "own-answer-is-success",
            Advice(
                do="Give every page that the balancer answers by itself the status of an error, 503 for a sorry page, and never redirect to it.",
                costs="Nothing; browsers show the page all the same.",
            ),
        ),
        Cause("all-drained-no-recovery", advice.PROBE_WHILE_IDLE),
        Cause(
            "all-drained-policy-differs",
            Advice(
                do="Choose what happens when all nodes drain (open or closed), or declare in the balancer file what this product does.",
                costs=(
                    "open: users reach the portal and CI reaches nodes that are about to stop; "
                    "closed: the administrator un-drains on a node itself."
                ),
            ),
        ),
    ),
    lane="drains",
    judge=judge,
    run=drain_sequence.run,
)
