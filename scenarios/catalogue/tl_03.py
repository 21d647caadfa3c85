"""TL-03 drain-does-not-touch-polling: a draining node keeps its polling Tentacles, and new ones still get to it.

A node that drains still runs deployments on its Tentacles. All drain at once; where a connection is cut, its node drains again alone,
and connections to the others are the comparison: what ends those too is no drain.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scenarios.catalogue import passage
from scenarios.check import Case, Check, seconds
from scenarios.history import History, Session, sessions_of
from scenarios.verdict import Outcome, Variant

if TYPE_CHECKING:
    from scenarios.lab import Lab

ID: Final = "TL-03"
# Together, at the nodes that drain.
LIVE: Final = {"quick": 60, "full": 200}
# At each node that does not drain, to compare with.
OTHERS: Final = 3
# How long the drain is watched: long enough for three probes at the intervals that a pool of its own may have; shipped
# defaults are 2 s (HAProxy) to 30 s (NLB, Traefik).
WATCH_S: Final = {"quick": 12.0, "full": 100.0}
NEW_EVERY_S: Final = 1.0
AT_ONCE: Final = 20


async def run(lab: "Lab") -> None:
    """All nodes drain at once, as a configuration has a paragraph for each and a mistake may be in any. Where connections were cut one
    such node drains again alone: if others are cut then, it was no drain."""
    passage.note(lab)
    if not lab.tentacles:
        return
    await _drain(lab, list(lab.tentacles))
    cut = [s.node for drain in _drains(lab.history) for s in drain.cut]
    if cut and len(lab.tentacles) > 1:
        await asyncio.gather(*(passage.through_again(lab, ID, place) for place in lab.tentacles.values()))
        await _drain(lab, [min(cut, key=list(lab.tentacles).index)])
    await lab.sync()


async def _drain(lab: "Lab", nodes: Sequence[str]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(lab.left_alone[node])
        gate = asyncio.Semaphore(AT_ONCE)

        async def live(node: str) -> None:
            async with gate:
                variant = "live" if node in nodes else "elsewhere"
                session = await stack.enter_async_context(lab.polling(lab.tentacles[node], ID, variant))
                if session.ready:
                    session.keep_polling()

        each = math.ceil(LIVE[lab.tier] / len(nodes))
        wanted = {node: each if node in nodes else OTHERS for node in lab.tentacles}
        await asyncio.gather(*(live(node) for node, count in wanted.items() for _ in range(count)))
        await asyncio.gather(*(_new(lab, node, "before") for node in nodes))
        since_ns = max([await lab.state(node, "draining") for node in nodes])
        lab.step(ID, "drained", nodes=list(nodes), since_ns=since_ns)
        await _news(lab, nodes, WATCH_S[lab.tier])
        lab.step(ID, "watched", nodes=list(nodes), since_ns=since_ns)
    for node in nodes:
        await lab.state(node, "online")


async def _news(lab: "Lab", nodes: Sequence[str], for_s: float) -> None:
    """A new session at each every second."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        await asyncio.gather(*(_new(lab, node, "new") for node in nodes))
        await asyncio.sleep(NEW_EVERY_S)


async def _new(lab: "Lab", node: str, variant: str) -> None:
    async with lab.polling(lab.tentacles[node], ID, variant):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drain:
    """Nodes that drained at the same time, and the sessions that belong to it: `live` and `elsewhere` those that polled."""

    nodes: list[str]
    since_ns: int
    evidence: Mapping[str, Any]
    live: list[Session]
    elsewhere: list[Session]
    before: list[Session]
    new: list[Session]
    tried: list[Session]

    @property
    def cut(self) -> list[Session]:
        """Of those that were live, whom the balancer cut."""
        return [s for s in self.live if s.cut and s.ended_ns >= self.since_ns]


def _drains(history: History) -> list[_Drain]:
    found: list[_Drain] = []
    before_ns = 0
    watched = {int(step.detail["since_ns"]): step for step in history.steps_of(ID, "watched")}
    for drained in history.steps_of(ID, "drained"):
        since_ns = int(drained.detail["since_ns"])
        if (end := watched.get(since_ns)) is None:
            continue  # The run was cut short in it.
        of = {
            variant: [s for s in sessions_of(history, ID, variant) if before_ns <= s.started_ns <= end.t_ns]
            for variant in ("live", "elsewhere", "before", "new")
        }
        found.append(
            _Drain(
                nodes=list(drained.detail["nodes"]),
                since_ns=since_ns,
                evidence={
                    "nodes": list(drained.detail["nodes"]),
                    "watched_s": seconds(end.t_ns - drained.t_ns),
                },
                live=[s for s in of["live"] if s.identified_ns is not None],
                elsewhere=[s for s in of["elsewhere"] if s.identified_ns is not None],
                before=of["before"],
                new=[s for s in of["new"] if s.started_ns >= since_ns],
                tried=[*of["before"], *of["live"]],
            )
        )
        before_ns = end.t_ns
    return found


