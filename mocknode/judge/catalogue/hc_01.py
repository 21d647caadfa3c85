"""HC-01 probe-contract: how the balancer probes the nodes. Uses the calibration alone, and sends nothing of its own."""

from typing import Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.record import steps
from mocknode.judge.record.steps import CALIBRATION, PREFLIGHT, DrainStarted, NoRotation, Recorded
from mocknode.judge.verdict import rotation
from mocknode.judge.verdict.calibration import METHODS_WITH_STATUS, PING_PATH, Prober
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

# These builds, and older ones of the same lines, answered HEAD with 404 (OctopusDeploy/Issues#8081).
HEAD_NOTE = "HEAD: answered 404 by Octopus builds before 2022.4.8517, 2023.1.9716 and 2023.2.3045; GET works on all"
# With a longer interval users notice a drain: its node keeps getting requests for up to this long.
SLOW_INTERVAL_S = 10.0
# Fewer unsolicited requests of one kind than this may come from anybody, for instance from a person's browser.
PERIODIC_REQUESTS_MIN = 3
# So many refused pings in a row take a node out of any balancer with common thresholds.
REFUSALS_MIN = 3

HURTS = "users and CI jobs: a node that is drained, starting or broken keeps getting their requests"


def judge(case: Case) -> list[Variant]:
    """Every node is probed by the balancer, on exactly the ping path, with a method that shows the status, and is in rotation."""
    if (blocked := steps.first(case.history, PREFLIGHT, NoRotation)) is not None:
        return [_nobody_in_rotation(case, blocked)]
    return [*_judge_probes(case), *_left_out(case)]


def _nobody_in_rotation(case: Case, blocked: Recorded[NoRotation]) -> Variant:
    reason = rotation.why(case.history, case.nodes)
    own: dict[str, Any] = {"sent": blocked.facts.sent, "status": blocked.facts.status, "server": blocked.facts.server}
    if reason is None:
        summary = f"no node is in rotation, the balancer answers {own['status']} itself, and the nodes saw nothing that says why"
        return case.unknown("rotation", "core", summary, **own)
    return case.breaks(
        "rotation", "core", f"no node is in rotation: {reason.summary}", cause=reason.cause,
        hurts=f"everybody: the balancer answers {own['status']} to every request",
        ruled_out=("not the nodes: all are online and without faults",), **own, **reason.evidence,
    )  # fmt: skip


def _left_out(case: Case) -> list[Variant]:
    """Return a failure for each node that refuses the balancer's pings although it is healthy; the other nodes serve."""
    drain = steps.first(case.history, CALIBRATION, DrainStarted)
    if drain is None:
        return []
    variants = []
    for node in case.nodes:
        pings = sorted(
            (p for p in case.history.probes if p.node == node and not p.forwarded and p.t_ns < drain.t_ns),
            key=lambda p: p.t_ns,
        )
        recent = pings[-REFUSALS_MIN:]
        served = any(
            r.attempt is not None and recent and r.t_ns >= recent[0].t_ns
            for r in case.history.arrivals(node, 0, drain.t_ns)
        )
        if len(recent) < REFUSALS_MIN or served or any(p.status == 200 for p in recent):
            continue
        if (reason := rotation.why(case.history, [node], recent[0].t_ns, drain.t_ns)) is not None:
            summary = f"{node} is not in rotation: {reason.summary}"
            hurts = (
                "everybody, as soon as the other nodes are busy or drained: the cluster is smaller than was paid for"
            )
            variants.append(
                case.breaks(f"{node}-rotation", "core", summary, cause=reason.cause, hurts=hurts, **reason.evidence)
            )
    return variants


def _judge_probes(case: Case) -> list[Variant]:
    found = case.calibration.probers
    balancers = [p for p in found if p.role == "balancer"]
    right = [p for p in balancers if p.method in METHODS_WITH_STATUS]
    missing = case.calibration.unprobed(case.nodes)
    evidence: dict[str, Any] = {
        "probers": len(balancers),
        "monitors": sum(p.role == "monitor" for p in found),
        "nodes_missing": missing,
    }
    if right and not missing:
        notes = [note for p in right for note in _notes(p)]
        interval_s = case.calibration.interval_s or 0.0
        summary = f"every node is probed with {right[0].method} on the ping path every {interval_s:.1f} s"
        return [case.holds("probe", "core", summary, notes=notes, **evidence)]
    if not case.calibration.drained:
        return [case.unknown("probe", "core", "the nodes were not watched for long enough to tell", **evidence)]
    if balancers and not right:
        summary = f"the probe uses {balancers[0].method}, which does not show the status of the ping; use GET"
        return [case.breaks("probe", "core", summary, cause="probe-method-blind", hurts=HURTS, **evidence)]
    if right:
        summary = f"{', '.join(missing)} is never probed, so the balancer does not notice when it drains; the other nodes are probed"
        return [case.breaks("probe", "core", summary, cause="no-active-probe", hurts=HURTS, **evidence)]
    return [_nothing_right(case, evidence, found)]


