"""TL-03 drain-does-not-touch-polling: a draining node keeps its polling Tentacles, and new ones still reach it.

A draining node still runs deployments on its Tentacles. All nodes drain at the same time. If connections are cut, others are kept for
as long without a drain: if those are cut too, the drain was not the reason.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import polling
from mocknode.judge.record import steps
from mocknode.judge.record.history import History, Session, sessions_of
from mocknode.judge.record.steps import StepFacts
from mocknode.judge.verdict.case import Case, seconds
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Outcome, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab
    from mocknode.judge.traffic.polling_session import PollingAddress

ID: Final = "TL-03"
# Live connections at all draining nodes together.
LIVE: Final = {"quick": 60, "full": 200}
# Connections without a drain at each node whose connections were cut, and how much longer they are watched: a balancer that checks
# its timers every second may be this late.
UNDRAINED: Final = 3
UNDRAINED_LONGER_S: Final = 2.0
# How long the drain is watched: three probes at the intervals of a pool for Tentacles; defaults are 2 s (HAProxy) to 30 s (NLB,
# Traefik).
WATCH_S: Final = {"quick": 12.0, "full": 100.0}
NEW_EVERY_S: Final = 1.0
AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drained(StepFacts):
    """These nodes drain since `since_ns`."""

    what = "drained"
    nodes: Sequence[str]
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched(StepFacts):
    """Connections were watched from `since_ns` until now, while the nodes drained."""

    what = "watched"
    since_ns: int


async def run(lab: "Lab") -> None:
    """Drain all nodes at the same time, as each has its own part of the configuration and any part may be wrong.

    If connections are cut, keep others for as long without a drain, to see whether the drain was the reason.
    """
    polling.record_addresses(lab)
    if not lab.tentacles:
        return
    await _drain(lab)
    drain = _drained(lab.history)
    if drain is not None and drain.cut:
        cut = list(dict.fromkeys(s.node for s in drain.cut))
        oldest_s = max(s.ended_ns - s.started_ns for s in drain.cut) / 1e9
        await _undrained(lab, cut, oldest_s + UNDRAINED_LONGER_S)
    await lab.sync()


async def _drain(lab: "Lab") -> None:
    nodes = list(lab.tentacles)
    async with lab.exclusive(*nodes), contextlib.AsyncExitStack() as stack:
        gate = asyncio.Semaphore(AT_ONCE)

        async def live(node: str) -> None:
            async with gate:
                session = await stack.enter_async_context(lab.polling(lab.tentacles[node], ID, "live"))
                if session.ready:
                    session.keep_polling()

        each = math.ceil(LIVE[lab.tier] / len(nodes))
        await asyncio.gather(*(live(node) for node in nodes for _ in range(each)))
        await asyncio.gather(*(_new(lab, node, "before") for node in nodes))
        since_ns = max([await lab.state(node, "draining") for node in nodes])
        lab.step(ID, _Drained(nodes=nodes, since_ns=since_ns))
        await _news(lab, nodes, WATCH_S[lab.tier])
        lab.step(ID, _Watched(since_ns=since_ns))
    for node in nodes:
        await lab.state(node, "online")


async def _undrained(lab: "Lab", nodes: Sequence[str], for_s: float) -> None:
    """Keep connections to these nodes, which do not drain, for this long, and beside them one that is called all the time."""
    places = [lab.tentacles[node] for node in nodes]
    await asyncio.gather(*(polling.wait_until_reachable_again(lab, ID, place) for place in places))

    async def stand(place: "PollingAddress") -> None:
        async with lab.polling(place, ID, "undrained") as session:
            if session.ready:
                session.keep_polling()
                await asyncio.wait([session.ended], timeout=for_s)

    async with lab.exclusive(*nodes):
        await asyncio.gather(
            *(stand(place) for place in places for _ in range(UNDRAINED)),
            *(polling.keep_calling(lab, ID, place, for_s) for place in places),
        )


async def _news(lab: "Lab", nodes: Sequence[str], for_s: float) -> None:
    """Open a new session at each node every second."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        await asyncio.gather(*(_new(lab, node, "new") for node in nodes))
        await asyncio.sleep(NEW_EVERY_S)


