"""HC-02 only-200-is-in: a drained node answers its ping with one status after another; does the balancer use the node again?

The balancer takes node B out because of a 418. B stays drained underneath, so that its ping never answers 200 between two statuses.
Only one node is bad at a time, so that a panic threshold cannot be mistaken for a lax status rule. A balancer that probes slowly
and was seen to have no such threshold gets two.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record import steps
from mocknode.judge.record.steps import CALIBRATION, NotRestored, Recorded, StepFacts, WentOut
from mocknode.judge.verdict import returning
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.case import Case, late
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Level, Tier, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "HC-02"
CORE: Final = ("503", "500", "502", "404", "401", "302")
EXTENDED: Final = ("201", "204", "206", "304", "400", "403", "429")
# A 200 with a broken body: a balancer that decides by the status line is right.
BODIES: Final[dict[str, dict[str, Any]]] = {
    "200-garbage-body": {"text": "garbage"},
    "200-truncated": {"text": '{"Id":', "content-length": 400},
    "200-wrong-length": {"text": '{"Id": "a node"}', "content-length": 3},
}
QUICK: Final = ("302", "404", "503", "204")
# Balancers that follow redirects end at a login page that answers 200. In the mock the API root serves as that page.
LOGIN_PAGE: Final = "/api"
# The first request may come on a connection that was opened before the status changed, so two are needed.
LET_IN_AT: Final = 2

CAUSES: Final = {"2": "accepts-other-2xx", "3": "accepts-redirect", "4": "accepts-4xx", "5": "accepts-5xx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unseen(StepFacts):
    """The balancer does not react to a 418, so other statuses prove nothing."""

    what = "blind"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Out(StepFacts):
    """The node was drained; its last request came at `out_ns`, None when requests never stopped."""

    what = "418"
    node: str
    out_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _StatusSet(StepFacts):
    """The node's ping answers `status` from now on."""

    what = "set"
    node: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried(StepFacts):
    """The node's ping answered `status` from `since_ns` until now."""

    what = "tried"
    node: str
    status: str
    since_ns: int
    watched_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _BackTo418(StepFacts):
    """The node's ping answers 418 again."""

    what = "back-to-418"
    node: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ControlWith200(StepFacts):
    """The drain ended at `resumed_ns`; the next request came at `in_ns`, None when none did."""

    what = "control-200"
    node: str
    in_ns: int | None
    resumed_ns: int


