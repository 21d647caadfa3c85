"""RG-01 region-failover: the standby serves only while no primary node does, and traffic goes back as declared."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import polling
from mocknode.judge.catalogue.shared.drain_sequence import RECOVERY_WATCH_S, SURVIVOR_WATCH_S
from mocknode.judge.record import steps
from mocknode.judge.record.history import History, Request, Session, sessions_of
from mocknode.judge.record.steps import Recorded, StepFacts
from mocknode.judge.traffic import Pace
from mocknode.judge.verdict.case import Case, late, seconds
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Outcome, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "RG-01"
# Below 1 MB, the default limit of nginx: here an upload only has to be under way.
UPLOAD_BYTES: Final = 600_000
# An upload lasts at least this long, and longer than the reaction to the change that it must survive.
UPLOAD_S_MIN: Final = 6.0
UPLOADS: Final = {"at-primary": "the last primary node was drained", "at-standby": "the primary region came back"}
# A node's own address has a check of its own, usually slower than the ping: HAProxy and F5 need up to 3 failures, 5 s apart.
REPOINT_S_MAX: Final = 20.0
REPOINT_TRY_S: Final = 0.25
# Tentacles at each address while its node is healthy, and again while it only drains. If the stand-in takes every second one, twelve
# tries miss that with a probability of 0.0002, and never with round robin.
TENTACLES: Final = 6
USERS: Final = "users and CI: what they write at the standby is not in the primary region's database"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pools(StepFacts):
    """Nodes of both regions, and the thumbprints of the standby's; the n-th standby node stands in for the n-th primary node."""

    what = "pools"
    primary: Sequence[str]
    standby: Sequence[str]
    thumbprints: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _WatchStarted(StepFacts):
    """Traffic is watched from now on, with this many healthy primary nodes."""

    what = "watch"
    healthy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched(StepFacts):
    """Traffic was watched from `since_ns` until now, with this many healthy primary nodes."""

    what = "watched"
    healthy: int
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _AllDrained(StepFacts):
    """The last primary node drains since `since_ns`."""

    what = "all-drained"
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _StandbyWatchStarted(StepFacts):
    """The balancer had time to react; traffic at the standby is watched from now on."""

    what = "watch-standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class _FailedOver(StepFacts):
    """No primary node is healthy since `since_ns`; traffic was watched from `watch_ns` until now."""

    what = "failed-over"
    since_ns: int
    watch_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _PrimaryBack(StepFacts):
    """All primary nodes are online again."""

    what = "primary-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Returned(StepFacts):
    """The primary nodes are online since `back_ns`, and traffic had `waited_s` to go back."""

    what = "returned"
    back_ns: int
    waited_s: float


async def run(lab: "Lab") -> None:
    """Drain the primary nodes one by one, make them all refuse, then bring them back; each step is recorded."""
    assert lab.standby is not None
    calibration = await lab.calibrated
    out_s = 2 * calibration.out_budget_s + 2.0
    polling.record_addresses(lab)
    pools = _Pools(primary=list(lab.nodes), standby=list(lab.standby.nodes), thumbprints=dict(lab.standby.thumbprints))
    lab.step(ID, pools)
    await _polled(lab, "dedicated")
    async with lab.traffic(ID):
        await _watch(lab, len(lab.nodes))
        for left, node in zip(range(len(lab.nodes) - 1, 0, -1), lab.nodes, strict=False):
            await lab.wait_out(node, await lab.state(node, "draining"), out_s)
            await _watch(lab, left)
        async with asyncio.TaskGroup() as tasks:
            await _under_way(lab, "at-primary", lab.api_key, tasks, out_s)
            since_ns = await lab.state(lab.nodes[-1], "draining")
            lab.step(ID, _AllDrained(since_ns=since_ns))
            await asyncio.sleep(out_s)
            watch_ns = lab.step(ID, _StandbyWatchStarted())
            await asyncio.sleep(max(SURVIVOR_WATCH_S, lab.confirming_takes_s()))
            await lab.sync()
            lab.step(ID, _FailedOver(since_ns=since_ns, watch_ns=watch_ns))
            await _polled(lab, "drained")
        # No upload is under way now; a node that refuses would cut it.
        for node in lab.nodes:
            await lab.state(node, "offline", "refuse")
        for place in lab.tentacles.values():
            await _repointed(lab, place.node)
        await _return(lab, 2 * calibration.in_budget_s + RECOVERY_WATCH_S)