async def _new(lab: "Lab", node: str, variant: str) -> None:
    async with lab.polling(lab.tentacles[node], ID, variant):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drain:
    """The drain and its sessions: `live` polled when it began; `undrained` were kept without a drain."""

    nodes: list[str]
    since_ns: int
    evidence: Mapping[str, Any]
    tried: list[Session]
    live: list[Session]
    before: list[Session]
    new: list[Session]
    undrained: list[Session]
    talking: list[Session]

    @property
    def cut(self) -> list[Session]:
        """Return the live sessions that the balancer cut during the drain."""
        return [s for s in self.live if s.cut and s.ended_ns >= self.since_ns]

    def limit_at(self, node: str) -> polling.Limit | None:
        """Return what ends connections to this node without a drain; None if most of them were kept."""
        stood = [s for s in self.undrained if s.node == node]
        if sum(s.cut for s in stood) * 2 <= len(stood):
            return None
        return polling.limit_of(stood, [s for s in self.talking if s.node == node])


def _drained(history: History) -> _Drain | None:
    """Return the recorded drain, None if the run was interrupted during it."""
    drained = steps.first(history, ID, _Drained)
    end = steps.first(history, ID, _Watched)
    if drained is None or end is None:
        return None
    since_ns = drained.facts.since_ns
    before, live, undrained, talking = (
        sessions_of(history, ID, name) for name in ("before", "live", "undrained", polling.TALKING)
    )
    return _Drain(
        nodes=list(drained.facts.nodes),
        since_ns=since_ns,
        evidence={
            "nodes": list(drained.facts.nodes),
            "watched_s": seconds(end.t_ns - drained.t_ns),
        },
        tried=[*before, *live],
        live=[s for s in live if s.identified_ns is not None],
        before=before,
        new=[s for s in sessions_of(history, ID, "new") if s.started_ns >= since_ns],
        undrained=[s for s in undrained if s.identified_ns is not None],
        talking=[s for s in talking if s.identified_ns is not None],
    )


def judge(case: Case) -> list[Variant]:
    """Live connections are kept, and new ones get through."""
    if found := polling.no_addresses(case, ID):
        return found
    drain = _drained(case.history)
    if drain is None:
        return []
    for node in drain.nodes:
        if all(s.node != node for s in drain.live):
            tried = [s for s in drain.tried if s.node == node]
            return [polling.not_connected(case, "live", "core", tried)] if tried else []
    for sessions in (drain.live, drain.before):
        if (elsewhere := polling.reached_wrong_node(case, "live", "core", sessions)) is not None:
            return [elsewhere]
    new = _new_ones(case, drain)
    accepted = new.evidence["new"] if new.outcome is Outcome.PASS else 0
    return [_live(case, drain, accepted), new]


def _live(case: Case, drain: _Drain, accepted: int) -> Variant:
    live, cut = drain.live, drain.cut
    evidence: dict[str, Any] = {**drain.evidence, "live": len(live), "cut": len(cut)}
    if not cut:
        # The first variant is the check's headline, so it also says that new connections got through.
        beside = f" and {accepted} new ones were accepted" if accepted else ""
        return case.holds(
            "live", "core", f"{len(live)} polling connections were kept{beside} while their node drained", **evidence
        )
    limits = {node: drain.limit_at(node) for node in sorted({s.node for s in cut})}
    # A connection that would have ended anyway says nothing about drains.
    by_drain = [s for s in cut if limits[s.node] is None]
    told = by_drain or cut
    first = min(told, key=lambda s: s.ended_ns)
    stood = [s for s in drain.undrained if s.node in {c.node for c in told}]
    evidence |= {
        "first_after_s": seconds(first.ended_ns - drain.since_ns), "how": first.how,
        "undrained": len(stood), "cut_undrained": sum(s.cut for s in stood),
    }  # fmt: skip
    hurts = "deployments that run on the draining node: they lose their Tentacles in the middle"
    of_these = sum(s.node in {c.node for c in told} for s in live)
    summary = (
        f"{len(told)} of {of_these} polling connections of {_names(told)} were cut while it drained, the first after "
        f"{evidence['first_after_s']} s"
    )
    limit = limits[first.node]
    if limit is None:
        # If none got through afterwards, there is nothing to compare with.
        ruled_out = ("not silence or age: others were kept as long without a drain",) if stood else ()
        return case.breaks(
            "live", "core", summary, cause="drain-cuts-polling", hurts=hurts, ruled_out=ruled_out, **evidence
        )
    summary += f"; others were cut too, after {seconds(limit.after_ns)} s, while it did not drain"
    # A limit longer than the silences that TL-04 tried is reported here only.
    missed = polling.idle_connections_survived(case.history, first.node)
    root = None if missed else polling.SILENCE
    return case.breaks("live", "core", summary, cause=limit.cause, caused_by=root, hurts=hurts, **evidence)