async def run(lab: "Lab") -> None:
    """Take B out with 418, then switch its ping to each status in turn and back to 418."""
    calibration = await lab.calibrated
    if not calibration.reacts:
        lab.step(ID, _Unseen(node=lab.serving[len(lab.serving) // 2]))
        return
    nodes = drain_sequence.disturbed_together(lab.serving, lab.history, calibration)
    names = statuses_of(lab.tier)
    async with lab.traffic(ID):
        shares = [names[index :: len(nodes)] for index in range(len(nodes))]
        await asyncio.gather(*(_try_all(lab, *pair, calibration) for pair in zip(nodes, shares, strict=True)))


def statuses_of(tier: Tier) -> tuple[str, ...]:
    """Return what the ping answers in this tier, one after another."""
    return QUICK if tier == "quick" else (*CORE, *EXTENDED, *BODIES)


async def _try_all(lab: "Lab", node: str, names: Sequence[str], calibration: Calibration) -> None:
    # Twice the measured time: HAProxy probes a node that is down at another interval than one that is up.
    patience_s = 2 * calibration.out_budget_s + 2.0
    since_ns = await lab.state(node, "draining")
    out_ns = await lab.wait_out(node, since_ns, patience_s)
    lab.step(ID, _Out(node=node, out_ns=out_ns))
    if out_ns is None:
        return
    for name in names:
        await _try_status(lab, node, name, max(calibration.in_budget_s + 1.0, lab.confirming_takes_s()), patience_s)
    resumed_ns = await lab.state(node, "online")
    in_ns = await lab.wait_in(node, resumed_ns, 2 * calibration.in_budget_s + 2.0)
    lab.step(ID, _ControlWith200(node=node, in_ns=in_ns, resumed_ns=resumed_ns))


async def _try_status(lab: "Lab", node: str, name: str, watch_s: float, patience_s: float) -> None:
    kind, options = _fault(name)
    since_ns = lab.step(ID, _StatusSet(node=node, status=name))
    faults = await lab.fault([node], kind, options=options, on="ping")
    let_in = await lab.until(lambda history: len(history.arrivals(node, since_ns)) >= LET_IN_AT, watch_s)
    lab.step(ID, _Tried(node=node, status=name, since_ns=since_ns, watched_s=watch_s))
    back_ns = lab.step(ID, _BackTo418(node=node, status=name))
    await lab.heal(faults)
    if let_in:
        await lab.wait_out(node, back_ns, patience_s)


def _fault(name: str) -> tuple[str, dict[str, Any]]:
    if name in BODIES:
        return "body", BODIES[name]
    options: dict[str, Any] = {"code": int(name)}
    if name == "302":
        options["location"] = LOGIN_PAGE
    return "status", options


def judge(case: Case) -> list[Variant]:
    """No request reaches B while its ping answers anything but a clean 200, and B comes back with that."""
    left_out = [v for step in steps.read(case.history, ID, NotRestored) for v in returning.not_returned(case, step)]
    return [*_judge_statuses(case), *left_out]


def _judge_statuses(case: Case) -> list[Variant]:
    if steps.first(case.history, ID, _Unseen) is not None:
        root = case.root_of_blindness
        return [
            case.breaks(
                "418", "core", "a drained node (418) stays in rotation", cause="drained-node-stays",
                caused_by=None if root == ID else root,
                hurts="everybody whose request lands on a node that is being taken down", waited_s=_waited(case),
            )
        ]  # fmt: skip
    drained = steps.read(case.history, ID, _Out)
    if not drained:
        return []
    stays = next((step.facts.node for step in drained if step.facts.out_ns is None), None)
    if stays is not None:
        hurts = "everybody whose request lands on a node that is being taken down"
        return [
            case.breaks(
                "418", "core", "a drained node (418) stays in rotation",
                cause="drained-node-stays", hurts=hurts, node=stays,
            )
        ]  # fmt: skip
    node, out_ns = drained[0].facts.node, drained[0].facts.out_ns or 0
    after_s = round((out_ns - drained[0].t_ns) / 1e9, 2)
    variants = [case.holds("418", "core", "a drained node gets no new requests", node=node, last_request_s=after_s)]
    controls = {s.facts.node: s for s in steps.read(case.history, ID, _ControlWith200)}
    panic = (
        "the other nodes were healthy all the time"
        if len(drained) == 1
        else "with all nodes but one drained everything went to that one"
    )
    return variants + [
        _judge_status(case, step, sound=_sound(case, step, controls), no_panic=panic)
        for step in steps.read(case.history, ID, _Tried)
    ]


def _sound(case: Case, step: Recorded[_Tried], controls: dict[str, Recorded[_ControlWith200]]) -> bool:
    """Return whether the node would have come back with a 200: it did, or it was still probed and another one did."""
    control = controls.get(step.facts.node)
    if control is None:
        return False
    if control.facts.in_ns is not None:
        return True
    last = returning.gave_up(case, step.facts.node, control.facts.resumed_ns, control.t_ns)
    return last is not None and last.t_ns >= step.facts.since_ns and case.calibration.in_after_s is not None


def _waited(case: Case) -> float:
    out = steps.first(case.history, CALIBRATION, WentOut)
    return 0.0 if out is None else out.facts.waited_s


def _judge_status(case: Case, step: Recorded[_Tried], *, sound: bool, no_panic: str) -> Variant:
    name, node, since_ns = step.facts.status, step.facts.node, step.facts.since_ns
    level: Level = "core" if name in CORE else "extended"
    arrivals = case.history.arrivals(node, since_ns, step.t_ns)
    others = sum(
        r.node != node and since_ns <= r.t_ns < step.t_ns and r.attempt is not None for r in case.history.requests
    )
    probes = [p for p in case.history.probes if p.node == node and since_ns <= p.t_ns < step.t_ns]
    evidence: dict[str, Any] = {"node": node, "requests": len(arrivals), "elsewhere": others, "probes": len(probes)}
    if late(arrivals, since_ns, 0):
        first_s = round((arrivals[0].t_ns - since_ns) / 1e9, 2)
        summary = f"a node whose ping answers {name} gets requests after {first_s} s"
        if name in BODIES:
            return case.holds(name, "policy", "the balancer decides on the status line, as it should", **evidence)
        ruled_out = (
            "not the drain: the same node is out on 418",
            f"not panic mode: {no_panic}",
        )
        return case.breaks(
            name,
            level,
            summary,
            cause=CAUSES[name[0]],
            hurts=_hurts(name),
            ruled_out=ruled_out,
            first_request_s=first_s,
            **evidence,
        )
    if not sound:
        return case.unknown(name, level, "the node did not come back with a clean 200 either", **evidence)
    if not probes or others < case.requests_to_confirm_out:
        return case.unknown(name, level, "too few probes or requests to tell", **evidence)
    if name in BODIES:
        return case.observes(name, f"a ping with {name} keeps the node out", **evidence)
    return case.holds(name, level, f"a node whose ping answers {name} stays out", **evidence)


def _hurts(name: str) -> str:
    if name.startswith("3"):
        return (
            "every drain behind a forced redirect: a ping that is redirected to HTTPS or to a login page looks healthy "
            "in every state"
        )
    return f"users: a node whose ping says {name} is not ready for their requests, but gets them"


COUNT_200_ONLY: Final = Advice(
    do="Count exactly 200 as healthy, and do not follow redirects in the probe.", costs="Nothing."
)

CHECK = Check(
    id=ID,
    name="only-200-is-in",
    profile="web",
    claim="Only a ping answered with 200 lets a node in; 418, 5xx, 4xx and redirects keep it out.",
    offenders=(
        "HAProxy, nginx Plus, Traefik, Apache, NLB and Azure Application Gateway accept 2xx and 3xx by default",
        "Traefik also follows the redirect; Caddy accepts any 2xx",
        "F5 with an empty receive string accepts anything",
    ),
    quick="418, 302, 404, 503 and 204",
    full="418 and thirteen other statuses, and three broken bodies",
    causes=(
        Cause("accepts-redirect", COUNT_200_ONLY),
        Cause("accepts-other-2xx", COUNT_200_ONLY),
        Cause("accepts-4xx", COUNT_200_ONLY),
        Cause("accepts-5xx", COUNT_200_ONLY),
        Cause("drained-node-stays", COUNT_200_ONLY),
        Cause(
            returning.CAUSE,
            Advice(
                do="Let the balancer go on probing a node that is out, whatever it answers, and bring it back after two good probes, not by hand.",
                costs="A node that comes and goes gets requests each time that it is healthy.",
            ),
        ),
    ),
    lane="status",
    judge=judge,
    run=run,
)
