"""TL-04 idle-and-long-rpc: a polling connection survives the silence of an idle poll and of a long call.

The silence is a call that takes this long: the node sends a request, the Tentacle answers later, and nothing is sent in between. An
idle poll is silent for 30 s, so a balancer that ends a connection after 35 s of silence ends polling.

Another connection at the same address is called every second: if that one is cut too, the limit is on age.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import polling
from mocknode.judge.record.history import Session, sessions_of
from mocknode.judge.traffic.polling_session import NotedServices, PollingAddress
from mocknode.judge.verdict.case import Case, seconds
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Level, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "TL-04"
CORE_S: Final = (31, 35)
QUICK_S: Final = (35,)
# The longest is below the 5 minutes after which a server gives up a call.
EXTENDED_S: Final = (65, 120, 290)
# Time after the silence for the answer to arrive and the server to send PROCEED.
MARGIN_S: Final = 15.0


async def run(lab: "Lab") -> None:
    """Try all silences at the same time: the core ones at every address, the longer ones at one address."""
    polling.record_addresses(lab)
    places = list(lab.tentacles.values())
    core = QUICK_S if lab.quick else CORE_S
    longer = () if lab.quick else tuple(s for s in EXTENDED_S if s <= lab.patience_s)
    # The last node, because other checks need the other nodes earlier.
    silences = {place.node: [*core, *(longer if place is places[-1] else ())] for place in places}
    await asyncio.gather(*(_undisturbed(lab, place, silences[place.node]) for place in places))
    await lab.sync()


async def _undisturbed(lab: "Lab", place: PollingAddress, silences: Sequence[int]) -> None:
    """Try the silences of one node at the same time, while no other check drains or restarts the node."""
    async with lab.exclusive(place.node):
        await asyncio.gather(
            *(_silence(lab, place, silent_s) for silent_s in silences),
            polling.keep_calling(lab, ID, place, max(silences)),
        )


async def _silence(lab: "Lab", place: PollingAddress, silent_s: int) -> None:
    async with lab.polling(place, ID, f"{silent_s}s", services=NotedServices(takes_s=silent_s)) as session:
        if not session.ready:
            return
        async with lab.registered(session) as name:
            calling = asyncio.create_task(lab.call(place.node, name))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(silent_s + MARGIN_S):
                    while "proceeded" not in session.marks and await session.poll(silent_s + MARGIN_S):
                        pass
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)


def judge(case: Case) -> list[Variant]:
    """The answer gets through after each silence, and the connection goes on."""
    if found := polling.no_addresses(case, ID):
        return found
    sessions = [s for s in sessions_of(case.history, ID) if s.variant != polling.TALKING]
    # The longest first: if all pass, it is the check's headline.
    names = sorted({s.variant for s in sessions}, key=lambda name: int(name.removesuffix("s")), reverse=True)
    return [_judge_silence(case, name, [s for s in sessions if s.variant == name]) for name in names]


def _judge_silence(case: Case, name: str, sessions: list[Session]) -> Variant:
    silent_s = int(name.removesuffix("s"))
    level: Level = "extended" if silent_s in EXTENDED_S else "core"
    evidence: dict[str, Any] = {
        "silent_s": silent_s,
        "sessions": len(sessions),
        "addresses": [s.address for s in sessions],
    }
    if all(s.identified_ns is None for s in sessions):
        return polling.not_connected(case, name, level, sessions, silent_s=silent_s)
    if (elsewhere := polling.reached_wrong_node(case, name, level, sessions)) is not None:
        return elsewhere
    whole = [s for s in sessions if "proceeded" in s.marks]
    if len(whole) == len(sessions):
        longest = max(seconds(s.marks["answered"] - s.marks["message"]) or 0.0 for s in whole)
        return case.holds(
            name, level, f"a connection goes on after {silent_s} s of silence", longest_s=longest, **evidence
        )
    cut = [s for s in sessions if s.cut and "message" in s.marks and "proceeded" not in s.marks]
    if not cut:
        if lost := [s for s in sessions if s.identified_ns is None]:
            return polling.not_connected(case, name, level, lost, silent_s=silent_s)
        short = next(s for s in sessions if "proceeded" not in s.marks)
        return case.unknown(name, level, f"the call did not get that far: {short.error or short.how}", **evidence)
    limits = [limit for node in {s.node for s in cut} if (limit := _limit_at(case, node)) is not None]
    limit = min(limits, key=lambda limit: limit.after_ns)
    evidence |= {
        "cut": len(cut),
        "limit_s": round(limit.after_ns / 1e9, 1),
        "spread_s": round((max(x.after_ns for x in limits) - limit.after_ns) / 1e9, 2),
        "how": cut[0].how,
    }
    nodes = sorted({s.node for s in cut})
    where = "" if len(nodes) == len({s.node for s in sessions}) else f" at the address of {' and '.join(nodes)} only"
    if limit.cause == "polling-lifetime-limit":
        summary = (
            f"the balancer ends a polling connection {evidence['limit_s']} s after its start, silent or not{where}"
        )
        hurts = "every polling Tentacle: what runs on it at that moment fails, and it reconnects again and again"
    else:
        summary = f"the balancer ends a polling connection after {evidence['limit_s']} s of silence{where}"
        hurts = "every polling Tentacle: an idle poll is silent for 30 s, so it is cut and reconnects again and again"
        if silent_s in EXTENDED_S:
            hurts = "long deployments: a call that takes this long fails, although the Tentacle finishes its work"
    return case.breaks(
        name, level, summary, cause=limit.cause, hurts=hurts, **evidence,
        ruled_out=("not the drain of a node: these nodes did not drain",),
    )  # fmt: skip


def _limit_at(case: Case, node: str) -> polling.Limit | None:
    """Return the limit at the address of a node, given all its silent sessions."""
    sessions = [s for s in sessions_of(case.history, ID) if s.node == node]
    silent = [
        s for s in sessions if "message" in s.marks and "proceeded" not in s.marks and s.variant != polling.TALKING
    ]
    return polling.limit_of(silent, [s for s in sessions if s.variant == polling.TALKING])


CHECK = Check(
    id=ID,
    name="idle-and-long-rpc",
    profile="polling",
    claim="A polling connection that is silent for 35 s goes on; polling needs at least that.",
    offenders=(
        "GCP's proxy NLB ends it after 30 s",
        "longer calls: HAProxy with Debian's defaults (50 s), Azure LB (240 s), F5 (300 s), NLB (350 s), nginx (600 s)",
        "Envoy with `max_downstream_connection_duration`: the age of a connection, silent or not",
    ),
    quick="35 s at every address, beside a connection that is called every second",
    full="31 and 35 s at every address, beside a connection that is called every second; 65, 120 and 290 s at one, up to the operator's patience",
    causes=(
        Cause(
            "polling-idle-limit",
            Advice(
                do="Let a connection on :10943 be silent for more than 10 minutes; an idle poll is silent for 30 s, a long call for minutes.",
                costs="A peer that vanished holds its connection until keepalive notices.",
            ),
        ),
        Cause(
            "polling-lifetime-limit",
            Advice(
                do="Do not limit the age of connections on :10943; a Tentacle keeps one for as long as it can.",
                costs="A connection lasts until one side closes it or vanishes.",
            ),
        ),
    ),
    lane="silence",
    judge=judge,
    run=run,
)
