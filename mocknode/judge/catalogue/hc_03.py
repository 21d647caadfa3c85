"""HC-03 hung-probe-isolated: a node accepts the probe and never answers. Is it taken out in time, and are the others still probed?"""

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record import steps
from mocknode.judge.record.history import Probe
from mocknode.judge.record.steps import Recorded, StepFacts
from mocknode.judge.verdict.calibration import gaps_s
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Tier, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "HC-03"
# Fault kind and options for each way to hang; `freeze` stops the whole process instead.
HANGS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "hang": ("hang", {}),
    "reset": ("reset", {"at": "head"}),
    "drip": ("drip", {"rate": "1B"}),
}
QUICK: Final = ("hang", "freeze")
FULL: Final = ("hang", "freeze", "reset", "drip")
# The probe's time-out cannot be seen until it strikes, so 10 s are allowed for it. Of the balancers in the catalogue whose default is
# known and shorter than a minute, Traefik, Caddy and ALB have the longest: 5 s.
PROBE_TIMEOUT_S_MAX: Final = 10.0
FALL_MAX: Final = 3
SLACK_S: Final = 0.5
# The others may go without a probe for this many intervals while one probe hangs; longer means that nodes are probed in turn.
SERIAL_INTERVALS: Final = 2.0
SERIAL_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unseen(StepFacts):
    """The balancer does not ask every node's ping, so a ping that hangs proves nothing."""

    what = "blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class _HangSet(StepFacts):
    """The node's ping hangs from now on, as `how` says."""

    what = "set"
    node: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried(StepFacts):
    """The node's ping hung from `since_ns` until now.

    Attributes:
        out_ns: Time of the last request that reached the node; None when requests still came after `bound_s`.
    """

    what = "tried"
    node: str
    how: str
    since_ns: int
    out_ns: int | None
    bound_s: float


async def run(lab: "Lab") -> None:
    """Make one node's probe hang in each way, until the balancer takes the node out."""
    calibration = await lab.calibrated
    # A balancer that asks the ping and accepts a 418 may still react when no answer comes.
    if not calibration.reacts and calibration.unprobed(lab.nodes):
        lab.step(ID, _Unseen())
        return
    nodes = drain_sequence.disturbed_together(lab.serving, lab.history, calibration)
    bound_s = bound(calibration.interval_s or 1.0)
    for index, name in enumerate(hangs_of(lab.tier)):
        node = nodes[index % len(nodes)]
        async with lab.traffic(ID):
            since_ns = lab.step(ID, _HangSet(node=node, how=name))
            if name == "freeze":
                await lab.state(node, "offline", "freeze")
            else:
                kind, options = HANGS[name]
                await lab.fault([node], kind, options=options, on="ping")
            out_ns = await lab.wait_out(node, since_ns, bound_s)
            if name == "hang" and out_ns is not None:
                await _three_rounds(lab, node, since_ns)
            lab.step(ID, _Tried(node=node, how=name, since_ns=since_ns, out_ns=out_ns, bound_s=bound_s))
        if node == nodes[-1]:
            await lab.restore(ID)


def hangs_of(tier: Tier) -> tuple[str, ...]:
    """Return the ways to hang in this tier, one after another."""
    return QUICK if tier == "quick" else FULL


async def _three_rounds(lab: "Lab", node: str, since_ns: int) -> None:
    """Wait until the balancer has given up on the node's probe three times; it may not do so in time."""
    await lab.until(
        lambda history: sum(p.node == node and p.t_ns >= since_ns for p in history.probes) >= SERIAL_ROUNDS,
        SERIAL_ROUNDS * PROBE_TIMEOUT_S_MAX,
    )


def bound(interval_s: float) -> float:
    """Return the longest time until a hung node must be out: fall x (interval + time-out) + interval + slack."""
    return FALL_MAX * (interval_s + PROBE_TIMEOUT_S_MAX) + interval_s + SLACK_S


