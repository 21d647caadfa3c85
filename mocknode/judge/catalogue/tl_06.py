"""TL-06 fleet-scale: hundreds of polling connections are open at once, and all are back after their node was restarted.

All use one address, as limits count by address, by pool or by process. The sizes are those that a check can afford beside others; for
a fleet of thousands see `mocknode tentacles`.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import polling
from mocknode.judge.record import steps
from mocknode.judge.record.history import Session, sessions_of
from mocknode.judge.record.steps import StepFacts
from mocknode.judge.verdict.case import Case, seconds
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab
    from mocknode.judge.traffic.polling_session import PollingSession

ID: Final = "TL-06"
# Full: more than the 1024 connections that Envoy allows a cluster, and the 512 of nginx' two default workers.
FLEET: Final = {"quick": 300, "full": 1200}
# Up to this share may fail: one in a hundred is the network, not a limit.
REFUSED_SHARE_MAX: Final = 0.01
# Real Tentacles wait exactly this long after a polling connection was cut.
BACK_OFF_S: Final = 5.0
BACK_S_MAX: Final = 60.0
AT_ONCE: Final = 20
# After this many failures the rest of the fleet is not tried any more.
VAIN_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _FleetConnected(StepFacts):
    """`stand` of `wanted` connections to the node are open."""

    what = "stand"
    node: str
    wanted: int
    stand: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _NodeRestarted(StepFacts):
    """The node crashed, and is online again."""

    what = "restarted"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _FleetBack(StepFacts):
    """`missing` of `wanted` Tentacles had not reconnected `after_s` after the node's restart."""

    what = "back"
    node: str
    wanted: int
    missing: int
    after_s: float


async def run(lab: "Lab") -> None:
    """Connect the fleet at the first node's address; in the full tier restart the node meanwhile."""
    polling.record_addresses(lab)
    if not lab.tentacles:
        return
    node = next(iter(lab.tentacles))
    async with contextlib.AsyncExitStack() as stack:
        fleet = await _connect(lab, node, "fleet", FLEET[lab.tier], stack)
        lab.step(ID, _FleetConnected(node=node, wanted=FLEET[lab.tier], stand=sum(s.ready for s in fleet)))
        if lab.quick or not any(s.ready for s in fleet):
            return
        stood = [s for s in fleet if s.ready]
        for session in stood:
            session.keep_polling()
        async with lab.exclusive(node):
            await lab.state(node, "offline", "crash")
            await asyncio.gather(*(_gone(s) for s in stood))
            await lab.state(node, "online")
        online = time.monotonic()
        lab.step(ID, _NodeRestarted(node=node))
        await asyncio.sleep(BACK_OFF_S)
        wanted = waiting = len(stood)
        # A Tentacle that is refused tries again after five seconds, and so on.
        while waiting and time.monotonic() - online < BACK_S_MAX:
            again = await _connect(lab, node, "back", waiting, stack)
            waiting -= sum(s.ready for s in again)
            if waiting:
                await asyncio.sleep(BACK_OFF_S)
        lab.step(ID, _FleetBack(node=node, wanted=wanted, missing=waiting, after_s=round(time.monotonic() - online, 2)))
    await lab.sync()


async def _connect(
    lab: "Lab", node: str, variant: str, count: int, stack: contextlib.AsyncExitStack
) -> "list[PollingSession]":
    gate = asyncio.Semaphore(AT_ONCE)
    found: list[PollingSession] = []

    async def one() -> None:
        async with gate:
            if sum(not s.ready for s in found) >= VAIN_MAX:
                return
            found.append(await stack.enter_async_context(lab.polling(lab.tentacles[node], ID, variant)))

    await asyncio.gather(*(one() for _ in range(count)))
    return found


async def _gone(session: "PollingSession") -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(session.ended), BACK_S_MAX)


def judge(case: Case) -> list[Variant]:
    """All connections that were asked for are open, except for one in a hundred."""
    if found := polling.no_addresses(case, ID):
        return found
    stand = steps.first(case.history, ID, _FleetConnected)
    fleet = sessions_of(case.history, ID, "fleet")
    if stand is None or not fleet:
        return []
    wanted = stand.facts.wanted
    up = [s for s in fleet if s.identified_ns is not None]
    if not up:
        return [polling.not_connected(case, "fleet", "extended", fleet)]
    variants = [_fleet(case, wanted, up, [s for s in fleet if s.identified_ns is None], stand.t_ns)]
    back = steps.first(case.history, ID, _FleetBack)
    if back is not None:
        variants.append(
            polling.reached_wrong_node(case, "restart", "extended", up)
            or _back(case, back.facts.wanted, back.facts.missing, back.facts.after_s)
        )
    return variants


def _fleet(case: Case, wanted: int, up: list[Session], lost: list[Session], stand_ns: int) -> Variant:
    early = [s for s in up if s.cut and s.ended_ns < stand_ns]
    missing = wanted - len(up) + len(early)
    evidence: dict[str, Any] = {
        "wanted": wanted,
        "stand": wanted - missing,
        "within_s": seconds(max(s.identified_ns or 0 for s in up) - min(s.started_ns for s in up)),
    }
    if missing / wanted < REFUSED_SHARE_MAX:
        return case.holds(
            "fleet",
            "extended",
            f"{evidence['stand']} of {wanted} polling connections are open at one address",
            **evidence,
        )
    if lost and polling.loses_connections_anyway(case.history, lost[0].node):
        return polling.not_connected(case, "fleet", "extended", lost, **evidence)
    said = lost[0].error if lost else "cut again before all were open"
    summary = f"only {evidence['stand']} of {wanted} polling connections are open at one address: {said}"
    return case.breaks(
        "fleet", "extended", summary, cause="connection-limit", **evidence,
        hurts="the Tentacles beyond the limit: they poll no node, and their machines get no deployments",
    )  # fmt: skip


def _back(case: Case, wanted: int, missing: int, after_s: float) -> Variant:
    evidence: dict[str, Any] = {"wanted": wanted, "missing": missing, "after_s": after_s, "limit_s": BACK_S_MAX}
    if missing / wanted < REFUSED_SHARE_MAX:
        return case.holds(
            "restart",
            "extended",
            f"{wanted - missing} of {wanted} Tentacles are back {after_s:.0f} s after their node",
            **evidence,
        )
    return case.breaks(
        "restart", "extended", f"{missing} of {wanted} Tentacles are not back {after_s:.0f} s after their node was", **evidence,
        cause="reconnects-refused", hurts="deployments after a restart of a node: its Tentacles are not connected yet",
    )  # fmt: skip


RAISE_LIMITS: Final = Advice(
    do="Raise the limits on connections and open files above the number of Tentacles times the nodes, with room for a restart.",
    costs="Memory for that many connections.",
)

CHECK = Check(
    id=ID,
    name="fleet-scale",
    profile="polling",
    claim="A whole fleet of polling Tentacles gets through, and is back within a minute after its node was restarted.",
    offenders=(
        "Envoy allows a cluster 1024 connections; in nginx a session takes two of 512 worker connections",
        "HAProxy with a small `maxconn`; limits on the open files of a container or a service",
    ),
    quick=f"{FLEET['quick']} connections at one address",
    full=f"{FLEET['full']} connections at one address, and a restart of its node",
    causes=(
        Cause("connection-limit", RAISE_LIMITS),
        Cause("reconnects-refused", RAISE_LIMITS),
    ),
    lane="polling",
    judge=judge,
    run=run,
    disturbs=("full",),
)
