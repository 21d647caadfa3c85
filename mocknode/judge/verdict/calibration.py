"""Measures who probes the nodes, how, and how fast the balancer reacts, from what the nodes saw.

The time budget of every check comes from here: a check waits as long as this balancer was seen to need, plus one probe interval.
Nothing here does I/O: `mocknode.judge.lab.calibrate` sends the traffic and drains the one node that this reads about.
"""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from typing_extensions import TypedDict

from mocknode.judge.record.history import History, Probe
from mocknode.judge.record.steps import (
    CALIBRATION,
    CameBack,
    DrainEnded,
    DrainStarted,
    Recorded,
    WentOut,
    first,
)
from mocknode.text.json_schema import extensible

PING_PATH: Final = "/api/octopusservernodes/ping"

# Envoy's second probe of an idle cluster comes 60 s after its first (its no_traffic_interval); 5 s on top for start-up.
DOES_NOT_PROBE_AFTER_S: Final = 65.0

# An interval counts as known once this many consecutive gaps agree.
STABLE_GAPS: Final = 3

# Identical probers at one node: Caddy runs one per site, nginx Plus one per worker. Nobody runs more than this on purpose.
ALIKE_MAX: Final = 4

# Identical probers ping at almost the same moment. The gaps within such a volley say nothing about their interval, so probes
# from before the last volley are needed: this long before the last probe.
VOLLEY_NS: Final = 1_000_000_000

# Gaps agree when none is further from their median than this share plus 0.3 s: balancers add jitter of up to 10 % to 20 %
# on purpose, two busy cores add some tenths of a second.
STABLE_SHARE: Final = 0.35
STABLE_SLACK_S: Final = 0.3
# No gap is shorter than this share of the median: two identical probers that ping once a second, slightly apart, would
# otherwise pass as one, because their gap is within those tenths.
SHORTEST_SHARE: Final = 0.4

# The most probes in a row that any balancer of the guide asks for before it changes its mind: ALB and NLB allow 2 to 10.
THRESHOLD_MAX: Final = 10
# A probe that hangs counts when it has timed out, and our own reading of the journals is late by less than a second.
REACTION_SLACK_S: Final = 5.0
# A balancer that was not seen probing may notice a drain in some other way, such as from the answers that it passes on.
UNPROBED_REACTION_S: Final = 10.0

# The most requests during which a node is watched for going out: 100 s at 40 a second. Each request is one statistical test.
REQUESTS_WATCHED_MAX: Final = 4000
FALSE_ALARM_MAX: Final = 1e-6

# User agents of people and monitoring systems that ping nodes beside any balancer (first word, lower case).
MONITOR_AGENTS: Final = (
    "curl", "wget", "mozilla", "prometheus", "blackbox", "zabbix", "check_http", "nagios", "icinga", "uptime", "pingdom",
    "datadog", "statuscake", "python-requests", "python-httpx", "powershell", "kube-probe", "postmanruntime", "httpie",
)  # fmt: skip

Role = Literal["balancer", "monitor", "unknown", "gone"]
"""The sender of pings. `gone` is one whose pings ended: a balancer that was replaced says nothing about its successor."""

# A prober that has been silent for this many of its intervals has gone: a busy machine delays single pings, not several.
GONE_AFTER_INTERVALS: Final = 4
GONE_AFTER_S_MIN: Final = 4.0


