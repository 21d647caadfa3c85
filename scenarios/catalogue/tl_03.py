"""TL-03 drain-does-not-touch-polling: a draining node keeps its polling Tentacles, and new ones still get to it.

A node that drains still runs deployments on its Tentacles. Sessions at the other nodes are the comparison: what ends those
too is no drain.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from scenarios.catalogue import passage
from scenarios.check import Case, Check, seconds
from scenarios.history import Session, sessions_of
from scenarios.verdict import Variant

if TYPE_CHECKING:
    from scenarios.lab import Lab

ID: Final = "TL-03"
LIVE: Final = {"quick": 60, "full": 200}
# At each other node, to compare with.
OTHERS: Final = 3
# How long the drain is watched: long enough for three probes at the intervals that a pool of its own may have; shipped
# defaults are 2 s (HAProxy) to 30 s (NLB, Traefik).
WATCH_S: Final = {"quick": 12.0, "full": 100.0}
NEW_EVERY_S: Final = 1.0
AT_ONCE: Final = 20
# Two silences that one limit ended differ by how often a balancer looks at its timers.
SAME_NS: Final = 1_000_000_000


async def run(lab: "Lab") -> None:
    """Live sessions, a drain, a new session every second while it lasts."""
    passage.note(lab)
    if not lab.tentacles:
        return
    node, *others = lab.tentacles
    watch_s = WATCH_S[lab.tier]
    async with lab.first_node, contextlib.AsyncExitStack() as stack, lab.traffic(ID):
        wanted = [(node, LIVE[lab.tier]), *((other, OTHERS) for other in others)]
        gate = asyncio.Semaphore(AT_ONCE)

        async def live(name: str) -> None:
            async with gate:
                session = await stack.enter_async_context(
                    lab.polling(lab.tentacles[name], ID, "live" if name == node else "elsewhere")
                )
                if session.ready:
                    session.keep_polling()

        await asyncio.gather(*(live(name) for name, count in wanted for _ in range(count)))
        await _new(lab, node, "before")
        drained_ns = await lab.state(node, "draining")
        lab.step(ID, "drained", node=node, since_ns=drained_ns)
        web_out_ns, _ = await asyncio.gather(lab.wait_out(node, drained_ns, watch_s), _news(lab, node, watch_s))
        lab.step(ID, "watched", node=node, since_ns=drained_ns, web_out_ns=web_out_ns)
    await lab.sync()


async def _news(lab: "Lab", node: str, for_s: float) -> None:
    """A new session every second."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        await _new(lab, node, "new")
        await asyncio.sleep(NEW_EVERY_S)


async def _new(lab: "Lab", node: str, variant: str) -> None:
    async with lab.polling(lab.tentacles[node], ID, variant):
        pass


def judge(case: Case) -> list[Variant]:
    """What was live stays, what is new is let in."""
    if found := passage.absent(case, ID):
        return found
    drained = next(iter(case.history.steps_of(ID, "drained")), None)
    watched = next(iter(case.history.steps_of(ID, "watched")), None)
    if drained is None or watched is None:
        return []
    before = sessions_of(case.history, ID, "before")
    live = [s for s in sessions_of(case.history, ID, "live") if s.identified_ns is not None]
    if not live:
        return [passage.not_through(case, "live", "core", [*before, *sessions_of(case.history, ID, "live")])]
    if (elsewhere := passage.strayed(case, "live", "core", live)) is not None:
        return [elsewhere]
    evidence: dict[str, Any] = {
        "node": drained.detail["node"],
        "watched_s": seconds(watched.t_ns - drained.t_ns),
        "web_out_after_s": _web_out_s(watched.detail),
    }
    since_ns = int(drained.detail["since_ns"])
    return [_live(case, live, since_ns, evidence), _new_ones(case, before, live, since_ns, evidence)]


def _web_out_s(detail: Any) -> float | None:
    return None if detail["web_out_ns"] is None else seconds(int(detail["web_out_ns"]) - int(detail["since_ns"]))