async def _polled(lab: "Lab", variant: str) -> None:
    """Connect a few Tentacles to each address, one after another, and close each as soon as it is connected."""
    for place in lab.tentacles.values():
        for _ in range(TENTACLES):
            async with lab.polling(place, ID, variant):
                pass


async def _watch(lab: "Lab", healthy: int) -> None:
    """Watch which nodes serve while this many primary nodes are healthy."""
    since_ns = lab.step(ID, _WatchStarted(healthy=healthy))
    await asyncio.sleep(max(SURVIVOR_WATCH_S, lab.confirming_takes_s()))
    await lab.sync()
    lab.step(ID, _Watched(healthy=healthy, since_ns=since_ns))


async def _under_way(lab: "Lab", variant: str, api_key: str, tasks: asyncio.TaskGroup, reaction_s: float) -> None:
    """Start an upload that lasts longer than a reaction, and wait until a node receives it."""
    lasts_s = max(UPLOAD_S_MIN, reaction_s)
    pace = Pace.lasting(UPLOAD_BYTES, lasts_s)
    upload = tasks.create_task(lab.upload(ID, variant, UPLOAD_BYTES, pace=pace, timeout_s=3 * lasts_s, api_key=api_key))
    first = len(lab.history.requests)
    await lab.until(lambda h: upload.done() or any(r.method == "POST" for r in h.requests[first:]), lasts_s)


async def _repointed(lab: "Lab", node: str) -> None:
    """Poll at the address of a refusing node until another node answers there."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REPOINT_S_MAX
    while True:
        async with lab.polling(lab.tentacles[node], ID, "repointed") as session:
            through = session.ready
        if through or loop.time() > deadline:
            return
        await asyncio.sleep(REPOINT_TRY_S)


async def _return(lab: "Lab", back_s: float) -> None:
    """Bring the primary region back while an upload is under way at the standby."""
    assert lab.standby is not None
    async with asyncio.TaskGroup() as tasks:
        await _under_way(lab, "at-standby", lab.standby.api_key, tasks, back_s)
        for node in lab.nodes:
            await lab.state(node, "online")
        back_ns = lab.step(ID, _PrimaryBack())

        def went_back(history: History) -> bool:
            return any(r.attempt is not None and r.node in lab.nodes for r in history.requests if r.t_ns >= back_ns)

        await lab.until(went_back, back_s)
        await asyncio.sleep(max(SURVIVOR_WATCH_S, lab.confirming_takes_s()))
    await lab.until(lambda h: all(r.ended_ns for r in h.requests if r.method == "POST"), SURVIVOR_WATCH_S)
    lab.step(ID, _Returned(back_ns=back_ns, waited_s=round(back_s, 1)))


def judge(case: Case) -> list[Variant]:
    """The standby serves exactly while no primary node does; uploads arrive whole; failback and Tentacles' addresses are as expected."""
    found_pools = steps.first(case.history, ID, _Pools)
    if found_pools is None:
        return []
    pools = found_pools.facts
    standby = tuple(pools.standby)
    variants = [_stays(case, standby)]
    if done := steps.first(case.history, ID, _FailedOver):
        variants.append(_takes_over(case, standby, done))
    took_over = any(v.name == "standby-serves" and v.outcome is Outcome.PASS for v in variants)
    variants += [
        _upload(case, name, standby, took_over=took_over) for name in UPLOADS if case.history.attempts_of(ID, name)
    ]
    if back := steps.first(case.history, ID, _Returned):
        variants.append(_failback(case, standby, back, took_over=took_over))
    if found := polling.addresses(case.history):
        variants += [_tentacles_wait(case, pools, found.own), _tentacles(case, pools, found.own)]
    return variants


def _ours(case: Case, since_ns: int, until_ns: int) -> list[Request]:
    """Return our requests at any node in this time span; uploads under way are judged separately."""
    return [r for r in case.history.requests if r.attempt is not None and since_ns <= r.t_ns < until_ns]