METHODS_WITH_STATUS: Final = ("GET", "HEAD")
"""Methods whose answer to the ping depends on the node's status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """One client that sends pings.

    Attributes:
        source: Address without port.
        host: Host header of its pings; None when they had none, `*` when it differs between nodes.
        interval_s: Time between its pings at one node, see `steady_interval`; None when the times are not regular.
        forwarded: Whether its pings came through the balancer.
    """

    source: str
    user_agent: str | None
    method: str
    http_version: str
    host: str | None
    path: str
    interval_s: float | None
    nodes: tuple[str, ...]
    role: Role
    forwarded: bool = False


@extensible
class ProberFacts(TypedDict):
    """One source of pings, as the report shows it."""

    source: str
    user_agent: str | None
    method: str
    http_version: str
    host: str | None
    path: str
    interval_s: float | None
    nodes: list[str]
    role: Role


@extensible
class CalibrationFacts(TypedDict):
    """The probers of the nodes, and the balancer's reaction to a drain, as the report shows them."""

    probers: list[ProberFacts]
    out_after_s: float | None
    in_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Measured behaviour of the balancer: its probes, and its reaction to one drain.

    Attributes:
        out_after_s: Time from a node's first 418 to the last new request it received; None when requests kept arriving, or
            when no node was drained.
        in_after_s: Time from the node's first 200 to the first new request it received; None when none arrived.
        drained: Whether a node was drained to measure this.
        other: Requests that nobody here sent and that are no pings, such as a health check on a wrong path: `METHOD target` and count.
        bare_connections: Connections that carried no request, as a TCP health check makes them.
    """

    probers: tuple[Prober, ...]
    out_after_s: float | None
    in_after_s: float | None
    drained: bool
    other: tuple[tuple[str, int], ...] = ()
    bare_connections: int = 0

    def unprobed(self, nodes: Sequence[str]) -> list[str]:
        """Return which of these nodes the balancer never asks for their status."""
        asked = {n for p in self.probers if p.role == "balancer" and p.method in METHODS_WITH_STATUS for n in p.nodes}
        return sorted(set(nodes) - asked)

    @property
    def interval_s(self) -> float | None:
        """Probe interval of the balancer: the longest of its probers' intervals."""
        found = [p.interval_s for p in self.probers if p.role == "balancer" and p.interval_s is not None]
        return max(found, default=None)

    @property
    def reacts(self) -> bool:
        """Whether the balancer took the drained node out of rotation."""
        return self.out_after_s is not None

    @property
    def out_budget_s(self) -> float:
        """Time after a 418 within which new requests to the node must stop: the measured time, one probe interval and half a second."""
        return (self.out_after_s or 0.0) + (self.interval_s or 1.0) + 0.5

    @property
    def in_budget_s(self) -> float:
        """Time after a 200 within which the node must receive requests again; the longest known one if its return was not seen."""
        if self.in_after_s is None and self.reacts:
            return longest_reaction_s(self.interval_s)
        return (self.in_after_s or 0.0) + (self.interval_s or 1.0) + 0.5

    def document(self) -> CalibrationFacts:
        """Return the `calibration` object of the report."""
        return {
            "probers": [_prober_facts(prober) for prober in self.probers],
            "out_after_s": None if self.out_after_s is None else round(self.out_after_s, 2),
            "in_after_s": None if self.in_after_s is None else round(self.in_after_s, 2),
        }


def _prober_facts(prober: Prober) -> ProberFacts:
    return {
        "source": prober.source,
        "user_agent": prober.user_agent,
        "method": prober.method,
        "http_version": prober.http_version,
        "host": prober.host,
        "path": prober.path,
        "interval_s": prober.interval_s,
        "nodes": list(prober.nodes),
        "role": prober.role,
    }


def longest_reaction_s(interval_s: float | None) -> float:
    """Return how long any balancer with this probe interval may need until it changes its mind about a node.

    Before the first drain nothing else is known. Leaving and returning may differ: an ALB takes a node out after 2 probes and
    back after 5.

    Args:
        interval_s: None when it was not seen probing.
    """
    if interval_s is None:
        return UNPROBED_REACTION_S
    return (THRESHOLD_MAX + 1) * interval_s + REACTION_SLACK_S


def requests_to_confirm_out(nodes: int) -> int:
    """Return how many consecutive requests must all bypass a node before it counts as out.

    At each request, a balancer that picks among n nodes at random begins a run of k requests that all bypass one node with
    probability 1/n * (1 - 1/n)^k. Over `REQUESTS_WATCHED_MAX` requests the chance of a false alarm is therefore at most
    `REQUESTS_WATCHED_MAX / n * (1 - 1/n)^k`. The result is the smallest k that keeps it below `FALSE_ALARM_MAX`: 52 for three
    nodes, 151 for eight.
    """
    if nodes < 2:
        return 1
    return math.ceil(math.log(REQUESTS_WATCHED_MAX / nodes / FALSE_ALARM_MAX) / math.log(nodes / (nodes - 1)))


def gaps_s(times_ns: Iterable[int]) -> list[float]:
    """Return the seconds between consecutive instants."""
    ordered = sorted(times_ns)
    return [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(ordered)]


def steady_interval(times_ns: Sequence[int]) -> tuple[float, int] | None:
    """Return the probe interval in seconds and the number of identical probers, or None when the times are not regular.

    A balancer may run several identical probers: Caddy one per site, nginx Plus one per worker. With n of them, every n-th
    ping is the same prober's, so gaps over n pings agree although gaps between neighbours do not. Only the latest gaps
    count, so that the result is the current interval after it changed, as when an idle balancer wakes up.
    """
    ordered = sorted(times_ns)
    volley = sum(t_ns >= ordered[-1] - VOLLEY_NS for t_ns in ordered)
    for count in range(1, ALIKE_MAX + 1):
        needed = max(STABLE_GAPS * count, volley)
        gaps = [(later - earlier) / 1e9 for earlier, later in zip(ordered, ordered[count:], strict=False)]
        recent = gaps[-needed:]
        if len(recent) < needed:
            return None
        middle = statistics.median(recent)
        even = all(abs(gap - middle) <= middle * STABLE_SHARE + STABLE_SLACK_S for gap in recent)
        if even and min(recent) >= middle * SHORTEST_SHARE:
            return middle, count
    return None