def _names(sessions: Sequence[Session]) -> str:
    return " and ".join(sorted({s.node for s in sessions}))


def _new_ones(case: Case, drain: _Drain) -> Variant:
    new = drain.new
    refused = [s for s in new if s.identified_ns is None]
    evidence = {**drain.evidence, "new": len(new), "refused": len(refused)}
    if {s.node for s in new} < set(drain.nodes):
        return case.unknown("new", "core", "no new connection was tried while a node drained", **evidence)
    lost = next((s for s in refused if polling.loses_connections_anyway(case.history, s.node)), None)
    if lost is not None:
        return polling.not_connected(case, "new", "core", [s for s in refused if s.node == lost.node], **evidence)
    let_in = {s.node for s in (*drain.before, *new) if s.identified_ns is not None}
    full = next((s for s in refused if s.node not in let_in), None)
    if full is not None:
        summary = f"beside {len(drain.live)} polling connections no other gets through, whether {full.node} drains or not: {full.error}"
        return case.breaks(
            "new", "core", summary, cause="connection-limit", caused_by=polling.FLEET, hurts=polling.HURTS, **evidence
        )
    for node in drain.nodes:
        of_node = [s for s in new if s.node == node]
        led = {other: count for other, count in polling.nodes_reached(case.history, of_node).items() if other != node}
        if led:
            what = f"{sum(led.values())} of {len(of_node)} new polling connections to {node} were led to {' and '.join(sorted(led))}"
            return _refuses(case, f"{what} while it drained", **evidence)
    if refused:
        tried = sum(s.node in {r.node for r in refused} for s in new)
        summary = (
            f"{len(refused)} of {tried} new polling connections to {_names(refused)} were refused while it drained: "
            f"{refused[0].error}"
        )
        return _refuses(case, summary, **evidence)
    return case.holds(
        "new", "core", f"{len(new)} new polling connections got through while their node drained", **evidence
    )


def _refuses(case: Case, summary: str, **evidence: Any) -> Variant:
    return case.breaks(
        "new", "core", summary, cause="drained-node-refuses-polling", **evidence,
        hurts="deployments that run on the draining node: a Tentacle that reconnects does not get back to them",
        ruled_out=("not the address: the same connection got through before the drain",),
    )  # fmt: skip


NO_PING_CHECK: Final = Advice(
    do="On :10943 use a TCP check or none, never the ping; a node that drains still runs deployments on its Tentacles.",
    costs="Only the Tentacles notice a node that is down, because they cannot connect.",
)

CHECK = Check(
    id=ID,
    name="drain-does-not-touch-polling",
    profile="polling",
    claim="A node that drains keeps its polling connections and accepts new ones.",
    offenders=(
        "any pool on :10943 that reuses the ping check: HAProxy `track` or `httpchk` to the web port, NLB and Azure LB by habit",
        "NLB and NetScaler also cut existing connections; HAProxy does so with `on-marked-down shutdown-sessions`",
    ),
    quick=f"{LIVE['quick']} live connections, {WATCH_S['quick']:.0f} s of drain of all nodes, new ones every second",
    full=f"{LIVE['full']} live connections, {WATCH_S['full']:.0f} s of drain of all nodes, new ones every second",
    causes=(
        Cause("drain-cuts-polling", NO_PING_CHECK),
        Cause("drained-node-refuses-polling", NO_PING_CHECK),
    ),
    lane="polling",
    judge=judge,
    run=run,
    disturbs=("quick", "full"),
)
