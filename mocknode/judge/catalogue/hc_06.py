"""HC-06 no-traffic-before-verdict: an idle balancer, and one that just started, send nothing to a drained node.

`idle`, core: after a time without traffic a node is drained; once the balancer has had its usual reaction time, the first requests
are sent. `start`, extended, only if we start the balancer: it starts while a node is drained. No other check uses this lane, as
Envoy probes a cluster only every 60 s until its first request, and never so slowly again.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import advice
from mocknode.judge.record import steps
from mocknode.judge.record.steps import Recorded, StepFacts
from mocknode.judge.traffic import RequestSpec, request
from mocknode.judge.verdict.calibration import Calibration, steady_interval
from mocknode.judge.verdict.case import Case, late
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab
    from mocknode.judge.record.history import Attempt, History

ID: Final = "HC-06"
IDLE_S: Final = {"full": 90.0, "quick": 20.0}
# Wait at least this long, and three probe intervals, if the reaction is not calibrated yet: with one balancer for all checks,
# calibrating would end its idleness.
UNCALIBRATED_WAIT_S: Final = 15.0
# Added to the calibrated reaction, so that the wait is never shorter than the budget of the verdict.
WAIT_MARGIN_S: Final = 0.5
# Requests beyond those that are needed, in case a few are answered in some other way.
SPARE: Final = 8
# After the start: requests per second for one second; at least 30 must be answered.
START_PER_S: Final = 50
START_REQUESTS_MIN: Final = 30
START_GRACE_S: Final = 0.1
START_WATCH_S: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drained(StepFacts):
    """The node was drained after `idle_s` seconds without traffic."""

    what = "drained"
    node: str
    idle_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Burst(StepFacts):
    """The first requests are sent now."""

    what = "burst"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _BurstDone(StepFacts):
    """The first requests, sent from `since_ns` on and `waited_s` after the drain, have ended."""

    what = "burst-done"
    node: str
    since_ns: int
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stopped(StepFacts):
    """The balancer is stopped while the node is drained."""

    what = "stopped"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Started(StepFacts):
    """The balancer has started again."""

    what = "started"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _StartDone(StepFacts):
    """The requests after the start, sent from `since_ns` on, have ended."""

    what = "start-done"
    node: str
    since_ns: int


async def run(lab: "Lab") -> None:
    """Wait idly, drain a node, send a burst of requests; then restart the balancer with the node drained."""
    node = lab.nodes[len(lab.nodes) // 2]
    quiet_ns = max([lab.started_ns, *(attempt.ended_ns for attempt in lab.history.attempts)])
    await asyncio.sleep(max(0.0, IDLE_S[lab.tier] - (time.monotonic_ns() - quiet_ns) / 1e9))
    await lab.sync()
    drained_ns = await lab.state(node, "draining")
    lab.step(ID, _Drained(node=node, idle_s=round((drained_ns - quiet_ns) / 1e9, 1)))
    await asyncio.sleep(_wait_s(lab))
    burst_ns = lab.step(ID, _Burst(node=node))
    await _send(lab, [0.0] * (lab.requests_to_confirm_out + SPARE), "idle")
    await lab.sync()
    lab.step(ID, _BurstDone(node=node, since_ns=burst_ns, waited_s=round((burst_ns - drained_ns) / 1e9, 2)))
    if lab.restart is not None:
        await _start_with_drained(lab, node)


def _wait_s(lab: "Lab") -> float:
    if lab.calibrated.done():
        return lab.calibrated.result().out_budget_s + WAIT_MARGIN_S
    found = steady_interval([p.t_ns for p in lab.history.probes if p.node == lab.nodes[0]])
    return max(UNCALIBRATED_WAIT_S, 3 * found[0] + 1.0 if found else 0.0)


async def _send(lab: "Lab", delays_s: list[float], variant: str) -> None:
    """Send GETs on new connections, each after its own delay and without waiting for the others."""

    async def one(delay_s: float) -> "Attempt":
        await asyncio.sleep(delay_s)
        return await request(
            lab.front, RequestSpec(check=ID, variant=variant, method="GET", target="/api", timeout_s=5.0)
        )

    work: list[Coroutine[Any, Any, Attempt]] = [one(delay_s) for delay_s in delays_s]
    for attempt in await asyncio.gather(*work):
        lab.recording.attempt(attempt)


async def _start_with_drained(lab: "Lab", node: str) -> None:
    assert lab.restart is not None

    async def between() -> None:
        lab.step(ID, _Stopped(node=node))

    await lab.restart(between)
    lab.restarted = True
    started_ns = lab.step(ID, _Started(node=node))
    await _send(lab, [index / START_PER_S for index in range(int(START_PER_S * START_WATCH_S))], "start")
    await lab.sync()
    lab.step(ID, _StartDone(node=node, since_ns=started_ns))


def too_early(history: "History", calibration: Calibration) -> bool:
    """Return whether the first requests were sent before this balancer could have noticed the drain."""
    bursts = steps.read(history, ID, _BurstDone)
    return calibration.reacts and bool(bursts) and bursts[-1].facts.waited_s < calibration.out_budget_s


def judge(case: Case) -> list[Variant]:
    """No request reaches the drained node, neither after an idle time nor after the balancer's start."""
    variants = []
    # A second burst was sent because the first came too early.
    for burst in steps.read(case.history, ID, _BurstDone)[-1:]:
        drained = steps.read(case.history, ID, _Drained)[-1]
        variants.append(_judge_idle(case, burst, drained.facts.idle_s))
    start = steps.first(case.history, ID, _StartDone)
    if start is not None:
        variants.append(_judge_start(case, start))
    return variants


