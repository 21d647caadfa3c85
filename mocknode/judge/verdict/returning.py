"""Judges a node that was healthy again after a check and got no more requests, from the probes that it saw or did not see."""

from collections.abc import Sequence

from mocknode.judge.record.history import Probe
from mocknode.judge.record.steps import NotRestored, Recorded
from mocknode.judge.verdict import rotation
from mocknode.judge.verdict.case import Case, seconds
from mocknode.judge.verdict.outcome import Variant

CAUSE = "node-stays-out"
# Pings that are answered 200 show that the balancer keeps the node out for a reason of its own.
UNTELLING = ("probe-expects-other",)
HURTS = "everybody, more with each drain: a node that left does not come back by itself, until none is left"
# Fewer probes of the other nodes than this may be a pause.
OTHERS_PROBED_MIN = 3


def not_returned(case: Case, step: Recorded[NotRestored]) -> list[Variant]:
    """Return a failure for each node that the balancer left out although it was healthy again."""
    return [_left_out(case, step, node) for node in step.facts.nodes]


def gave_up(case: Case, node: str, since_ns: int, until_ns: int) -> Probe | None:
    """Return the last probe of a node that is not probed any more while others are; None if it is, or nobody is."""
    probes = [p for p in case.history.probes if not p.forwarded and p.t_ns < until_ns]
    since = [p for p in probes if p.t_ns >= since_ns]
    others = sum(p.node != node for p in since)
    if others < OTHERS_PROBED_MIN or any(p.node == node for p in since):
        return None
    return max((p for p in probes if p.node == node), key=lambda p: p.t_ns, default=None)


def _left_out(case: Case, step: Recorded[NotRestored], node: str) -> Variant:
    since_ns, waited_s = step.facts.since_ns, step.facts.waited_s
    since = [p for p in case.history.probes if p.node == node and since_ns <= p.t_ns < step.t_ns]
    last = gave_up(case, node, since_ns, step.t_ns)
    reason = rotation.why(case.history, [node], since_ns, step.t_ns)
    if reason is not None and reason.cause not in UNTELLING:
        summary = f"{node} was healthy again, but got no request for {waited_s:.0f} s: {reason.summary}"
        return case.breaks(
            f"{node}-returns",
            "core",
            summary,
            cause=reason.cause,
            hurts=HURTS,
            node=node,
            waited_s=round(waited_s, 1),
            **reason.evidence,
        )
    healthy = f"{node} was healthy again, but got no request for {waited_s:.0f} s"
    if last is not None:
        answer = f"was answered {last.status}" if last.status is not None else "had no answer"
        summary = f"{healthy}: the balancer has not asked it since its ping {answer}, {(since_ns - last.t_ns) / 1e9:.0f} s before"
    elif since:
        statuses = sorted({str(p.status) for p in since})
        summary = f"{healthy}, although it answered {len(since)} pings with {', '.join(statuses)}"
    else:
        summary = healthy
    return case.breaks(
        f"{node}-returns", "core", summary, cause=CAUSE, hurts=HURTS, ruled_out=_ruled_out(case, node, since, step),
        node=node, waited_s=round(waited_s, 1), probes_since=len(since),
        last_probe_s=None if last is None else seconds(last.t_ns - since_ns), last_status=None if last is None else last.status,
    )  # fmt: skip


def _ruled_out(case: Case, node: str, since: Sequence[Probe], step: Recorded[NotRestored]) -> tuple[str, ...]:
    others = sum(p.node != node and step.facts.since_ns <= p.t_ns < step.t_ns for p in case.history.probes)
    found = ["not the node: its faults were removed and it was online"]
    if others:
        found.append(f"not a pause of all probes: the other nodes were asked {others} times meanwhile")
    if since and all(p.status == 200 for p in since):
        found.append("not the ping: every one of them was answered 200")
    return tuple(found)