def _stays(case: Case, standby: tuple[str, ...]) -> Variant:
    """No request goes to the standby while a primary node is healthy."""
    first = steps.first(case.history, ID, _WatchStarted)
    last = steps.first(case.history, ID, _AllDrained)
    watched = steps.read(case.history, ID, _Watched)
    if first is None or last is None:
        return case.unknown("standby-waits", "core", "the sequence of drains was not completed")
    wrong: dict[str, int] = {}
    for done in watched:
        seen = _ours(case, done.facts.since_ns, done.t_ns)
        if len(seen) < case.requests_to_confirm_out:
            return case.unknown("standby-waits", "core", "too few requests to tell", requests=len(seen))
        wrong[str(done.facts.healthy)] = sum(r.node in standby for r in seen)
    everything = _ours(case, first.t_ns, last.facts.since_ns)
    strayed = [r for r in everything if r.node in standby]
    evidence: dict[str, Any] = {"requests": len(everything), "at_standby": len(strayed), "by_healthy_nodes": wrong}
    if strayed:
        where = ", ".join(f"{count} with {healthy}" for healthy, count in wrong.items())
        summary = (
            f"{len(strayed)} of {len(everything)} requests went to the standby while primary nodes were healthy "
            f"({where} of {len(case.nodes)} healthy)"
        )
        return case.breaks("standby-waits", "core", summary, cause="standby-gets-traffic", hurts=USERS, **evidence)
    return case.holds(
        "standby-waits", "core", f"none of {len(everything)} requests went to the standby while a primary node was healthy",
        **evidence,
    )  # fmt: skip


def _takes_over(case: Case, standby: tuple[str, ...], done: Recorded[_FailedOver]) -> Variant:
    """With no primary node healthy the standby serves everything, as soon as the balancer usually reacts to a drain."""
    since_ns, watch_ns = done.facts.since_ns, done.facts.watch_ns
    sent = [a for a in case.history.attempts_of("traffic", ID) if watch_ns <= a.started_ns < done.t_ns]
    seen = _ours(case, watch_ns, done.t_ns)
    failed = [a for a in sent if a.status != 200]
    budget_s = case.calibration.out_budget_s
    primary = [r for r in _ours(case, since_ns, done.t_ns) if r.node in case.nodes]
    slow = late(primary, since_ns, budget_s)
    first = next((r.t_ns for r in _ours(case, since_ns, done.t_ns) if r.node in standby), None)
    evidence: dict[str, Any] = {
        "sent": len(sent), "reached": dict(Counter(r.node for r in seen)), "errors": len(failed), "budget_s": round(budget_s, 1),
        "first_at_standby_s": None if first is None else seconds(first - since_ns), "late_at_primary": len(slow),
    }  # fmt: skip
    if len(sent) < case.requests_to_confirm_out:
        return case.unknown("standby-serves", "core", "too few requests to tell", **evidence)
    if not slow and not failed:
        return case.holds(
            "standby-serves", "core", f"with no primary node healthy the standby served all {len(sent)} requests", **evidence
        )  # fmt: skip
    what = (
        f"{len(failed)} of {len(sent)} requests failed, first with {failed[0].status or failed[0].end}"
        if failed
        else f"{len(slow)} requests still went to drained primary nodes after more than {budget_s:.1f} s"
    )
    return case.breaks(
        "standby-serves", "core", f"with no primary node healthy {what}", cause="standby-not-used",
        caused_by=case.root_of_blindness,
        hurts="everybody while the primary region is down: the standby that was paid for is not used", **evidence,
    )  # fmt: skip


def _upload(case: Case, name: str, standby: tuple[str, ...], *, took_over: bool) -> Variant:
    """An upload that is under way when the region changes ends where it began."""
    (attempt,) = case.history.attempts_of(ID, name)
    at = case.history.at_nodes(attempt.id)
    whole = case.history.deliveries(attempt.id)
    evidence: dict[str, Any] = {
        "attempt": attempt.id,
        "status": attempt.status,
        "end": attempt.end,
        "nodes": [r.node for r in at],
    }
    if len(whole) > 1:
        return case.replayed(name, **evidence)
    if attempt.status == 413 and attempt.node is None:
        return case.refused_by_size(name, "core", **evidence)
    if attempt.status == 201 and len(whole) == 1:
        return case.holds(
            name, "core", f"an upload that was under way when {UPLOADS[name]} was completed by its node", **evidence
        )
    if not at and name == "at-standby" and not took_over:
        return case.skips(name, "core", "the standby did not take over, so it had no upload to finish", **evidence)
    if not at:
        return case.unknown(name, "core", "the upload reached no node", **evidence)
    if name == "at-primary" and all(r.node in standby for r in at):
        # The upload never reached the primary region, so it says nothing about drains; `standby-waits` reports that.
        return case.skips(name, "core", "the upload went to the standby from the start", **evidence)
    return case.breaks(
        name, "core", f"an upload that was under way when {UPLOADS[name]} ended with {attempt.status or attempt.end}",
        cause="failover-cuts-upload", hurts="CI: pushes fail whenever the region changes", **evidence,
    )  # fmt: skip


