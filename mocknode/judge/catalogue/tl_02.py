"""TL-02 per-node-address: an address always leads to its own node, whatever the ClientHello looks like."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import polling
from mocknode.judge.record.history import Session, sessions_of
from mocknode.judge.record.steps import StepFacts
from mocknode.judge.traffic.polling_session import PollingAddress
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "TL-02"
# If a balancer distributes connections fairly over two nodes, ten of them all reach one node with a probability of 0.002 at each
# of three addresses; with fifty chance is ruled out.
SESSIONS: Final = {"quick": 10, "full": 50}
# How often each unusual ClientHello is tried at an address, and an address whose node is down.
TRIES: Final = 3
# How long a node is down. A balancer with a health check fails over after three failures, 2 s apart (HAProxy) or 5 s apart (F5, which
# gives up after 16 s). The quick tier notices only a balancer that uses another node immediately.
DOWN_S: Final = {"quick": 0.0, "full": 20.0}
DOWN_EVERY_S: Final = 0.5
AT_ONCE: Final = 8
PIECES: Final = 3
UNKNOWN_NAME: Final = "nobody.mocknode.test"
# 60 names of 32 characters make a ClientHello of about 2.2 KB, more than one segment of 1500 bytes.
LONG_ALPN: Final = tuple(f"mocknode-{number:02d}-{'x' * 20}" for number in range(60))
# Variants by what must happen: the session reaches the node with this name or address, or it reaches no other node.
WHOLE: Final = ("split-hello", "long-hello", "upper-case-name", "by-name", "by-name-upper-case")
NO_NAME, OTHER_NAME = "no-name", "unknown-name"
NAMELESS: Final = (NO_NAME, OTHER_NAME, "by-name-none", "by-name-unknown")
HURTS: Final = (
    "deployments: the node with this address waits for Tentacles that poll another one, and its tasks time out"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NodeDown(StepFacts):
    """The node refuses connections from now on."""

    what = "down"
    node: str


async def run(lab: "Lab") -> None:
    """Open many sessions at each address, some with unusual ClientHellos; then take each node down once, and see who answers."""
    polling.record_addresses(lab)
    for place in lab.tentacles.values():
        await _all(lab, place, "dedicated", SESSIONS[lab.tier])
        await _all(lab, place, NO_NAME, TRIES, sni=None)
        await _all(lab, place, OTHER_NAME, TRIES, sni=UNKNOWN_NAME)
        await _all(lab, place, "split-hello", TRIES, pieces=PIECES)
        await _all(lab, place, "long-hello", TRIES, alpn=LONG_ALPN)
        if place.sni:
            await _all(lab, place, "upper-case-name", TRIES, sni=place.sni.upper())
    for place in lab.tentacles_by_name.values():
        await _all(lab, place, "by-name", TRIES)
        await _all(lab, place, "by-name-upper-case", TRIES, sni=(place.sni or "").upper())
    for place in list(lab.tentacles_by_name.values())[:1]:
        await _all(lab, place, "by-name-none", TRIES, sni=None)
        await _all(lab, place, "by-name-unknown", TRIES, sni=UNKNOWN_NAME)
    for node, place in lab.tentacles.items():
        async with lab.exclusive(node):
            await lab.state(node, "offline", "refuse")
            lab.step(ID, _NodeDown(node=node))
            await _all(lab, place, "node-down", TRIES)
            await polling.wait_until_reachable(lab, place, ID, "node-down", DOWN_S[lab.tier], DOWN_EVERY_S)
            await lab.state(node, "online")
            # The node that stands in for the next one may be this one.
            await polling.wait_until_reachable_again(lab, ID, place)
    await lab.sync()


async def _all(lab: "Lab", place: PollingAddress, variant: str, count: int, **options: Any) -> None:
    """Open this many sessions, a few at a time, and close each as soon as it is connected."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate, lab.polling(place, ID, variant, **options):
            pass

    await asyncio.gather(*(one() for _ in range(count)))


