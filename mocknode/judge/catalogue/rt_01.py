"""RT-01 post-exactly-once: a node receives a whole POST and then fails in various ways; it must not be delivered again."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import advice
from mocknode.judge.record.history import Attempt
from mocknode.judge.record.steps import StepFacts
from mocknode.judge.traffic import new_attempt_id
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "RT-01"
# A replaying balancer can only replay what fits its first buffer, so one small size is enough.
UPLOAD_BYTES: Final = 8 * 1024
# What the node does after the last body byte: fault kind and options by variant.
ENDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "close": ("close", {"at": "body-end"}),
    "reset": ("reset", {"at": "body-end"}),
    "502": ("status", {"code": 502}),
    "503": ("status", {"code": 503}),
    "504": ("status", {"code": 504}),
    "429": ("status", {"code": 429}),
    "truncated": ("truncate", {}),
}
QUICK: Final = ("close", "503", "truncated")
HANG: Final = "hang"
# How long the node hangs in the quick tier; in the full tier it is the operator's patience.
QUICK_HANG_S: Final = 15.0
# The client waits this much longer than the hang, so that the balancer gives up first.
CLIENT_MARGIN_S: Final = 5.0
# A replay follows the failure immediately; the journals are watched this much longer.
REPLAY_WATCH_S: Final = 2.0
GATEWAY_ERRORS: Final = (502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched(StepFacts):
    """The nodes were watched long enough for a replay to arrive."""

    what = "watched"


async def run(lab: "Lab") -> None:
    """Run all variants at the same time; each fault is set on every node, for one attempt only."""
    await asyncio.gather(*(_fail(lab, name) for name in (QUICK if lab.quick else tuple(ENDS))), _hang(lab))
    await asyncio.sleep(REPLAY_WATCH_S)
    await lab.sync()
    lab.step(ID, _Watched())


async def _fail(lab: "Lab", name: str) -> None:
    kind, options = ENDS[name]
    attempt = new_attempt_id()
    faults = await lab.fault(lab.nodes, kind, options=options, on="api", attempt=attempt)
    await lab.upload(ID, name, UPLOAD_BYTES, attempt=attempt, timeout_s=30.0)
    await asyncio.sleep(REPLAY_WATCH_S)
    await lab.heal(faults)


async def _hang(lab: "Lab") -> None:
    attempt = new_attempt_id()
    patience_s = QUICK_HANG_S if lab.quick else lab.patience_s
    faults = await lab.fault(lab.nodes, "hang", options={"at": "body-end"}, on="api", attempt=attempt)
    await lab.upload(ID, HANG, UPLOAD_BYTES, attempt=attempt, timeout_s=patience_s + CLIENT_MARGIN_S)
    await asyncio.sleep(REPLAY_WATCH_S)
    await lab.heal(faults)


def judge(case: Case) -> list[Variant]:
    """Each POST is delivered once in the whole cluster, and the client learns the true result."""
    return [_judge_attempt(case, attempt) for attempt in case.history.attempts_of(ID)]


def _judge_attempt(case: Case, attempt: Attempt) -> Variant:
    name = attempt.variant
    whole = case.history.deliveries(attempt.id)
    evidence: dict[str, Any] = {
        "attempt": attempt.id, "status": attempt.status, "end": attempt.end, "told": attempt.told, "deliveries": len(whole),
        "nodes": [r.node for r in whole],
    }  # fmt: skip
    if not whole or not any(r.faults for r in whole):
        return case.unknown(
            name, "core", f"the fault did not act on this upload ({attempt.status or attempt.end})", **evidence
        )
    if len(whole) > 1:
        summary = f"a POST whose node fails ({name}) after receiving all of it is sent {len(whole)} times, to {', '.join(r.node for r in whole)}"
        hurts = "CI and users: one deployment or package is created twice, although nobody asked for that"
        ruled_out = ("not the client: it sends every attempt once and never retries",)
        return case.breaks(name, "core", summary, cause="post-replayed", hurts=hurts, ruled_out=ruled_out, **evidence)
    if name == "truncated" and attempt.told == "acknowledged":
        summary = "half an answer reaches the client as if it were whole"
        hurts = "clients that act on half a document"
        return case.breaks(name, "core", summary, cause="truncated-answer-completed", hurts=hurts, **evidence)
    if attempt.told == "acknowledged":
        summary = f"the node failed ({name}), but the client got {attempt.status}"
        hurts = "CI: a push that failed counts as done"
        cause = "answer-rewritten" if name.isdigit() else "own-answer-is-success"
        return case.breaks(name, "core", summary, cause=cause, hurts=hurts, **evidence)
    if name.isdigit() and attempt.status != int(name):
        summary = f"the node answered {name}, but the client got {attempt.status or attempt.end}"
        hurts = "clients that decide by status, such as those that wait after 429 and 503"
        return case.breaks(name, "core", summary, cause="answer-rewritten", hurts=hurts, **evidence)
    return case.holds(name, "core", _told(attempt), **evidence)


def _told(attempt: Attempt) -> str:
    if attempt.variant == HANG and attempt.end == "timeout":
        return f"delivered once; the balancer waits longer than {attempt.duration_s:.0f} s for the node"
    return f"delivered once; the client got {attempt.status or attempt.end}"


CHECK = Check(
    id=ID,
    name="post-exactly-once",
    profile="web",
    claim="A POST that a node has received is never delivered again, whatever the node does then.",
    offenders=(
        "Application Gateway v2 sends it to a second node after its time-out",
        "nginx with `proxy_next_upstream ... non_idempotent`; Traefik with `retryNonIdempotentMethod`",
        "Envoy and Istio with `retry_on: 5xx`; GCP with the policy `5xx`",
    ),
    quick="closed, answered 503, half an answer, and a hang of 15 s",
    full="closed, reset, 502, 503, 504, 429, half an answer, and a hang as long as the operator's patience",
    causes=(
        Cause("post-replayed", advice.RETRY_FAILED_CONNECTIONS_ONLY),
        Cause("truncated-answer-completed", advice.PASS_ON_BROKEN_TRANSFERS),
        Cause(
            "answer-rewritten",
            Advice(
                do="Pass the nodes' own statuses and bodies through; no custom error pages over answers of a node.",
                costs="Users see the node's error pages instead of yours.",
            ),
        ),
    ),
    lane="waiting",
    judge=judge,
    run=run,
)
