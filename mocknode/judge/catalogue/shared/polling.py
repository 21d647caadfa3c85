"""What the checks of polling Tentacles share: the recorded addresses of a lane, which node each session reached, and why a session
did not connect.

A balancer that does not pass TLS through fails all these checks; the first of them, TL-01, then counts as the root.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.record import steps
from mocknode.judge.record.history import History, Session, TentacleConnection, sessions_of
from mocknode.judge.record.steps import StepFacts
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.outcome import Level, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab
    from mocknode.judge.traffic.polling_session import PollingAddress

# The recorded id; run directories hold it, so it keeps its first name.
ID: Final = "passage"
ROOT: Final = "TL-01"
ADDRESSES: Final = "TL-02"
DRAIN: Final = "TL-03"
SILENCE: Final = "TL-04"
FLEET: Final = "TL-06"
TALKING: Final = "talking"
"""Variant of a connection that is called all the time."""
# Well below any limit on silence or age that somebody would set.
TALK_EVERY_S: Final = 1.0
# Two connections that the same limit ends differ by how often the balancer checks its timers.
SAME_NS: Final = 1_000_000_000
# A few good probes at the intervals that a pool for Tentacles may have; without such probes a node is back immediately.
AGAIN_S_MAX: Final = 60.0
AGAIN_EVERY_S: Final = 0.1
# A node writes that a connection is over a moment after its peer saw the end.
WINDOW_S: Final = 1.0

NOT_PASSED_THROUGH: Final = "no-passage"
HURTS: Final = "every polling Tentacle: it cannot talk to this node, so no deployment reaches its machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses(StepFacts):
    """Where nodes are polled through the balancer, and their certificates' thumbprints.

    Attributes:
        own: Address of each node.
        names: Server name of each node at the shared address where names decide; empty without one.
        thumbprints: Thumbprint of each node, including those of a standby.
    """

    what = "addresses"
    own: Mapping[str, str]
    names: Mapping[str, str]
    thumbprints: Mapping[str, str]


def record_addresses(lab: "Lab") -> None:
    """Record the addresses of a lane, once."""
    if addresses(lab.history) is None:
        found = Addresses(
            own={node: place.address for node, place in lab.tentacles.items()},
            names={node: place.sni or "" for node, place in lab.tentacles_by_name.items()},
            thumbprints={**lab.thumbprints, **(lab.standby.thumbprints if lab.standby is not None else {})},
        )
        lab.step(ID, found)


async def wait_until_reachable_again(lab: "Lab", check: str, place: "PollingAddress") -> None:
    """Wait until Tentacles get through at an address again, as before its node was disturbed. Gives up after a while; judges nothing."""
    if not any(s.node == place.node and s.identified_ns is not None for s in lab.history.sessions):
        return  # It never worked.
    await wait_until_reachable(lab, place, check, "again", AGAIN_S_MAX, AGAIN_EVERY_S)


async def wait_until_reachable(
    lab: "Lab", place: "PollingAddress", check: str, variant: str, for_s: float, every_s: float
) -> None:
    """Try an address again and again until a Tentacle gets through, for at most `for_s` seconds."""
    deadline = time.monotonic() + for_s
    through = False
    while not through and time.monotonic() < deadline:
        async with lab.polling(place, check, variant) as session:
            through = session.ready
        await asyncio.sleep(0 if through else every_s)


async def keep_calling(lab: "Lab", check: str, place: "PollingAddress", for_s: float) -> None:
    """Keep a connection open and call its Tentacle again and again, until the connection is cut or the time is over."""
    async with lab.polling(place, check, TALKING) as session:
        if not session.ready:
            return
        session.keep_polling()
        async with lab.registered(session) as name:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(for_s):
                    while session.ready:
                        await lab.call(place.node, name)
                        await asyncio.wait([session.ended], timeout=TALK_EVERY_S)


def addresses(history: History) -> Addresses | None:
    """Return the addresses of a lane, None if none were recorded."""
    step = steps.first(history, ID, Addresses)
    return None if step is None else step.facts


def no_addresses(case: Case, check: str) -> list[Variant]:
    """Return what this check finds where the balancer has no address for Tentacles; empty where it has one."""
    found = addresses(case.history)
    if found is None or found.own:
        return []
    return [
        case.breaks(
            "passage", "core", "this balancer has no address at which Tentacles could poll a node", cause=NOT_PASSED_THROUGH,
            caused_by=None if check == ROOT else ROOT, hurts=HURTS,
        )
    ]  # fmt: skip


def connections_at_nodes(history: History, session: Session) -> list[TentacleConnection]:
    """Return what nodes saw of a session: the connection of its subscription, or else those that came while it was opened.

    The subscription is unique. A connection that ended earlier is recognized by its ClientHello, or else by its time. Connections on
    which nothing was sent are left out: the balancer checks the port with them.
    """
    named = [c for c in history.tentacles if c.subscription == f"poll://{session.id}/"]
    if named:
        return named
    if session.hello is not None:
        same = [c for c in history.tentacles if c.hello is not None and c.hello["sha256"] == session.hello["sha256"]]
        if same:
            return same
    until_ns = session.ended_ns + WINDOW_S * 1e9
    return [
        c
        for c in history.tentacles
        if c.subscription is None and c.opening is not None and session.started_ns <= c.opened_ns <= until_ns
    ]


def nodes_reached(history: History, sessions: Sequence[Session]) -> Counter[str]:
    """Return how many of these sessions polled which node. Sessions that polled none are left out."""
    by_subscription = {c.subscription: c.node for c in history.tentacles if c.subscription is not None}
    nodes = (by_subscription.get(f"poll://{s.id}/") for s in sessions if s.identified_ns is not None)
    return Counter(node for node in nodes if node is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why sessions did not connect, as far as nodes and Tentacles can tell.

    Attributes:
        root: Check that reports this cause.
    """

    cause: str
    text: str
    root: str


