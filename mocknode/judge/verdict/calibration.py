"""Who probes the nodes, how, and how fast the balancer reacts: read from what the nodes saw, never assumed.

All budgets of all checks come from here: a check waits what this balancer was seen to need, plus one probe interval.
Pure: a history in, facts out; `mocknode.judge.lab.calibrate` drives the traffic and the one drain that this reads.
"""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from mocknode.judge.record.history import History, Probe, Step

PING_PATH: Final = "/api/octopusservernodes/ping"

# Envoy's second probe of an idle cluster comes 60 s after its first (its no_traffic_interval); 5 s on top for start-up.
DOES_NOT_PROBE_AFTER_S: Final = 65.0

# A spacing counts as known once this many gaps in a row agree.
STABLE_GAPS: Final = 3

# Probers of one kind at one node: a site each (Caddy), a worker each; more than this nobody has on purpose.
ALIKE_MAX: Final = 4

# Probers alike start within moments of each other: the gaps inside one such volley are no rhythm, so what counts must
# reach back before the last second.
VOLLEY_NS: Final = 1_000_000_000

# Gaps agree when none is further from their median than this share plus 0.3 s: balancers add jitter of up to 10 % to 20 %
# on purpose, two busy cores add some tenths of a second.
STABLE_SHARE: Final = 0.35
STABLE_SLACK_S: Final = 0.3
# Nor is any shorter than this share of it: of two probers alike that ping every second, a hesitating pair is within those tenths.
SHORTEST_SHARE: Final = 0.4

# The longest that a node is watched for going out, in requests: 100 s at 40 a second. Every one of them is a look.
LOOKS_MAX: Final = 4000
FALSE_ALARM_MAX: Final = 1e-6

# User agents of people and monitoring systems that ping nodes beside any balancer (first word, lower case).
MONITOR_AGENTS: Final = (
    "curl", "wget", "mozilla", "prometheus", "blackbox", "zabbix", "check_http", "nagios", "icinga", "uptime", "pingdom",
    "datadog", "statuscake", "python-requests", "python-httpx", "powershell", "kube-probe", "postmanruntime", "httpie",
)  # fmt: skip

Role = Literal["balancer", "monitor", "unknown"]


METHODS_WITH_STATUS: Final = ("GET", "HEAD")
"""Methods with which the ping says its status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """One source of pings.

    Attributes:
        source: Address without port. Host is None where the request had none, `*` where it differs between nodes.
        interval_s: Gap between its pings at one node, see `rhythm`; None without a rhythm.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the balancer was seen to do.

    Attributes:
        out_after_s: From a node's 418 to the last new request it got; None when requests kept coming, or when it was not
            tried.
        in_after_s: From the node's 200 to the first new request it got; None when none came.
        drained: Whether the one drain was tried at all.
        other: Unsolicited requests that are no pings, `METHOD target` to count, such as a check on a wrong path.
        bare_connections: Connections per node that carried no request: a TCP check.
    """

    probers: tuple[Prober, ...]
    out_after_s: float | None
    in_after_s: float | None
    drained: bool
    other: tuple[tuple[str, int], ...] = ()
    bare_connections: int = 0

    def unasked(self, nodes: Sequence[str]) -> list[str]:
        """Those of these nodes whose ping the balancer does not ask for its status."""
        asked = {n for p in self.probers if p.role == "balancer" and p.method in METHODS_WITH_STATUS for n in p.nodes}
        return sorted(set(nodes) - asked)

    @property
    def interval_s(self) -> float | None:
        """Probe interval of the balancer: the longest among its probers."""
        found = [p.interval_s for p in self.probers if p.role == "balancer" and p.interval_s is not None]
        return max(found, default=None)

    @property
    def reacts(self) -> bool:
        """The balancer took the drained node out."""
        return self.out_after_s is not None

    @property
    def out_budget_s(self) -> float:
        """Within this time after a 418 a node gets no new request: seen once, plus an interval, plus half a second."""
        return (self.out_after_s or 0.0) + (self.interval_s or 1.0) + 0.5

    @property
    def in_budget_s(self) -> float:
        """Within this time after a 200 a node gets requests again."""
        return (self.in_after_s or 0.0) + (self.interval_s or 1.0) + 0.5

    def document(self) -> dict[str, Any]:
        """The report's `calibration`."""
        return {
            "probers": [_shown(prober) for prober in self.probers],
            "out_after_s": None if self.out_after_s is None else round(self.out_after_s, 2),
            "in_after_s": None if self.in_after_s is None else round(self.in_after_s, 2),
        }


def _shown(prober: Prober) -> dict[str, Any]:
    facts = asdict(prober) | {"nodes": list(prober.nodes)}
    del facts["forwarded"]  # The report's probers have a role instead.
    return facts


def elsewhere_in_a_row(nodes: int) -> int:
    """After how many requests in a row that went past it a node counts as out.

    A fair random balancer over n nodes begins a row of k that goes past one of them with probability 1/n * (1 - 1/n)^k
    at each request, so over `LOOKS_MAX` looks `LOOKS_MAX / n * (1 - 1/n)^k` bounds the false alarms; k is the least that
    keeps them below `FALSE_ALARM_MAX`. 52 for three nodes, 151 for eight.
    """
    if nodes < 2:
        return 1
    return math.ceil(math.log(LOOKS_MAX / nodes / FALSE_ALARM_MAX) / math.log(nodes / (nodes - 1)))