def judge(case: Case) -> list[Variant]:
    """What was live stays, what is new is let in."""
    if found := passage.absent(case, ID):
        return found
    drains = _drains(case.history)
    if not drains:
        return []
    drain = drains[0]
    for node in drain.nodes:
        if all(s.node != node for s in drain.live):
            tried = [s for s in drain.tried if s.node == node]
            return [passage.not_through(case, "live", "core", tried)] if tried else []
    for sessions in (drain.live, drain.new):
        if (elsewhere := passage.strayed(case, "live", "core", sessions)) is not None:
            return [elsewhere]
    new = _new_ones(case, drain)
    accepted = new.evidence["new"] if new.outcome is Outcome.PASS else 0
    # The second, of one node, has others to compare with.
    return [_live(case, next((d for d in reversed(drains) if d.cut), drain), accepted), new]


def _live(case: Case, drain: _Drain, accepted: int) -> Variant:
    since_ns, live, cut, elsewhere = drain.since_ns, drain.live, drain.cut, drain.elsewhere
    cut_elsewhere = [s for s in elsewhere if s.cut and s.ended_ns >= since_ns]
    evidence: dict[str, Any] = {
        **drain.evidence,
        "live": len(live),
        "cut": len(cut),
        "elsewhere": len(elsewhere),
        "cut_elsewhere": len(cut_elsewhere),
    }
    if not cut:
        # This variant speaks for the check: where new ones got in as well it says so.
        beside = f" and {accepted} new ones were accepted" if accepted else ""
        return case.holds(
            "live", "core", f"{len(live)} polling connections stayed{beside} while their node drained", **evidence
        )
    first = min(cut, key=lambda s: s.ended_ns)
    evidence |= {"first_after_s": seconds(first.ended_ns - since_ns), "how": first.how}
    hurts = "deployments that run on the draining node: they lose their Tentacles in the middle"
    of_these = sum(s.node in {c.node for c in cut} for s in live)
    summary = (
        f"{len(cut)} of {of_these} polling connections of {_names(cut)} were cut while it drained, the first after "
        f"{evidence['first_after_s']} s"
    )
    limits = {s.node: passage.limit_at(case.history, s.node) for s in cut}
    limit = limits[first.node]
    if elsewhere and len(cut_elsewhere) * 2 >= len(elsewhere):
        summary += "; so were those of nodes that did not drain"
    elif limit is not None and all((found := limits[s.node]) is not None and found.ended(s) for s in cut):
        summary += f"; each after what ends a connection to that node at any time ({seconds(limit.after_ns)} s)"
    else:
        ruled_out = ("not silence or age: connections to other nodes stayed",) if elsewhere else ()
        return case.breaks(
            "live", "core", summary, cause="drain-cuts-polling", hurts=hurts, ruled_out=ruled_out, **evidence
        )
    cause = "polling-idle-limit" if limit is None else limit.cause
    return case.breaks("live", "core", summary, cause=cause, caused_by=passage.SILENCE, hurts=hurts, **evidence)


def _names(sessions: Sequence[Session]) -> str:
    return " and ".join(sorted({s.node for s in sessions}))


def _new_ones(case: Case, drain: _Drain) -> Variant:
    new = drain.new
    refused = [s for s in new if s.identified_ns is None]
    evidence = {**drain.evidence, "new": len(new), "refused": len(refused)}
    if {s.node for s in new} < set(drain.nodes):
        return case.unknown("new", "core", "no new connection was tried while a node drained", **evidence)
    lost = next((s for s in refused if passage.lost_anyway(case.history, s.node)), None)
    if lost is not None:
        return passage.not_through(case, "new", "core", [s for s in refused if s.node == lost.node], **evidence)
    let_in = {s.node for s in (*drain.before, *new) if s.identified_ns is not None}
    full = next((s for s in refused if s.node not in let_in), None)
    if full is not None:
        summary = f"beside {len(drain.live)} polling connections no other gets in, whether {full.node} drains or not: {full.error}"
        return case.breaks(
            "new", "core", summary, cause="connection-limit", caused_by=passage.FLEET, hurts=passage.HURTS, **evidence
        )
    if refused:
        tried = sum(s.node in {r.node for r in refused} for s in new)
        summary = (
            f"{len(refused)} of {tried} new polling connections to {_names(refused)} were refused while it drained: "
            f"{refused[0].error}"
        )
        return case.breaks(
            "new", "core", summary, cause="drained-node-refuses-polling", **evidence,
            hurts="deployments that run on the draining node: a Tentacle that reconnects does not get back to them",
            ruled_out=("not the address: the same connection got through before the drain",),
        )  # fmt: skip
    return case.holds(
        "new", "core", f"{len(new)} new polling connections got through while their node drained", **evidence
    )


CHECK = Check(
    id=ID,
    name="drain-does-not-touch-polling",
    profile="polling",
    claim="A node that drains keeps its polling connections and takes new ones.",
    offenders=(
        "any pool on :10943 that reuses the ping check: HAProxy `track` or `httpchk` to the web port, NLB and Azure LB by habit",
        "NLB and NetScaler cut what is connected as well; HAProxy with `on-marked-down shutdown-sessions`",
    ),
    quick=f"{LIVE['quick']} live connections, {WATCH_S['quick']:.0f} s of drain of all nodes, new ones every second",
    full=f"{LIVE['full']} live connections, {WATCH_S['full']:.0f} s of drain of all nodes, new ones every second",
    lane="polling",
    judge=judge,
    run=run,
    disturbs=("quick", "full"),
)