def judge(case: Case) -> list[Variant]:
    """Every session polls the node whose address it used."""
    if found := polling.no_addresses(case, ID):
        return found
    addresses = polling.addresses(case.history)
    dedicated = sessions_of(case.history, ID, "dedicated")
    if addresses is None or not dedicated:
        return []
    variants = [_dedicated(case, dedicated)]
    if variants[0].caused_by is not None:
        return variants
    tried = {name: sessions_of(case.history, ID, name) for name in (*WHOLE, *NAMELESS)}
    variants += [_odd(case, name, tried[name]) for name in WHOLE if tried[name]]
    variants += [_nameless(case, name, tried[name]) for name in NAMELESS if tried[name]]
    if sessions := sessions_of(case.history, ID, "node-down"):
        variants.append(_down(case, sessions, pooled=variants[0].cause == "address-leads-elsewhere"))
        if not DOWN_S[case.tier]:
            why = f"a health check fails over later than --quick waits; the full tier takes a node down for {DOWN_S['full']:.0f} s"
            variants.append(case.skips("failover-by-check", "core", why))
    return variants


def _where(case: Case, sessions: list[Session]) -> dict[str, Counter[str]]:
    """Return, for each node, which nodes were reached at its address."""
    return {
        node: polling.nodes_reached(case.history, [s for s in sessions if s.node == node])
        for node in dict.fromkeys(s.node for s in sessions)
    }


def _strayed(case: Case, name: str, sessions: list[Session], evidence: dict[str, Any]) -> Variant | None:
    """Return a failure if an address led to another node."""
    where = _where(case, sessions)
    stray = {node: {other: n for other, n in reached.items() if other != node} for node, reached in where.items()}
    node = max(stray, key=lambda name: sum(stray[name].values()), default=None)
    if node is None or not stray[node]:
        return None
    summary = _swapped(where)
    if summary is None:
        tried = sum(s.node == node for s in sessions)
        others = ", ".join(f"{other} {n}" for other, n in sorted(stray[node].items()))
        summary = f"the address of {node} led to other nodes in {sum(stray[node].values())} of {tried} tries: {others}"
    return case.breaks(name, "core", summary, cause="address-leads-elsewhere", hurts=HURTS, **evidence)


def _swapped(where: Mapping[str, Mapping[str, int]]) -> str | None:
    """Return a summary if addresses are mixed up: each leads to a single node, but to another's. None otherwise."""
    leads = {node: next(iter(reached)) for node, reached in where.items() if len(reached) == 1}
    mixed = {node: other for node, other in leads.items() if other != node}
    if set(mixed) != set(mixed.values()) or len(leads) != len(where):
        return None
    if len(mixed) == 2:
        return f"{' and '.join(mixed)} are swapped: the address of each always leads to the other"
    pairs = ", ".join(f"that of {node} leads to {other}" for node, other in mixed.items())
    return f"the addresses of {len(mixed)} nodes are mixed up: {pairs}"


def _evidence(case: Case, sessions: list[Session]) -> dict[str, Any]:
    return {
        "sessions": len(sessions),
        "reached": {node: dict(where) for node, where in _where(case, sessions).items()},
        "refused": sum(s.identified_ns is None for s in sessions),
    }


def _dedicated(case: Case, sessions: list[Session]) -> Variant:
    evidence = _evidence(case, sessions)
    found = _strayed(case, "dedicated", sessions, evidence)
    if found is not None:
        return found
    for node in dict.fromkeys(s.node for s in sessions):
        lost = [s for s in sessions if s.node == node and s.identified_ns is None]
        if not lost:
            continue
        why = polling.reason_not_connected(case.history, lost)
        if why is not None:
            return polling.not_connected(case, "dedicated", "core", lost, reached=evidence["reached"])
        tried = sum(s.node == node for s in sessions)
        said = (lost[0].error or lost[0].how).removeprefix(f"{lost[0].address}: ")
        summary = (
            f"{len(lost)} of {tried} Tentacles do not get through at the address of {node} ({lost[0].address}): {said}"
        )
        evidence |= {"tentacle_says": lost[0].error}
        return case.breaks("dedicated", "core", summary, cause="address-not-forwarded", hurts=polling.HURTS, **evidence)
    count = len(sessions) // len(evidence["reached"])
    return case.holds("dedicated", "core", f"each address led to its node, {count} times of {count}", **evidence)


def _odd(case: Case, name: str, sessions: list[Session]) -> Variant:
    evidence = _evidence(case, sessions)
    found = _strayed(case, name, sessions, evidence)
    if found is not None:
        return found
    lost = [s for s in sessions if s.identified_ns is None]
    if lost:
        known = polling.addresses(case.history)
        names = known.names if known is not None and name.startswith("by-name") else {}
        asked = f", {names[lost[0].node]}" if lost[0].node in names else ""
        summary = f"a Tentacle does not get through with {_words(name)}{asked}: {lost[0].error}"
        return case.breaks(name, "core", summary, cause="client-hello-refused", hurts=polling.HURTS, **evidence)
    return case.holds(name, "core", f"each address leads to its node with {_words(name)}", **evidence)