def _failback(case: Case, standby: tuple[str, ...], back: Recorded[_Returned], *, took_over: bool) -> Variant:
    """Whether traffic goes back by itself. This is a policy, so it can only fail if one is declared."""
    if not took_over:
        return case.skips("failback", "policy", "the standby did not take over, so nothing could go back")
    back_ns = back.facts.back_ns
    at_primary = [r for r in _ours(case, back_ns, back.t_ns) if r.node in case.nodes]
    found = "auto" if at_primary else "manual"
    after_s = seconds(at_primary[0].t_ns - back_ns) if at_primary else None
    evidence: dict[str, Any] = {
        "failback": found, "declared": case.failback, "after_s": after_s, "waited_s": back.facts.waited_s,
        "at_standby": sum(r.node in standby for r in _ours(case, back_ns, back.t_ns)),
    }  # fmt: skip
    does = (
        f"traffic goes back by itself, {after_s:.1f} s after the primary nodes answer again"
        if after_s is not None
        else f"traffic stays at the standby, {back.facts.waited_s:.0f} s after the primary nodes answer again"
    )
    if case.failback is None:
        return case.observes(
            "failback", f"{does}; declare `failback` in the balancer file to have it judged", **evidence
        )
    if case.failback == found:
        return case.holds("failback", "policy", f"{does}, as declared", **evidence)
    hurts = (
        "users and CI: they land on a primary database that misses what was written at the standby"
        if found == "auto"
        else "anybody who relies on the primary region taking over again: everybody stays at the standby"
    )
    return case.breaks(
        "failback", "core", f"{does}, but {case.failback} is declared", cause="failback-not-as-declared", hurts=hurts, **evidence
    )  # fmt: skip


def _tentacles_wait(case: Case, pools: _Pools, own: Mapping[str, str]) -> Variant:
    """While a node is healthy, and while it only drains, its address leads to it and never to its stand-in."""
    name = "tentacles-wait"
    if not own:
        return case.skips(name, "core", "the balancer has no addresses for Tentacles, or none were given")
    at = {variant: sessions_of(case.history, ID, variant) for variant in ("dedicated", "drained")}
    for sessions in at.values():
        if {s.node for s in sessions} != set(own):
            return case.unknown(
                name, "core", "not every address was tried both while its node was healthy and while it drained"
            )
    if lost := [s for s in at["dedicated"] if s.identified_ns is None]:
        return polling.not_connected(case, name, "core", lost)
    evidence: dict[str, Any] = {
        variant: {
            node: dict(polling.nodes_reached(case.history, [s for s in sessions if s.node == node])) for node in own
        }
        for variant, sessions in at.items()
    }
    for variant, what in (("dedicated", "was healthy"), ("drained", "only drained")):
        for node, reached in evidence[variant].items():
            led = {other: count for other, count in reached.items() if other in pools.standby}
            if led:
                tried = sum(s.node == node for s in at[variant])
                where = " and ".join(sorted(led))
                return case.breaks(
                    name, "core", f"while {node} {what} {sum(led.values())} of {tried} Tentacles at its address were led to {where}",
                    cause="tentacles-at-standby", **evidence,
                    hurts="deployments of the primary region: the node waits for Tentacles that poll the standby's",
                )  # fmt: skip
        if (elsewhere := polling.reached_wrong_node(case, name, "core", at[variant])) is not None:
            return elsewhere
    if refused := [s for s in at["drained"] if s.identified_ns is None]:
        return case.breaks(
            name, "core", f"while {refused[0].node} only drained, its address refused Tentacles: {refused[0].error}",
            cause="drained-node-refuses-polling", caused_by=polling.DRAIN, **evidence,
            hurts="deployments that run on the draining node: a Tentacle that reconnects does not get back to them",
        )  # fmt: skip
    return case.holds(
        name, "core", "each address led to its node while that was healthy or draining, and never to the standby", **evidence
    )  # fmt: skip