def _nothing_right(case: Case, evidence: dict[str, Any], found: tuple[Prober, ...]) -> Variant:
    unsure = [p for p in found if p.role == "unknown" and p.interval_s is not None]
    periodic = [
        (what, count) for what, count in case.calibration.other if count >= PERIODIC_REQUESTS_MIN * len(case.nodes)
    ]
    if case.calibration.reacts:
        # Something reads the ping, so none of the findings below could be true.
        summary = (
            "a drained node is taken out, but none of the pings and requests seen is recognized as the balancer's probe"
        )
        return case.unknown("probe", "core", summary, **evidence)
    if unsure:
        summary = f"something sends pings ({unsure[0].source}, {unsure[0].user_agent}), but not to every node at even intervals"
        return case.unknown("probe", "core", summary, **evidence)
    if periodic:
        what, count = periodic[0]
        summary = f"the balancer checks {what} instead of GET {PING_PATH}; the answer there does not show a drain"
        cause = "probe-method-blind" if what.startswith("OPTIONS") else "probe-wrong-path"
        return case.breaks("probe", "core", summary, cause=cause, hurts=HURTS, requests=count, **evidence)
    if case.calibration.bare_connections >= PERIODIC_REQUESTS_MIN * len(case.nodes):
        count = case.calibration.bare_connections
        summary = "the balancer only opens connections to the nodes; a TCP check cannot see a 418"
        return case.breaks("probe", "core", summary, cause="probe-tcp-only", hurts=HURTS, connections=count, **evidence)
    summary = (
        "this balancer does not probe the nodes at all, so it cannot know which one is drained, starting or broken"
    )
    ruled_out = (
        "not a slow interval: no ping came during the time that the slowest known balancer needs",
        "a TCP check that is reset before a node accepts it (HAProxy's plain `check`) cannot be seen here; it could not see a 418 either",
        "no monitor's ping was mistaken for the balancer's" if found else "no ping from anywhere was seen",
        *(
            f"not the pings of {p.source} ({p.user_agent or 'no user agent'}): they ended during this run"
            for p in found
            if p.role == "gone"
        ),
    )
    return case.breaks("probe", "core", summary, cause="no-active-probe", hurts=HURTS, ruled_out=ruled_out, **evidence)


def _notes(prober: Prober) -> list[str]:
    notes = []
    if prober.method == "HEAD":
        notes.append(HEAD_NOTE)
    if prober.http_version == "1.0" or prober.host is None:
        notes.append("HTTP/1.0 or no Host: breaks behind name-based proxies")
    if "//" in prober.path:
        notes.append("double slash in the path")
    if (prober.interval_s or 0) > SLOW_INTERVAL_S:
        notes.append(f"one probe every {prober.interval_s:.0f} s: a drain takes at least as long to be noticed")
    return notes


PROBE_THE_PING: Final = Advice(
    do="Probe GET /api/octopusservernodes/ping with a Host header, every 5 s or less, and count exactly 200 as healthy.",
    costs="One small request per probe to each node.",
)

CHECK = Check(
    id="HC-01",
    name="probe-contract",
    profile="web",
    claim="Every node is probed on /api/octopusservernodes/ping, often enough, with a method that can see a 418.",
    offenders=(
        "nginx without a commercial or third-party module does not probe at all",
        "HAProxy with `option httpchk` and nothing else sends OPTIONS /",
        "probes of nodes that force HTTPS, without X-Forwarded-Proto: each is redirected, and every node is out",
        "AWS NLB, CLB and Azure Load Balancer open a TCP connection by default; Azure Application Gateway asks for /",
    ),
    quick="probes are watched until their interval is known; where no node is in rotation, until it is known why",
    full="the same",
    causes=(
        Cause("no-active-probe", PROBE_THE_PING),
        Cause("probe-wrong-path", PROBE_THE_PING),
        Cause("probe-method-blind", PROBE_THE_PING),
        Cause("probe-tcp-only", PROBE_THE_PING),
        Cause(
            "probe-redirected",
            Advice(
                do="Probe by HTTPS, or send X-Forwarded-Proto: https with the probe and put the balancer into Trusted Proxies of Octopus.",
                costs="A node whose HTTPS port fails goes out, or one header in each probe.",
            ),
        ),
        Cause(
            "probe-expects-other",
            Advice(
                do="Count exactly 200 as healthy, without a text that the ping does not have, and wait a second for the answer.",
                costs="Nothing.",
            ),
        ),
        Cause("probe-refused", PROBE_THE_PING),
        Cause("probe-without-host", PROBE_THE_PING),
        Cause(
            "probe-wrong-protocol",
            Advice(
                do="Speak to the nodes' port what it serves: HTTP/1.1 in plain text on the HTTP port, TLS on the HTTPS port.",
                costs="Nothing.",
            ),
        ),
    ),
    lane="drains",
    judge=judge,
)