def _nameless(case: Case, name: str, sessions: list[Session]) -> Variant:
    """Such a session is refused, or always reaches one node; an address of one node must not lead to another."""
    evidence = _evidence(case, sessions)
    nodes = Counter[str]()
    for where in _where(case, sessions).values():
        nodes += where
    if name.startswith("by-name"):
        if len(nodes) > 1:
            return case.breaks(
                name, "core", f"{_words(name)} leads to several nodes: {', '.join(sorted(nodes))}", hurts=HURTS,
                cause="address-leads-elsewhere", **evidence,
            )  # fmt: skip
        if nodes:
            return case.observes(name, f"{_words(name)} leads to {next(iter(nodes))}, the default", **evidence)
        return case.holds(name, "core", f"{_words(name)} is refused where names decide", **evidence)
    found = _strayed(case, name, sessions, evidence)
    if found is not None:
        return found
    what = "leads to its node too" if nodes else "is refused"
    return case.holds(name, "core", f"{_words(name)} {what}", **evidence)


def _down(case: Case, sessions: list[Session], *, pooled: bool) -> Variant:
    """Nobody takes the place of a node that is down: its tasks wait in its own queue. An address that leads elsewhere anyway is no failover."""
    evidence = _evidence(case, sessions)
    for down, nodes in _where(case, sessions).items():
        if nodes:
            return case.breaks(
                "node-down", "core", f"with {down} down its address leads to {', '.join(sorted(nodes))}", **evidence,
                cause="address-leads-elsewhere" if pooled else "fails-over-to-another-node",
                hurts="deployments: Tentacles poll another node twice, and the balancer hides that this one is down",
            )  # fmt: skip
    return case.holds(
        "node-down", "core", f"a node that is down is refused at its address, {_how_long(case)}", **evidence
    )


def _how_long(case: Case) -> str:
    return f"for {DOWN_S[case.tier]:.0f} s" if DOWN_S[case.tier] else "when it has just gone"


def _words(name: str) -> str:
    return {
        "split-hello": f"a ClientHello in {PIECES} segments",
        "long-hello": "a ClientHello of more than 1500 bytes",
        "upper-case-name": "its name in upper case",
        "by-name": "its name",
        "by-name-upper-case": "its name in upper case",
        NO_NAME: "a ClientHello without a name",
        OTHER_NAME: "a name that belongs to no node",
        "by-name-none": "a ClientHello without a name",
        "by-name-unknown": "a name that belongs to no node",
    }[name]


CHECK = Check(
    id=ID,
    name="per-node-address",
    profile="polling",
    claim="Each node has an address of its own, at which Tentacles reach that node and never another.",
    offenders=(
        "one address with a pool of all nodes behind it (round robin), as for the web",
        "a backup server or a failover pool: Tentacles must not follow a node elsewhere",
        "routing by TLS name alone, for Tentacles that were registered by an IP address",
    ),
    quick="10 sessions at each address, five kinds of ClientHello, and each node down for a moment",
    full=f"50 sessions at each address, five kinds of ClientHello, and each node down for {DOWN_S['full']:.0f} s",
    causes=(
        Cause(
            "address-leads-elsewhere",
            Advice(
                do="Let each address for Tentacles lead to its own node and to no other; no pool, no backup.",
                costs="While a node is down its Tentacles cannot reach it, which is correct.",
            ),
        ),
        Cause(
            "address-not-forwarded",
            Advice(
                do="Make sure that something listens at the address (the port in --tentacle may be wrong), and pass TCP through to its node.",
                costs="Nothing.",
            ),
        ),
        Cause(
            "client-hello-refused",
            Advice(
                do=(
                    "Read the whole ClientHello before routing by its name, whatever its segments and its size up to 16 KiB; "
                    "compare names without case."
                ),
                costs="Nothing.",
            ),
        ),
        Cause(
            "fails-over-to-another-node",
            Advice(
                do="Put exactly one node behind each address for Tentacles; no failover.",
                costs="While a node is down its Tentacles cannot reach it, which is correct.",
            ),
        ),
    ),
    lane="polling",
    judge=judge,
    run=run,
    disturbs=("quick", "full"),
)
