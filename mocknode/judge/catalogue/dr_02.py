"""DR-02 kept-alive-client-moves: a kept connection last served by a node continues on another when that node is drained."""

from typing import Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record import steps
from mocknode.judge.verdict.case import Case, limited_on_l4
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

ID: Final = "DR-02"


def judge(case: Case) -> list[Variant]:
    """After the drain another node serves every request on a kept connection, without a new connection."""
    drained = steps.first(case.history, drain_sequence.ID, drain_sequence.FirstDrained)
    if drained is None:
        return []
    names = [n for n in ("http1", "http2") if case.history.attempts_of(ID, f"{n}-before")]
    found = [_judge_connection(case, name, drained.facts.node, out=drained.facts.out_ns is not None) for name in names]
    if without := steps.first(case.history, drain_sequence.ID, drain_sequence.NoHttp2):
        found.append(case.skips("http2", "core", f"no HTTP/2 at this front door: {without.facts.why}"))
    return found


def _judge_connection(case: Case, name: str, node: str, *, out: bool) -> Variant:
    before, after = case.history.attempts_of(ID, f"{name}-before"), case.history.attempts_of(ID, f"{name}-after")
    stayed = [a for a in after if a.node == node]
    broken = [a for a in after if a.status != 200 or a.end != "complete"]
    evidence: dict[str, Any] = {
        "node": node, "before": [a.node for a in before[-3:]], "after": [a.node for a in after], "broken": len(broken),
        "attempts": [a.id for a in (stayed + broken)[:3]],
    }  # fmt: skip
    hurts = "browsers and CI clients with an open connection: they stay on the node until it is gone"
    if not before or before[-1].node != node or not after:
        return case.unknown(name, "core", "the node that was drained had not served this connection", **evidence)
    if broken:
        summary = f"a kept {name} connection is closed or fails when the node behind it is drained: {broken[0].error or broken[0].status}"
        return case.breaks(name, "core", summary, cause="kept-alive-closed", hurts=hurts, **evidence)
    if stayed and not out:
        summary = "requests on a kept connection still reach the drained node, like all other requests"
        return case.breaks(
            name, "core", summary, cause="drained-node-stays", caused_by=case.root_of_blindness or "HC-02",
            hurts=hurts, **evidence,
        )  # fmt: skip
    if stayed:
        summary = "a connection stays with its drained node; new connections go elsewhere"
        found = case.breaks(name, "core", summary, cause="kept-alive-pinned", hurts=hurts, **evidence)
        return limited_on_l4(case, found)
    return case.holds(name, "core", "requests on the same connection move to another node", **evidence)


CHECK = Check(
    id=ID,
    name="kept-alive-client-moves",
    profile="web",
    claim="The next request on a kept connection goes to another node once its node is drained.",
    offenders=("every balancer on layer 4: NLB, Azure Load Balancer, `stream` and `mode tcp`",),
    quick="one HTTP/1.1 and one HTTP/2 connection",
    full="the same",
    causes=(
        Cause(
            "kept-alive-pinned",
            Advice(
                do="Balance requests (layer 7), not connections.",
                costs="The balancer must terminate TLS; :10943 must stay layer 4.",
            ),
        ),
        Cause(
            "kept-alive-closed",
            Advice(
                do="Keep clients' idle connections at least 60 s, and let a drain end none of them.",
                costs="Idle clients hold connections.",
            ),
        ),
    ),
    lane="drains",
    judge=judge,
    run=drain_sequence.run,
)
