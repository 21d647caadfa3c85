"""TL-05 half-open-and-half-close: when one side has closed its half, the other can still send the rest.

A peer that vanishes without closing (half-open) needs dropped packets, which the nodes cannot do.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import polling
from mocknode.judge.record.history import sessions_of
from mocknode.judge.traffic.polling_session import NotedServices
from mocknode.judge.verdict.case import Case, seconds
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "TL-05"
# Time between the half-close and the rest; the claim is that the rest gets through for 5 s.
REST_AFTER_S: Final = 3.0
REST_S_MAX: Final = 5.0
TRIES: Final = 2
# The call is never answered, as its Tentacle has stopped sending.
UNANSWERED_S: Final = 3600.0
VANISHED: Final = (
    "a peer that vanishes without closing needs dropped packets (capability packet-drop), which the nodes cannot do yet"
)


async def run(lab: "Lab") -> None:
    """Half-close a polling connection at the Tentacle, then let its node send something."""
    polling.record_addresses(lab)
    if not lab.tentacles:
        return
    node = list(lab.tentacles)[-1]
    await asyncio.gather(*(_half_close(lab, node) for _ in range(TRIES)))
    await lab.sync()


async def _half_close(lab: "Lab", node: str) -> None:
    services = NotedServices(takes_s=UNANSWERED_S)
    async with lab.polling(lab.tentacles[node], ID, "half-close", services=services) as session:
        if not session.ready:
            return
        async with lab.registered(session) as name:
            session.keep_polling()
            session.half_close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(session.ended), REST_AFTER_S)
            calling = asyncio.create_task(lab.call(node, name))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(services.called.wait(), REST_S_MAX - REST_AFTER_S)
                session.marks["rest"] = time.monotonic_ns()
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)


def judge(case: Case) -> list[Variant]:
    """What the node sends after the half-close arrives."""
    if found := polling.no_addresses(case, ID):
        return found
    sessions = sessions_of(case.history, ID, "half-close")
    if not sessions:
        return []
    if all(s.identified_ns is None for s in sessions):
        return [polling.not_connected(case, "half-close", "extended", sessions)]
    if (elsewhere := polling.reached_wrong_node(case, "half-close", "extended", sessions)) is not None:
        return [elsewhere]
    closed = [s for s in sessions if "half-closed" in s.marks]
    cut = [s for s in closed if s.cut and "rest" not in s.marks]
    evidence: dict[str, Any] = {"sessions": len(closed), "cut": len(cut), "rest_after_s": REST_AFTER_S}
    skipped = case.skips("half-open", "extended", VANISHED)
    if cut:
        after_s = seconds(min(s.ended_ns - s.marks["half-closed"] for s in cut))
        summary = f"{after_s} s after a Tentacle half-closed, the balancer ends the connection, and what its node still sends is lost"
        found_cut = case.breaks(
            "half-close", "extended", summary, cause="half-close-cut", after_s=after_s, **evidence,
            hurts="usually nobody: Octopus and its Tentacles close both halves; other clients of that port lose the rest of an answer",
        )  # fmt: skip
        return [found_cut, skipped]
    if not closed or not all("rest" in s.marks for s in closed):
        return [
            case.unknown(
                "half-close",
                "extended",
                "neither the rest from the node nor the end of the connection arrived",
                **evidence,
            ),
            skipped,
        ]
    return [
        case.holds("half-close", "extended", "what a node sends after a half-close still arrives", **evidence),
        skipped,
    ]


CHECK = Check(
    id=ID,
    name="half-open-and-half-close",
    profile="polling",
    claim="When one side has closed its half of a polling connection, the rest from the other gets through for 5 s.",
    offenders=(
        "Traefik waits 100 ms for the rest (`terminationDelay`)",
        "nginx closes both halves immediately (`proxy_half_close off`)",
    ),
    quick="a Tentacle half-closes, 3 s later its node sends something",
    full="the same",
    causes=(
        Cause(
            "half-close-cut",
            Advice(
                do="Keep the other half of a connection open for some seconds after one side has closed its half.",
                costs="A connection that one side has closed stays that long.",
            ),
        ),
    ),
    lane="polling",
    judge=judge,
    run=run,
)
