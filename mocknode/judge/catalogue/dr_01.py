"""DR-01 upload-survives-418: a node is drained after it has received 30 % of a slow upload; the upload still finishes."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import advice
from mocknode.judge.record import steps
from mocknode.judge.record.history import Attempt, Request
from mocknode.judge.record.steps import Recorded, StepFacts
from mocknode.judge.traffic import Pace
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.case import Case, late, seconds
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Tier, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "DR-01"
# The quick size is below 1 MB, the default limit of nginx, so that UP-01's cause seldom interferes.
UPLOAD_BYTES: Final = {"full": 60_000_000, "quick": 900_000}
UPLOAD_S_MIN: Final = 10.0
# The upload lasts this many reaction times, so that it is still under way when the node is out. It is drained after 30 % of them. A
# ping that fails in another way may need twice as long as one that answers 418.
REACTIONS: Final = {"418": 2, "503": 4, "reset": 4}
# What the ping turns to; the node's API works as before in every variant.
TURNS: Final[dict[str, tuple[str, dict[str, Any]] | None]] = {
    "418": None,
    "503": ("status", {"code": 503}),
    "reset": ("reset", {"at": "head"}),
}
# A node saw the request only when the client had almost finished: the balancer buffers (UP-02 tells what that costs).
BUFFERED_NS: Final = 500_000_000
BUFFERED_WHY: Final = "the balancer stores uploads first (see UP-02), so a node receives each within moments"


@dataclass(frozen=True, slots=True, kw_only=True)
class _UploadArrived(StepFacts):
    """The node receives the upload, and will be drained at 30 % of it."""

    what = "watch"
    variant: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turned(StepFacts):
    """The node's ping turned to `variant` at `at_ns`."""

    what = "turned"
    variant: str
    node: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _UploadEnded(StepFacts):
    """The upload is over, for its client and at the nodes."""

    what = "ended"
    variant: str


async def run(lab: "Lab") -> None:
    """Send one upload for each variant, and drain its node or make its ping fail when 30 % have arrived."""
    calibration = await lab.calibrated
    size = UPLOAD_BYTES[lab.tier]
    for name in variants_of(lab.tier):
        duration_s = upload_s(name, calibration)
        async with lab.traffic(ID):
            upload = asyncio.create_task(
                lab.upload(ID, name, size, pace=Pace.lasting(size, duration_s), timeout_s=3 * duration_s),
                name=f"{ID}:{name}",
            )
            await _turn_at_30_percent(lab, name, upload, duration_s)
            attempt = await upload
            await lab.until(lambda h, a=attempt.id: all(r.ended_ns for r in h.at_nodes(a)), 5.0)  # type: ignore[misc]
            lab.step(ID, _UploadEnded(variant=name))
        await lab.restore(ID)


def variants_of(tier: Tier) -> tuple[str, ...]:
    """Return what the ping turns to in this tier."""
    return ("418",) if tier == "quick" else tuple(TURNS)


def upload_s(name: str, calibration: Calibration) -> float:
    """Return how long the upload of this variant lasts."""
    return max(UPLOAD_S_MIN, REACTIONS[name] * calibration.out_budget_s)


async def _turn_at_30_percent(lab: "Lab", name: str, upload: "asyncio.Task[object]", duration_s: float) -> None:
    """Find the node that receives the upload, and drain it once 30 % of the body have arrived."""

    def arrived(history: object) -> bool:
        return upload.done() or any(r.method == "POST" for r in lab.history.requests[first:])

    first = len(lab.history.requests)
    await lab.until(arrived, duration_s)
    got = next((r for r in lab.history.requests[first:] if r.method == "POST"), None)
    if got is None:
        return
    since_ns = lab.step(ID, _UploadArrived(variant=name, node=got.node))
    after = "30% of an upload"
    if (turn := TURNS[name]) is None:
        await lab.state(got.node, "draining", after=after)
        await lab.until(
            lambda h: upload.done() or any(s.node == got.node and s.t_ns >= since_ns for s in h.states), duration_s
        )
        turned = [s.t_ns for s in lab.history.states if s.node == got.node and s.t_ns >= since_ns]
    else:
        await lab.fault([got.node], turn[0], options=turn[1], on="ping", after=after)
        await lab.until(
            lambda h: (
                upload.done() or any(f.node == got.node and f.phase == "hit" and f.t_ns >= since_ns for f in h.faults)
            ),
            duration_s,
        )
        turned = [f.t_ns for f in lab.history.faults if f.node == got.node and f.phase == "hit" and f.t_ns >= since_ns]
    if turned:
        lab.step(ID, _Turned(variant=name, node=got.node, at_ns=turned[0]))


def judge(case: Case) -> list[Variant]:
    """The node acknowledges the upload, which arrived once and unchanged; the drained node gets no new requests."""
    variants = []
    turns = steps.read(case.history, ID, _Turned)
    for step in turns:
        variants += _judge_variant(case, step)
    turned = {step.facts.variant for step in turns}
    return variants + [_not_turned(case, a) for a in case.history.attempts_of(ID) if a.variant not in turned]