def reason_not_connected(history: History, sessions: Sequence[Session]) -> Reason | None:
    """Return the one reason why these sessions did not connect; None if the nodes saw nothing that shows it."""
    found = addresses(history)
    seen = [c for session in sessions for c in connections_at_nodes(history, session)]
    openings = Counter(c.opening for c in seen)
    proxy = openings["proxy-v1"] + openings["proxy-v2"]
    if proxy:
        version = "v1" if openings["proxy-v1"] else "v2"
        return _identity_reason(
            "proxy-header-added", f"the balancer puts a PROXY header {version} before the Tentacle's TLS"
        )
    expected = set(found.thumbprints.values()) if found is not None else set()
    if any(s.server is not None and s.server not in expected for s in sessions):
        return _identity_reason("server-certificate-replaced", "the balancer presents a certificate of its own")
    if openings["plain"] + openings["http"]:
        return _identity_reason(
            "tls-terminated", "the balancer ends the Tentacle's TLS and sends plain text to the node"
        )
    causes = Counter(c.cause for c in seen)
    if causes["no-certificate"]:
        return _identity_reason("client-certificate-missing", "the Tentacle's certificate does not reach the node")
    if causes["untrusted-certificate"]:
        return _identity_reason("client-certificate-replaced", "the node sees another certificate than the Tentacle's")
    return None


def _identity_reason(cause: str, text: str) -> Reason:
    return Reason(cause=cause, text=text, root=ROOT)


def not_connected(
    case: Case, name: str, level: Level, sessions: Sequence[Session], *, where: str = "", **evidence: Any
) -> Variant:
    """Return a failure of sessions that did not connect; it names the cause, and the check that reports this cause."""
    why = reason_not_connected(case.history, sessions) or Reason(
        cause="address-not-forwarded", text="the address does not lead to its node", root=ADDRESSES
    )
    said = next((s.error for s in sessions if s.error is not None), None)
    told = f": {said}" if said is not None and why.cause == "address-not-forwarded" else ""
    return case.breaks(
        name, level, f"no Tentacle gets through{where}: {why.text}{told}", cause=why.cause,
        caused_by=None if sessions[0].check == why.root else why.root, hurts=HURTS,
        sessions=len(sessions), tentacle_says=said, **evidence,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What ends a connection to a node at any time: a limit on its silence, or on its age."""

    cause: str
    after_ns: int


def silent_ns(session: Session) -> int:
    """Return how long it had been silent at its end: since the call, or else the last poll, or else its beginning."""
    return session.ended_ns - session.marks.get("message", max(session.polls, default=session.identified_ns or 0))


def limit_of(silent: Sequence[Session], talking: Sequence[Session]) -> Limit | None:
    """Return the limit that cut silent connections to one node, None if none of them was cut.

    A connection beside them that was called all the time shows whether the limit is on silence or on age.
    """
    silences = [silent_ns(s) for s in silent if s.cut]
    if not silences:
        return None
    for session in talking:
        # A limit on silence spares this one, or ends it no earlier than the silent ones.
        if session.cut and _paused_ns(session) < min(silences) - SAME_NS:
            return Limit(cause="polling-lifetime-limit", after_ns=session.ended_ns - session.started_ns)
    return Limit(cause="polling-idle-limit", after_ns=min(silences))


def _paused_ns(session: Session) -> int:
    return session.ended_ns - max(session.polls, default=session.started_ns)


def idle_connections_survived(history: History, node: str) -> bool:
    """Return whether TL-04 kept silent connections to this node open and none of them was cut."""
    silent = [s for s in sessions_of(history, SILENCE) if s.node == node]
    return bool(silent) and not any(s.cut for s in silent)


def loses_connections_anyway(history: History, node: str) -> bool:
    """Return whether Tentacles fail at this node's address even when only a few connect and nothing is drained."""
    return any(s.node == node and s.identified_ns is None for s in sessions_of(history, ADDRESSES, "dedicated"))


def reached_wrong_node(case: Case, name: str, level: Level, sessions: Sequence[Session]) -> Variant | None:
    """Return a failure if a session polled another node than intended: TL-02 reports this cause."""
    for session in sessions:
        other = next(iter(nodes_reached(case.history, [session])), session.node)
        if other != session.node:
            return case.breaks(
                name, level, f"the address of {session.node} led to {other}, so this Tentacle did not poll {session.node}",
                cause="address-leads-elsewhere", caused_by=ADDRESSES, hurts=HURTS, address=session.address,
            )  # fmt: skip
    return None