def _live(case: Case, live: list[Session], since_ns: int, evidence: dict[str, Any]) -> Variant:
    cut = [s for s in live if s.cut and s.ended_ns >= since_ns]
    elsewhere = [s for s in sessions_of(case.history, ID, "elsewhere") if s.identified_ns is not None]
    cut_elsewhere = [s for s in elsewhere if s.cut and s.ended_ns >= since_ns]
    evidence = {
        **evidence,
        "live": len(live),
        "cut": len(cut),
        "elsewhere": len(elsewhere),
        "cut_elsewhere": len(cut_elsewhere),
    }
    if not cut:
        return case.holds(
            "live", "core", f"{len(live)} polling connections stayed while their node drained", **evidence
        )
    first = min(cut, key=lambda s: s.ended_ns)
    evidence |= {"first_after_s": seconds(first.ended_ns - since_ns), "how": first.how}
    hurts = "deployments that run on the draining node: they lose their Tentacles in the middle"
    summary = f"{len(cut)} of {len(live)} polling connections were cut while their node drained, the first after {evidence['first_after_s']} s"
    if elsewhere and len(cut_elsewhere) * 2 >= len(elsewhere):
        summary += "; so were those of nodes that did not drain"
        return case.breaks(
            "live", "core", summary, cause="polling-idle-limit", caused_by="TL-04", hurts=hurts, **evidence
        )
    if _as_silent_as_elsewhen(case, cut):
        summary += "; each had been silent for as long as ends a connection to that node at any time"
        return case.breaks(
            "live", "core", summary, cause="polling-idle-limit", caused_by="TL-04", hurts=hurts, **evidence
        )
    ruled_out = ("not silence: connections to other nodes stayed",) if elsewhere else ()
    return case.breaks(
        "live", "core", summary, cause="drain-cuts-polling", hurts=hurts, ruled_out=ruled_out, **evidence
    )


def _as_silent_as_elsewhen(case: Case, cut: list[Session]) -> bool:
    """Whether TL-04 found a limit on silence at this address, and every one of these was cut at it."""
    limits = [
        s.ended_ns - s.marks["message"]
        for s in sessions_of(case.history, "TL-04")
        if s.node == cut[0].node and s.cut and "message" in s.marks and "proceeded" not in s.marks
    ]
    silences = [s.ended_ns - max(s.polls, default=s.identified_ns or 0) for s in cut]
    return bool(limits) and all(abs(silence - min(limits)) < SAME_NS for silence in silences)


def _new_ones(
    case: Case, before: list[Session], live: list[Session], since_ns: int, evidence: dict[str, Any]
) -> Variant:
    new = [s for s in sessions_of(case.history, ID, "new") if s.started_ns >= since_ns]
    refused = [s for s in new if s.identified_ns is None]
    evidence = {**evidence, "new": len(new), "refused": len(refused)}
    if not new:
        return case.unknown("new", "core", "no new connection was tried while the node drained", **evidence)
    if refused and passage.lost_anyway(case.history, refused[0].node):
        return passage.not_through(case, "new", "core", refused, **evidence)
    if not any(s.identified_ns for s in (*before, *new)):
        summary = f"beside {len(live)} polling connections no other gets in, whether the node drains or not: {refused[0].error}"
        return case.breaks(
            "new", "core", summary, cause="connection-limit", caused_by=passage.FLEET, hurts=passage.HURTS, **evidence
        )
    if refused:
        summary = f"{len(refused)} of {len(new)} new polling connections were refused while their node drained: {refused[0].error}"
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
    quick=f"{LIVE['quick']} live connections, {WATCH_S['quick']:.0f} s of drain, a new connection every second",
    full=f"{LIVE['full']} live connections, {WATCH_S['full']:.0f} s of drain, a new connection every second",
    lane="polling",
    judge=judge,
    run=run,
    disturbs=True,
)