def probers(probes: Sequence[Probe], nodes: Sequence[str], until_ns: int | None = None) -> tuple[Prober, ...]:
    """Group pings by their sender, the sender of most pings first.

    Args:
        until_ns: When watching ended; None means that it is not known, and nobody counts as gone.
    """
    groups: dict[tuple[str, str | None, str, str, str, bool], list[Probe]] = defaultdict(list)
    # Probes of the standby's nodes are left out: the primary region's probes decide when the standby takes over.
    for probe in (p for p in probes if p.node in nodes):
        source = probe.peer.rsplit(":", 1)[0]
        groups[source, probe.user_agent, probe.method, probe.http_version, probe.target, probe.forwarded].append(probe)
    found = []
    for (source, agent, method, version, target, forwarded), members in groups.items():
        by_node: dict[str, list[int]] = defaultdict(list)
        for probe in members:
            by_node[probe.node].append(probe.t_ns)
        intervals = [steady[0] for times in by_node.values() if (steady := steady_interval(times)) is not None]
        hosts = {probe.host for probe in members}
        interval_s = round(statistics.median(intervals), 3) if intervals else None
        silent_s = 0.0 if until_ns is None else (until_ns - max(probe.t_ns for probe in members)) / 1e9
        prober = Prober(
            source=source,
            user_agent=agent,
            method=method,
            http_version=version,
            host=next(iter(hosts)) if len(hosts) == 1 else "*",
            path=target,
            interval_s=interval_s,
            nodes=tuple(sorted(by_node)),
            role="gone" if _gone(interval_s, silent_s) else _role(agent, by_node, nodes, forwarded=forwarded),
            forwarded=forwarded,
        )
        found.append((len(members), prober))
    return tuple(prober for _count, prober in sorted(found, key=lambda item: -item[0]))


def _gone(interval_s: float | None, silent_s: float) -> bool:
    return interval_s is not None and silent_s > max(GONE_AFTER_S_MIN, GONE_AFTER_INTERVALS * interval_s)


def _role(agent: str | None, by_node: dict[str, list[int]], nodes: Sequence[str], *, forwarded: bool) -> Role:
    """Tell a balancer, which pings every node directly and regularly, from a monitor, which names itself or comes through the balancer."""
    words = (agent or "").lower()
    if forwarded or any(words.startswith(name) or f" {name}" in words for name in MONITOR_AGENTS):
        return "monitor"
    if set(by_node) == set(nodes) and all(steady_interval(times) for times in by_node.values()):
        return "balancer"
    return "unknown"


def interval_is_known(history: History, nodes: Sequence[str]) -> bool:
    """Return whether the balancer has pinged every node often enough to show its probe interval."""
    return any(prober.role == "balancer" for prober in probers(history.probes, nodes, history.synced_ns or None))


def calibrate(history: History, nodes: Sequence[str], *, until_ns: int | None = None) -> Calibration:
    """Derive the calibration from a history.

    Args:
        until_ns: Ignore pings after this instant, when checks disturb the nodes. The default is the drain of the calibration,
            or no limit when no node was drained.
    """
    drain = first(history, CALIBRATION, DrainStarted)
    if until_ns is None and drain is not None:
        until_ns = drain.t_ns
    probes = [p for p in history.probes if until_ns is None or p.t_ns < until_ns]
    out_after_s = _reaction_s(drain, first(history, CALIBRATION, WentOut))
    other: dict[str, int] = defaultdict(int)
    for request in history.requests:
        if request.attempt is None and request.method and (until_ns is None or request.t_ns < until_ns):
            other[f"{request.method} {request.target}"] += 1
    return Calibration(
        probers=_with_the_likeliest(probers(probes, nodes, until_ns), reacts=out_after_s is not None),
        out_after_s=out_after_s,
        in_after_s=_reaction_s(first(history, CALIBRATION, DrainEnded), first(history, CALIBRATION, CameBack)),
        drained=drain is not None,
        other=tuple(sorted(other.items(), key=lambda item: -item[1])),
        bare_connections=sum(
            c.requests == 0 and c.bytes_in == 0
            for c in history.connections
            if c.closed_ns is not None and (until_ns is None or c.opened_ns < until_ns)
        ),
    )


def _with_the_likeliest(found: tuple[Prober, ...], *, reacts: bool) -> tuple[Prober, ...]:
    """Give the role of the balancer to the likeliest probers when none has it.

    The likeliest are those that ping several nodes directly and regularly. When one node is not probed, its balancer pings
    only the others. A monitor's user agent speaks against it, unless the drained node was taken out of rotation: then
    somebody acts on these pings.
    """
    if any(prober.role == "balancer" for prober in found):
        return found
    return tuple(
        replace(p, role="balancer")
        if p.interval_s is not None
        and len(p.nodes) > 1
        and not p.forwarded
        and (reacts or p.role == "unknown")
        and p.role != "gone"
        else p
        for p in found
    )


def _reaction_s(
    cause: Recorded[DrainStarted] | Recorded[DrainEnded] | None, effect: Recorded[WentOut] | Recorded[CameBack] | None
) -> float | None:
    if cause is None or effect is None or effect.facts.at_ns is None:
        return None
    return max(0.0, (effect.facts.at_ns - cause.t_ns) / 1e9)
