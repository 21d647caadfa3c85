"""DR-04 majority-drained: with all nodes but one drained, everything goes to the last one."""

from collections import Counter
from typing import Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record import steps
from mocknode.judge.verdict import foreign
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant
from mocknode.judge.verdict.own_answers import HURTS, own_successes

ID: Final = "DR-04"


def judge(case: Case) -> list[Variant]:
    """The last node serves every new request."""
    done = steps.first(case.history, drain_sequence.ID, drain_sequence.OneLeftDone)
    first = steps.first(case.history, drain_sequence.ID, drain_sequence.FirstDrained)
    if done is None or first is None:
        return []
    survivor, since_ns = done.facts.node, done.facts.since_ns
    sent = [a for a in case.history.attempts_of("traffic", drain_sequence.ID) if since_ns <= a.started_ns < done.t_ns]
    reached = Counter(r.node for r in case.history.requests if r.attempt is not None and since_ns <= r.t_ns < done.t_ns)
    false = {a.id for a in own_successes(case.history, sent)}
    failed = [a for a in sent if a.status != 200 or a.id in false]
    evidence: dict[str, Any] = {
        "survivor": survivor,
        "sent": len(sent),
        "reached": dict(reached),
        "errors": len(failed),
    }
    wrong = sum(count for node, count in reached.items() if node != survivor)
    if len(sent) < case.requests_to_confirm_out:
        return [case.unknown("one-left", "core", "too few requests to tell", **evidence)]
    if wrong:
        alone_works = first.facts.out_ns is not None
        cause = "panic-mode" if alone_works and not case.blind else "drained-node-stays"
        summary = f"with {len(case.nodes) - 1} of {len(case.nodes)} nodes drained, {wrong} of {sum(reached.values())} requests went to drained ones"
        if cause == "panic-mode":
            summary += ": this balancer ignores health below a share of healthy nodes"
        return [
            case.breaks(
                "one-left", "core", summary, cause=cause, caused_by=None if cause == "panic-mode" else _root(case),
                hurts="users while most nodes are patched: their requests land on nodes that are being taken down",
                ruled_out=("not the drain as such: while a single node was drained it got nothing",) if cause == "panic-mode" else (),
                **evidence,
            )
        ]  # fmt: skip
    if false:
        summary = f"with one node left the balancer itself answers {len(false)} of {len(sent)} requests with a success, which no node gave"
        cause, root, hurts = "own-answer-is-success", None, HURTS
        if foreign.known(case.history) is not None:
            summary = (
                f"with one node left {len(false)} of {len(sent)} requests go to a server that is none of the nodes"
            )
            cause, root, hurts = foreign.CAUSE, foreign.ROOT, foreign.HURTS
        return [case.breaks("one-left", "core", summary, cause=cause, caused_by=root, hurts=hurts, **evidence)]
    if failed:
        summary = f"with one node left {len(failed)} of {len(sent)} requests failed, first with {failed[0].status or failed[0].end}"
        hurts = "users while most nodes are patched"
        return [case.breaks("one-left", "core", summary, cause="survivor-errors", hurts=hurts, **evidence)]
    return [case.holds("one-left", "core", f"all {len(sent)} requests went to the last node", **evidence)]


def _root(case: Case) -> str:
    return case.root_of_blindness or "HC-02"


CHECK = Check(
    id=ID,
    name="majority-drained",
    profile="web",
    claim="With every node but one drained, all new requests go to that one, without errors.",
    offenders=(
        "Envoy and everything built on it: below 50 % healthy it ignores health (panic mode)",
        "ALB and NLB with a minimum healthy percentage; Cloudflare with a pool threshold",
    ),
    quick="nodes are drained one by one until one is left",
    full="the same",
    causes=(
        Cause(
            "panic-mode",
            Advice(
                do="Turn off the threshold below which the balancer ignores health (panic, fail open, minimum healthy percentage).",
                costs="With all nodes out clients get an error instead of a draining node.",
            ),
        ),
        Cause(
            "survivor-errors",
            Advice(
                do=(
                    "Let the one node that is left take what all took (limits of connections, requests or queue a node), and look for a rule "
                    "of the balancer that answers with errors by itself."
                ),
                costs="The remaining node does the work of all.",
            ),
        ),
    ),
    lane="drains",
    judge=judge,
    run=drain_sequence.run,
)