def _not_turned(case: Case, attempt: Attempt) -> Variant:
    """Return the variant of an upload whose node was not drained, because the upload did not reach a node in time."""
    if attempt.status == 413 and attempt.node is None:
        hurts = "CI: the upload is refused, with or without a drain"
        return case.breaks(
            attempt.variant, "core", "the balancer refuses the upload by its size", cause="body-size-limit", hurts=hurts,
            caused_by="UP-01", attempt=attempt.id,
        )  # fmt: skip
    whole = case.history.deliveries(attempt.id)
    if case.blind and TURNS.get(attempt.variant) is not None:
        # A drain is visible in the node's state; a failing ping is visible only to a balancer that asks it.
        return case.skips(
            attempt.variant, "core", "the balancer does not ask the ping, so its answer cannot cut anything"
        )
    if attempt.status == 201 and len(whole) == 1 and _buffered(attempt, whole[0]):
        return case.skips(attempt.variant, "core", BUFFERED_WHY, attempt=attempt.id)
    return case.unknown(attempt.variant, "core", "the upload was over before its node was drained", attempt=attempt.id)


def _buffered(attempt: Attempt, delivery: Request) -> bool:
    return attempt.body_sent_ns is not None and delivery.t_ns >= attempt.body_sent_ns - BUFFERED_NS


def _judge_variant(case: Case, step: Recorded[_Turned]) -> list[Variant]:
    name, node, turned_ns = step.facts.variant, step.facts.node, step.facts.at_ns
    attempt = next((a for a in case.history.attempts_of(ID, name)), None)
    if attempt is None:
        return [case.unknown(name, "core", "the upload was not recorded")]
    whole = case.history.deliveries(attempt.id)
    evidence: dict[str, Any] = {
        "attempt": attempt.id, "node": node, "status": attempt.status, "end": attempt.end, "deliveries": len(whole),
        "drained_at_s": seconds(turned_ns - attempt.started_ns), "ended_at_s": seconds(attempt.ended_ns - attempt.started_ns),
    }  # fmt: skip
    if len(whole) > 1:
        hurts = "CI: the same package is pushed twice; the second push fails with 409, or overwrites the first"
        return [
            case.breaks(
                name, "core", "the upload was delivered twice", cause="upload-redelivered", hurts=hurts, **evidence
            )
        ]
    intact = attempt.status == 201 and len(whole) == 1 and whole[0].sha1 == attempt.sha1
    if not intact:
        hurts = "CI: a package upload that was under way when the node was drained is lost"
        summary = (
            f"an upload under way on a node whose ping turns to {name} is cut ({attempt.end}, status {attempt.status})"
        )
        return [case.breaks(name, "core", summary, cause="drain-cuts-upload", hurts=hurts, **evidence)]
    if _buffered(attempt, whole[0]):
        return [case.skips(name, "core", BUFFERED_WHY, **evidence), _new_requests(case, step)]
    if not case.blind and attempt.ended_ns < turned_ns + case.calibration.out_budget_s * 1e9:
        return [case.unknown(name, "core", "the upload ended before the balancer could react", **evidence)]
    summary = f"the upload survives a ping that turns to {name}"
    return [case.holds(name, "core", summary, **evidence), _new_requests(case, step)]


def _new_requests(case: Case, step: Recorded[_Turned]) -> Variant:
    name, node, turned_ns = step.facts.variant, step.facts.node, step.facts.at_ns
    end_ns = next(s.t_ns for s in steps.read(case.history, ID, _UploadEnded) if s.facts.variant == name)
    arrivals = case.history.arrivals(node, turned_ns, end_ns)
    # A ping that is reset may need as many tries as one that hangs; the calibration measured the fall after a 418.
    budget_s = case.calibration.out_budget_s if name == "418" else 2 * case.calibration.out_budget_s
    wrong = late(arrivals, turned_ns, budget_s)
    last_ns = max((r.t_ns for r in arrivals), default=turned_ns)
    elsewhere = sum(
        r.attempt is not None and r.node != node and last_ns < r.t_ns < end_ns for r in case.history.requests
    )
    evidence: dict[str, Any] = {
        "node": node, "requests_late": len(wrong), "elsewhere": elsewhere, "budget_s": round(budget_s, 2),
    }  # fmt: skip
    if case.blind or wrong:
        return case.breaks(
            f"{name}-no-new-requests", "core", f"a node whose ping turned to {name} keeps getting new requests",
            cause="drained-node-gets-requests", caused_by=case.root_of_blindness,
            hurts="everybody whose request lands on a node that is about to be taken down", **evidence,
        )  # fmt: skip
    if elsewhere < case.requests_to_confirm_out:
        summary = "too few requests went to other nodes to tell"
        return case.unknown(f"{name}-no-new-requests", "core", summary, **evidence)
    return case.holds(
        f"{name}-no-new-requests", "core", "it gets no new requests once the balancer had time to react", **evidence
    )


CHECK = Check(
    id=ID,
    name="upload-survives-418",
    profile="web",
    claim="An upload under way on a node that is drained finishes there, once and undamaged, while nothing new is sent to it.",
    offenders=(
        "AWS NLB with an HTTP check resets it; NetScaler flushes it (Down State Flush)",
        "HAProxy with `on-marked-down shutdown-sessions`; F5 with action on service down = Reject",
        "every balancer that reacts to a 418 by a reload that cuts connections",
    ),
    quick="0.9 MB over four reaction times, ping turns to 418",
    full="60 MB, ping turns to 418, to 503, and to a reset",
    causes=(
        Cause(
            "drain-cuts-upload",
            Advice(
                do="When a node leaves rotation, let what is in flight finish; do not reset or flush its connections.",
                costs="Requests to a node that died wait for their own timeouts.",
            ),
        ),
        Cause(
            "drained-node-gets-requests",
            Advice(
                do="Probe the ping path for exactly 200 every few seconds, and turn session affinity off; Octopus does not need it.",
                costs="One small request per probe to each node.",
            ),
        ),
        Cause("upload-redelivered", advice.RETRY_FAILED_CONNECTIONS_ONLY),
    ),
    lane="drains",
    judge=judge,
    run=run,
)