def judge(case: Case) -> list[Variant]:
    """A node whose probe hangs is taken out within the bound, and the other nodes are still probed."""
    if steps.first(case.history, ID, _Unseen) is not None:
        hurts = "everybody whose request lands on the hung node: it is never taken out"
        summary = "a node whose ping hangs stays in rotation, because the balancer does not look at the ping"
        return [
            case.breaks(
                "hang", "core", summary, cause="hung-probe-stays", hurts=hurts, caused_by=case.root_of_blindness
            )
        ]
    tried = steps.read(case.history, ID, _Tried)
    variants = [_judge_out(case, step) for step in tried]
    hang = next((step for step in tried if step.facts.how == "hang"), None)
    return [*variants, _judge_serial(case, hang)] if hang else variants


def _judge_out(case: Case, step: Recorded[_Tried]) -> Variant:
    how, node, since_ns, out_ns = step.facts.how, step.facts.node, step.facts.since_ns, step.facts.out_ns
    evidence: dict[str, Any] = {"node": node, "timeout_s": _timeout_s(case, node, since_ns, step.t_ns)}
    if out_ns is None:
        summary = f"a node whose ping does not answer ({how}) still gets requests after {step.facts.bound_s:.0f} s"
        hurts = "everybody whose request lands on the hung node waits for a time-out"
        return case.breaks(how, "core", summary, cause="hung-probe-stays", hurts=hurts, **evidence)
    out_s = round((out_ns - since_ns) / 1e9, 2)
    return case.holds(
        how, "core", f"a node whose ping does not answer ({how}) is out after {out_s} s", out_s=out_s, **evidence
    )


def _timeout_s(case: Case, node: str, since_ns: int, until_ns: int) -> float | None:
    """Return how long the balancer waited before it gave up a probe, if the node was alive to see that."""
    waits = [
        (p.ended_ns - p.t_ns) / 1e9
        for p in case.history.probes
        if p.node == node and since_ns <= p.t_ns < until_ns and p.status is None and p.ended_ns is not None
    ]
    return round(statistics.median(waits), 2) if waits else None


def _judge_serial(case: Case, step: Recorded[_Tried]) -> Variant:
    node, since_ns = step.facts.node, step.facts.since_ns
    interval_s = case.calibration.interval_s or 1.0
    agents = {(p.source, p.user_agent) for p in case.calibration.probers if p.role == "balancer"}

    def ours(probe: Probe) -> bool:
        return since_ns <= probe.t_ns < step.t_ns and (probe.peer.rsplit(":", 1)[0], probe.user_agent) in agents

    hung = [p for p in case.history.probes if p.node == node and ours(p)]
    longest = {
        other: max(gaps_s([since_ns, *(p.t_ns for p in case.history.probes if p.node == other and ours(p)), step.t_ns]))
        for other in case.nodes
        if other != node
    }
    evidence: dict[str, Any] = {
        "rounds": len(hung),
        "longest_gap_s": round(max(longest.values()), 2),
        "interval_s": interval_s,
    }
    if len(hung) < SERIAL_ROUNDS:
        return case.unknown("parallel-probing", "extended", "fewer than three rounds of probes were seen", **evidence)
    if max(longest.values()) > SERIAL_INTERVALS * interval_s + SLACK_S:
        summary = f"while one node's probe hangs the others are not probed for {max(longest.values()):.1f} s: nodes are probed one after another"
        hurts = "users of the other nodes: their drain or failure is noticed only after the hung node's time-out"
        return case.breaks("parallel-probing", "extended", summary, cause="serial-probing", hurts=hurts, **evidence)
    return case.holds("parallel-probing", "extended", "a hung probe does not delay the others", **evidence)


TIME_PROBES_OUT: Final = Advice(
    do="Give the probe a timeout shorter than its interval (1 s), and take a node out after two failures.",
    costs="A node that needs longer than that for its ping, twice in a row, is out until it answers again.",
)

CHECK = Check(
    id=ID,
    name="hung-probe-isolated",
    profile="web",
    claim="A node whose ping hangs is taken out in bounded time, and does not delay the probes of the others.",
    offenders=(
        "Traefik probes one node after another: a hung node delays all others by its time-out",
        "Apache with `ProxyHCTPsize 0`; anything with a time-out longer than its interval",
    ),
    quick="the ping is accepted but not answered; the whole process is frozen",
    full="also a reset, and an answer of one byte per second",
    causes=(
        Cause("hung-probe-stays", TIME_PROBES_OUT),
        Cause("serial-probing", TIME_PROBES_OUT),
    ),
    lane="status",
    judge=judge,
    run=run,
)