def gaps_s(times_ns: Iterable[int]) -> list[float]:
    """Seconds between consecutive instants."""
    ordered = sorted(times_ns)
    return [(later - earlier) / 1e9 for earlier, later in itertools.pairwise(ordered)]


def rhythm(times_ns: Sequence[int]) -> tuple[float, int] | None:
    """Interval in seconds, and how many probers of one kind ping side by side at that interval; None without a rhythm.

    A balancer may run several alike: Caddy one for each site, nginx Plus one a worker. With n of them every n-th ping is
    the same prober's, so the gaps over n pings agree where those between neighbours do not. The last gaps count, so that
    a rhythm that changed (an idle balancer that woke up) is the one it has now.
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


def probers(probes: Sequence[Probe], nodes: Sequence[str]) -> tuple[Prober, ...]:
    """Pings grouped by who sent them, most pings first."""
    groups: dict[tuple[str, str | None, str, str, str, bool], list[Probe]] = defaultdict(list)
    # Those of a standby's nodes are left out: it is the primary region's that decide when it takes over.
    for probe in (p for p in probes if p.node in nodes):
        source = probe.peer.rsplit(":", 1)[0]
        groups[source, probe.user_agent, probe.method, probe.http_version, probe.target, probe.forwarded].append(probe)
    found = []
    for (source, agent, method, version, target, forwarded), members in groups.items():
        by_node: dict[str, list[int]] = defaultdict(list)
        for probe in members:
            by_node[probe.node].append(probe.t_ns)
        intervals = [beat[0] for times in by_node.values() if (beat := rhythm(times)) is not None]
        hosts = {probe.host for probe in members}
        prober = Prober(
            source=source,
            user_agent=agent,
            method=method,
            http_version=version,
            host=next(iter(hosts)) if len(hosts) == 1 else "*",
            path=target,
            interval_s=round(statistics.median(intervals), 3) if intervals else None,
            nodes=tuple(sorted(by_node)),
            role=_role(agent, by_node, nodes, forwarded=forwarded),
            forwarded=forwarded,
        )
        found.append((len(members), prober))
    return tuple(prober for _count, prober in sorted(found, key=lambda item: -item[0]))


def _role(agent: str | None, by_node: dict[str, list[int]], nodes: Sequence[str], *, forwarded: bool) -> Role:
    """A balancer pings every node at even intervals, directly. A monitor names itself, or comes through the balancer."""
    words = (agent or "").lower()
    if forwarded or any(words.startswith(name) or f" {name}" in words for name in MONITOR_AGENTS):
        return "monitor"
    if set(by_node) == set(nodes) and all(rhythm(times) for times in by_node.values()):
        return "balancer"
    return "unknown"


def spacing_is_known(history: History, nodes: Sequence[str]) -> bool:
    """Some prober of role balancer has pinged every node at even intervals."""
    return any(prober.role == "balancer" for prober in probers(history.probes, nodes))


def calibrate(history: History, nodes: Sequence[str], *, until_ns: int | None = None) -> Calibration:
    """The calibration that a history holds.

    Args:
        until_ns: Look at pings up to here only (before checks disturbed the nodes); default: up to the step
            `calibrated`, or everything.
    """
    steps = {step.what: step for step in history.steps_of("calibration")}
    if until_ns is None and "drain" in steps:
        until_ns = steps["drain"].t_ns
    probes = [p for p in history.probes if until_ns is None or p.t_ns < until_ns]
    out_after_s = _reaction_s(steps.get("drain"), steps.get("out"))
    other: dict[str, int] = defaultdict(int)
    for request in history.requests:
        if request.attempt is None and (until_ns is None or request.t_ns < until_ns):
            other[f"{request.method} {request.target}"] += 1
    return Calibration(
        probers=_with_the_likeliest(probers(probes, nodes), reacts=out_after_s is not None),
        out_after_s=out_after_s,
        in_after_s=_reaction_s(steps.get("resume"), steps.get("in")),
        drained="drain" in steps,
        other=tuple(sorted(other.items(), key=lambda item: -item[1])),
        bare_connections=sum(
            c.requests == 0 and c.bytes_in == 0
            for c in history.connections
            if c.closed_ns is not None and (until_ns is None or c.opened_ns < until_ns)
        ),
    )


def _with_the_likeliest(found: tuple[Prober, ...], *, reacts: bool) -> tuple[Prober, ...]:
    """Where nobody looks like a balancer: whoever pings several nodes directly and evenly is the best there is.

    A node that is not probed makes its prober ping a part of the nodes only. A name such as a browser's speaks against that,
    but not where a drained node was taken out: then somebody acts on these pings.
    """
    if any(prober.role == "balancer" for prober in found):
        return found
    return tuple(
        replace(p, role="balancer")
        if p.interval_s is not None and len(p.nodes) > 1 and not p.forwarded and (reacts or p.role == "unknown")
        else p
        for p in found
    )


def _reaction_s(cause: Step | None, effect: Step | None) -> float | None:
    if cause is None or effect is None or effect.detail.get("never"):
        return None
    return max(0.0, (int(effect.detail["at_ns"]) - cause.t_ns) / 1e9)
