"""PR-05 fairness: no node is starved or overloaded; how requests are distributed is observed."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared.drain_sequence import NoHttp2
from mocknode.judge.record import steps
from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic import Http1Connection, Http2Connection, RequestSpec
from mocknode.judge.traffic.connecting import NotConnectedError
from mocknode.judge.verdict import foreign, refusals
from mocknode.judge.verdict.case import Case, tail_probability
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "PR-05"
REQUESTS: Final = 600
KEPT_CONNECTIONS: Final = 6
KEPT_REQUESTS: Final = 60
# Largest load of one node as a multiple of its share, and the largest probability that a fair random balancer exceeds it.
OVERLOAD: Final = 1.5
FALSE_ALARM_MAX: Final = 1e-6
# Share of requests that go to the same node as the one before: a fair random balancer over n nodes has 1/n, round robin has
# none. With 599 pairs the two differ by 17 standard deviations.
ROUND_ROBIN_REPEATS_MAX: Final = 0.1
STICKY_REPEATS_MIN: Final = 0.9
# A firewall or a rate limit in the balancer gives these too. They count only if the preflight, which sends little, met them as well.
WALLS: Final = (401, 403)


async def run(lab: "Lab") -> None:
    """Send 600 requests on new connections one after another, then some on kept connections and on one HTTP/2 connection."""
    for _ in range(REQUESTS):
        await lab.get(ID, "fresh")
    kept = [Http1Connection(lab.front) for _ in range(KEPT_CONNECTIONS)]
    await asyncio.gather(*(_use(lab, connection, "kept", KEPT_REQUESTS // KEPT_CONNECTIONS) for connection in kept))
    if lab.secure is not None:
        try:
            await _use(lab, Http2Connection(lab.secure), "http2", KEPT_REQUESTS)
        except NotConnectedError as exc:
            lab.step(ID, NoHttp2(why=str(exc)))
    await lab.sync()


async def _use(lab: "Lab", connection: Http1Connection | Http2Connection, variant: str, count: int) -> None:
    await connection.open()
    for _ in range(count):
        spec = RequestSpec(check=ID, variant=variant, method="GET", target="/api", timeout_s=5.0)
        lab.recording.attempt(await connection.exchange(spec))
    connection.close()


def judge(case: Case) -> list[Variant]:
    """Nothing but nodes serves, every node does, and none takes more than 1.5 times its share of the requests on new connections."""
    fresh = case.history.attempts_of(ID, "fresh")
    others = [a for a in fresh if a.node not in case.nodes]
    attempts = [a for a in fresh if a.node in case.nodes]
    astray = [
        a for a in foreign.elsewhere(case.history, others) if a.status not in WALLS or foreign.known(case.history)
    ]
    found = _refused(case)
    if len(attempts) + len(astray) < REQUESTS * 0.9:
        few = f"only {len(attempts)} of {REQUESTS} requests were served by a node"
        return [*found, case.unknown("fresh", "core", few)]
    found += [_astray(case, astray, len(fresh))] if astray else []
    return [*found, *_distribution(case, attempts)]


def _refused(case: Case) -> list[Variant]:
    """Return a failure if the balancer itself refused requests of any check while the nodes were healthy."""
    own = {
        id_: r for id_, r in refusals.refusals(case.history, case.history.attempts).items() if r.cause == refusals.OWN
    }
    if not own:
        return []
    summary, count = Counter(r.summary for r in own.values()).most_common(1)[0]
    text = f"{summary} ({count} of {len(case.history.attempts)} requests)"
    return [
        case.breaks(
            "refused", "core", text, cause=refusals.OWN, hurts=refusals.HURTS[refusals.OWN], requests=count, attempt=next(iter(own)),
        )
    ]  # fmt: skip


def _astray(case: Case, astray: Sequence[Attempt], sent: int) -> Variant:
    answers = Counter(foreign.quoted(a.status or 0, a.header("Server"), a.body) for a in astray)
    share = round(100 * len(astray) / sent)
    summary = (
        f"one of the places that requests go to is none of the nodes: it answered {len(astray)} of {sent} requests ({share} %) "
        f"with {answers.most_common(1)[0][0]}"
    )
    return case.breaks(
        "foreign", "core", summary, cause=foreign.CAUSE, hurts=foreign.HURTS,
        ruled_out=("not a drained or failing node: all nodes were healthy",),
        share_percent=share, requests=len(astray), attempt=astray[0].id,
    )  # fmt: skip


def _distribution(case: Case, attempts: Sequence[Attempt]) -> list[Variant]:
    if len(case.nodes) == 1:
        return [case.skips("fresh", "core", "the only node gets everything, however requests are distributed")]
    variants = [_shares(case, attempts), _algorithm(case, attempts)]
    for name in ("kept", "http2"):
        served = Counter(a.node or "" for a in case.history.attempts_of(ID, name) if a.node is not None)
        if served:
            variants.append(_reuse(case, name, served))
    if without := steps.first(case.history, ID, NoHttp2):
        variants.append(case.skips("http2", "policy", f"no HTTP/2 at this front door: {without.facts.why}"))
    return variants


def _shares(case: Case, attempts: Sequence[Attempt]) -> Variant:
    counts = Counter(dict.fromkeys(case.nodes, 0) | Counter(a.node for a in attempts if a.node))
    fair = len(attempts) / len(case.nodes)
    busiest, most = counts.most_common(1)[0]
    false_alarm = tail_probability(len(attempts), 1 / len(case.nodes), most) * len(case.nodes)
    evidence: dict[str, Any] = {
        "requests": len(attempts),
        "nodes": dict(counts),
        "false_alarm": f"{false_alarm:.1e}",
        "tries": 1,
    }
    starved = sorted(node for node, count in counts.items() if count == 0)
    hurts = "users of the busy node; and the cluster has less capacity than was paid for"
    single = (
        "; with a single client affinity by source address looks the same" if len(counts) - len(starved) == 1 else ""
    )
    if starved:
        summary = f"{', '.join(starved)} got none of {len(attempts)} requests{single}"
        return case.breaks("fresh", "core", summary, cause="node-starved", hurts=hurts, **evidence)
    if most > OVERLOAD * fair and false_alarm < FALSE_ALARM_MAX:
        summary = f"{busiest} got {most} of {len(attempts)} requests, {most / fair:.1f} times its share"
        return case.breaks("fresh", "core", summary, cause="node-overloaded", hurts=hurts, **evidence)
    return case.holds("fresh", "core", f"the busiest node took {most / fair:.2f} times its share", **evidence)


def _algorithm(case: Case, attempts: Sequence[Attempt]) -> Variant:
    ordered = sorted(attempts, key=lambda a: a.started_ns)
    pairs = list(itertools.pairwise(ordered))
    repeats = sum(first.node == second.node for first, second in pairs) / len(pairs)
    evidence: dict[str, Any] = {"repeats": round(repeats, 3), "pairs": len(pairs)}
    if repeats <= ROUND_ROBIN_REPEATS_MAX:
        return case.holds("algorithm", "policy", "it looks like round robin", **evidence)
    if repeats >= STICKY_REPEATS_MIN:
        return case.observes("algorithm", "it looks like one node first, or affinity by source address", **evidence)
    summary = "it looks random: several requests in a row may hit one node by chance"
    return case.observes("algorithm", summary, cause="random-balancing", **evidence)


def _reuse(case: Case, name: str, served: "Counter[str]") -> Variant:
    words = {"kept": "six kept connections", "http2": "one HTTP/2 connection"}[name]
    evidence: dict[str, Any] = {"nodes": dict(served)}
    if len(served) == 1 and len(case.nodes) > 1:
        return case.observes(
            name, f"all requests on {words} go to one node: the balancer distributes connections", **evidence
        )
    return case.holds(name, "policy", f"requests on {words} are distributed over {len(served)} nodes", **evidence)


BALANCE_EVENLY: Final = Advice(
    do="Balance by round robin or least connections with equal weights; no source hash, no affinity.",
    costs="A client reaches several nodes, which Octopus supports.",
)

CHECK = Check(
    id=ID,
    name="fairness",
    profile="web",
    claim="Every node serves, nothing else does, and no node takes more than 1.5 times its share of the requests.",
    offenders=(
        "affinity by source address; a pool that prefers its first member; unequal weights",
        "Caddy's default policy is random (observed)",
        "an address that was recycled after a migration: a web server there passes every probe that looks at the status alone",
    ),
    quick="600 requests on fresh connections, 60 on six kept ones, 60 on one HTTP/2 connection",
    full="the same",
    causes=(
        Cause(
            foreign.CAUSE,
            Advice(
                do="Take the server that is none of the nodes out of the pool; where the balancer can, let its probe look for "
                '"IsOffline":false in the body.',
                costs="Nothing; a probe that reads the body takes a little longer.",
            ),
        ),
        Cause(
            refusals.OWN,
            Advice(
                do="Exempt the addresses of build servers, or /api, from limits on rate and connections and from rules of a WAF, or raise "
                "them above what a build farm behind one address sends.",
                costs="Such a client can send as much as the nodes take.",
            ),
        ),
        Cause("node-starved", BALANCE_EVENLY),
        Cause("node-overloaded", BALANCE_EVENLY),
        Cause("random-balancing", BALANCE_EVENLY),
    ),
    lane="light",
    judge=judge,
    run=run,
)
