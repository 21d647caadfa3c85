"""Sends the traffic and makes the one drain from which `mocknode.judge.verdict.calibration` concludes."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from mocknode.judge.lab.lab import Lab
from mocknode.judge.record.history import History
from mocknode.judge.record.steps import (
    CALIBRATION,
    CameBack,
    DrainEnded,
    DrainStarted,
    ProbeIntervalAwaited,
    TrafficStarted,
    WentOut,
)
from mocknode.judge.verdict.calibration import (
    DOES_NOT_PROBE_AFTER_S,
    STABLE_GAPS,
    Calibration,
    calibrate,
    gaps_s,
    interval_is_known,
    longest_reaction_s,
)

# Enough to count as traffic, and little enough to leave room for large uploads.
INTERVAL_TRAFFIC_PER_S: Final = 10.0
# A healthy balancer forwards the first of 40 requests per second within a fraction of this.
FIRST_REQUEST_S_MAX: Final = 5.0


async def wait_for_probe_interval(lab: Lab) -> bool:
    """Send traffic until the probe interval is known, and return whether it is.

    Every balancer instance needs this, not only the calibrated one: Envoy probes a cluster slowly until it has carried traffic and its
    slow timer has run out once more.
    """
    async with lab.traffic(CALIBRATION, INTERVAL_TRAFFIC_PER_S):
        known = await lab.until(lambda history: interval_is_known(history, lab.nodes), DOES_NOT_PROBE_AFTER_S)
        if not known and lab.history.probes:
            # Something pings, but not often enough yet to know the interval: a default of 30 s takes four pings.
            pings = [p.t_ns for p in lab.history.probes if p.node == lab.nodes[0]]
            slowest = max(gaps_s(pings), default=DOES_NOT_PROBE_AFTER_S)
            known = await lab.until(
                lambda history: interval_is_known(history, lab.nodes),
                (STABLE_GAPS + 1) * min(slowest, DOES_NOT_PROBE_AFTER_S),
            )
    lab.step(CALIBRATION, ProbeIntervalAwaited(known=known))
    return known


async def run(lab: Lab) -> Calibration:
    """Drain one node, and conclude how this lane's balancer reacts. Its probe interval must be known. `Lab.restore` undoes the drain."""
    async with lab.traffic(CALIBRATION):
        since_ns = lab.step(CALIBRATION, TrafficStarted())
        await lab.until(lambda history: _busiest(history, since_ns, lab.nodes) is not None, FIRST_REQUEST_S_MAX)
        node = _busiest(lab.history, since_ns, lab.nodes) or lab.nodes[-1]
        bound_s = longest_reaction_s(calibrate(lab.history, lab.nodes).interval_s)
        drained_ns = lab.step(CALIBRATION, DrainStarted(node=node))
        await lab.state(node, "draining")
        last_ns = await lab.wait_out(node, drained_ns, bound_s)
        lab.step(CALIBRATION, WentOut(node=node, at_ns=last_ns, never=last_ns is None, waited_s=bound_s))
        await lab.state(node, "online")
        resumed_ns = lab.step(CALIBRATION, DrainEnded(node=node))
        first_ns = await lab.wait_in(node, resumed_ns, bound_s)
        lab.step(CALIBRATION, CameBack(node=node, at_ns=first_ns, never=first_ns is None, waited_s=bound_s))
    result = calibrate(lab.history, lab.nodes)
    lab.calibrated.set_result(result)
    return result


def _busiest(history: History, since_ns: int, nodes: Sequence[str]) -> str | None:
    """Return the node that got most requests. Draining one that gets none would show nothing."""
    came = (r for r in history.requests if r.t_ns >= since_ns and r.attempt is not None and r.node in nodes)
    counts = Counter(r.node for r in came)
    return counts.most_common(1)[0][0] if counts else None