def _judge_idle(case: Case, burst: Recorded[_BurstDone], idle_s: float) -> Variant:
    node, waited_s = burst.facts.node, burst.facts.waited_s
    wrong = case.history.arrivals(node, burst.facts.since_ns, burst.t_ns)
    sent = [a for a in case.history.attempts_of(ID, "idle") if a.started_ns >= burst.facts.since_ns]
    served = sum(a.status == 200 for a in sent)
    evidence: dict[str, Any] = {
        "node": node,
        "idle_s": idle_s,
        "waited_s": waited_s,
        "sent": len(sent),
        "served": served,
        "requests": len(wrong),
    }
    hurts = "the first users after a quiet time: their request lands on a node that is being taken down"
    if case.blind:
        summary = "an idle balancer that does not react to a drain sends the first requests to the drained node"
        return case.breaks(
            "idle",
            "core",
            summary,
            cause="drained-node-stays",
            hurts=hurts,
            caused_by=case.root_of_blindness,
            **evidence,
        )
    if not case.calibration.drained:
        return case.unknown("idle", "core", "it is not known how fast this balancer reacts under traffic", **evidence)
    # Requests that the balancer itself refused could not reach the drained node.
    if not wrong and served < case.requests_to_confirm_out:
        return case.unknown(
            "idle",
            "core",
            f"only {served} of the {case.requests_to_confirm_out} requests that are needed were served",
            **evidence,
        )
    if waited_s < case.calibration.out_budget_s:
        return case.unknown("idle", "core", "the wait was shorter than this balancer's reaction", **evidence)
    if wrong:
        summary = (
            f"after {idle_s:.0f} s without traffic a node drained {waited_s:.1f} s ago got {len(wrong)} of the first "
            f"{len(sent)} requests; under traffic it is out after {case.calibration.out_after_s or 0:.1f} s"
        )
        ruled_out = ("not the drain as such: under traffic the same drain works",)
        return case.breaks(
            "idle", "core", summary, cause="slow-probes-while-idle", hurts=hurts, ruled_out=ruled_out, **evidence
        )
    return case.holds(
        "idle", "core", f"after {idle_s:.0f} s without traffic a drained node gets no request", **evidence
    )


def _judge_start(case: Case, start: Recorded[_StartDone]) -> Variant:
    node, since_ns = start.facts.node, start.facts.since_ns
    answers = [a for a in case.history.attempts_of(ID, "start") if a.status is not None and a.started_ns >= since_ns]
    ready_ns = min((a.response_ns or a.ended_ns for a in answers), default=None)
    if ready_ns is None:
        return case.unknown("start", "extended", "the balancer did not answer while it was watched")
    in_time = [a for a in answers if a.started_ns <= ready_ns + 1_000_000_000]
    wrong = late(case.history.arrivals(node, since_ns, start.t_ns), ready_ns, START_GRACE_S)
    last_s = round((max(r.t_ns for r in wrong) - ready_ns) / 1e9, 2) if wrong else 0.0
    evidence: dict[str, Any] = {
        "node": node,
        "answers": len(in_time),
        "requests": len(wrong),
        "last_after_s": last_s,
    }
    if len(in_time) < START_REQUESTS_MIN:
        return case.unknown("start", "extended", "fewer than 30 requests were answered in the first second", **evidence)
    if wrong:
        return case.breaks(
            "start", "extended", f"after its start the balancer sends requests to a drained node for {last_s} s",
            cause="traffic-before-first-verdict", caused_by=case.root_of_blindness,
            hurts="users during a restart of the balancer: it assumes that every node is healthy until it has probed it", **evidence,
        )  # fmt: skip
    return case.holds("start", "extended", "a balancer that just started sends nothing to a drained node", **evidence)


CHECK = Check(
    id=ID,
    name="no-traffic-before-verdict",
    profile="web",
    claim="Neither an idle balancer nor one that just started sends a request to a node that is drained.",
    offenders=(
        "Envoy probes an unused cluster every 60 s (`no_traffic_interval`)",
        "Traefik, HAProxy before 3.1 without a server-state file, and nginx Plus without `mandatory` assume every node is up",
    ),
    quick="20 s without traffic",
    full="90 s without traffic; and, if we start the balancer, a start with one node drained",
    causes=(
        Cause("slow-probes-while-idle", advice.PROBE_WHILE_IDLE),
        Cause(
            "traffic-before-first-verdict",
            Advice(
                do="Take a node into rotation only after its first probe has passed, and give the balancer traffic only after its first round.",
                costs="A short period of 503 after a cold start.",
            ),
        ),
    ),
    lane="idle",
    judge=judge,
    run=run,
    too_early=too_early,
)