def _tentacles(case: Case, pools: _Pools, own: Mapping[str, str]) -> Variant:
    """With the primary region refusing, the address of each node leads to the standby node of the same number."""
    name = "tentacles"
    if not own:
        return case.skips(name, "core", "the balancer has no addresses for Tentacles, or none were given")
    if before := [s for s in sessions_of(case.history, ID, "dedicated") if s.identified_ns is None]:
        return polling.not_connected(case, name, "core", before)
    stand_in = dict(zip(pools.primary, pools.standby, strict=True))
    last = {s.node: s for s in sessions_of(case.history, ID, "repointed")}
    reached = {node: next(iter(polling.nodes_reached(case.history, [s])), None) for node, s in last.items()}
    evidence: dict[str, Any] = {"reached": reached}
    if set(last) != set(own):
        return case.unknown(name, "core", "not every address was tried while the primary region refused", **evidence)
    for node, session in last.items():
        if reached[node] is None and polling.reason_not_connected(case.history, [session]) is not None:
            where = f" to {stand_in[node]} while the primary region refused"
            return polling.not_connected(case, name, "core", [session], where=where, reached=reached)
        if reached[node] != stand_in[node]:
            where = f"leads to {reached[node]}" if reached[node] else "leads nowhere"
            return case.breaks(
                name, "core", f"while the primary region refused, the address of {node} {where}, not to {stand_in[node]}",
                cause="tentacles-not-repointed", tentacle_says=session.error, **evidence,
                hurts="deployments: after a failover the standby's node waits for Tentacles that cannot reach it",
            )  # fmt: skip
        if not _both_known(case.history, session, pools.thumbprints.get(stand_in[node])):
            return case.breaks(
                name, "core", f"at {stand_in[node]} a thumbprint differs from the registered one",
                cause="server-certificate-replaced", caused_by=polling.ROOT, hurts=polling.HURTS, server=session.server, **evidence,
            )  # fmt: skip
    return case.holds(
        name, "core", "while the primary region refused, each address led to the standby node of the same number, and both thumbprints match",
        **evidence,
    )  # fmt: skip


def _both_known(history: History, session: Session, server: str | None) -> bool:
    """Return whether the Tentacle saw the standby node's certificate, and that node saw and trusts the Tentacle's."""
    seen = polling.connections_at_nodes(history, session)
    return session.server == server and all(c.trusted and c.thumbprint == session.client for c in seen)


SECOND_POOL: Final = Advice(
    do="Put the standby's nodes into a pool of lower priority that is used only while no primary node passes its ping check.",
    costs="The standby's capacity is idle while the primary region is healthy, because its database must not be written.",
)

CHECK = Check(
    id=ID,
    name="region-failover",
    profile="region",
    claim="The standby region serves everything while no primary node is healthy, nothing before, and hands back as declared.",
    offenders=(
        "Envoy priorities: with 2 of 3 primary nodes healthy 7 % of the requests go to the standby, with 1 of 3 53 %",
        "standby servers in the same pool, without `backup`; at a node's own address they take its Tentacles",
        "the ping check at a node's own address: a drained node's Tentacles are led to the standby",
        "DNS failover (Traffic Manager, Route 53): clients stay until the name's time to live is over, and longer",
    ),
    quick="primary nodes are drained one by one, refuse, and come back; two uploads are under way meanwhile",
    full="the same",
    causes=(
        Cause("standby-gets-traffic", SECOND_POOL),
        Cause("standby-not-used", SECOND_POOL),
        Cause(
            "failover-cuts-upload",
            Advice(
                do="Let connections to a node that is marked down end on their own; no reset, no session clean-up on a change of pools.",
                costs="An upload that began before the change ends at the region where it began.",
            ),
        ),
        Cause(
            "failback-not-as-declared",
            Advice(
                do="Set the balancer's failback to what is declared, or declare what it does (failback in the balancer file).",
                costs="With a manual return, somebody has to switch back once the primary database is current.",
            ),
        ),
        Cause(
            "tentacles-not-repointed",
            Advice(
                do="When the region fails, let each node's address lead to the standby's node of the same number; use a TCP check, never the ping.",
                costs="The address of a single node that refuses leads to its stand-in too, unless the switch is made by hand.",
            ),
        ),
        Cause(
            "tentacles-at-standby",
            Advice(
                do=(
                    "Let a node's address lead to its stand-in only while the node refuses TCP; "
                    "a drained node answers 418 to the ping and keeps its Tentacles."
                ),
                costs="A node that hangs but still accepts TCP keeps its Tentacles.",
            ),
        ),
    ),
    lane="region",
    judge=judge,
    run=run,
)
