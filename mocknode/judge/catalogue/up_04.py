"""UP-04 node-think-time: a node has received the whole package and answers late; the client still gets the 201."""

import asyncio
import statistics
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic import new_attempt_id
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Level, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "UP-04"
CORE_S: Final = (10, 18, 25, 45)
EXTENDED_S: Final = (65, 130)
# One second above the shortest known limit (15 s, Envoy); at exactly 15 s it would be chance who is first.
QUICK_S: Final = (16,)
# Each wait is tried with these sizes: three times with two sizes, all below nginx' default limit of 1 MB.
SIZES: Final = (64 * 1024, 64 * 1024, 512 * 1024)


async def run(lab: "Lab") -> None:
    """Run all waits and tries at the same time."""
    waits = QUICK_S if lab.quick else (*CORE_S, *(s for s in EXTENDED_S if s <= lab.patience_s))
    await asyncio.gather(*(_try(lab, wait_s, size, index) for wait_s in waits for index, size in enumerate(SIZES)))
    await lab.sync()


async def _try(lab: "Lab", wait_s: int, size: int, index: int) -> None:
    attempt = new_attempt_id()
    # The balancer chooses the node, so every node is told to wait for this one attempt.
    faults = await lab.fault(lab.nodes, "think", options={"for": f"{wait_s}s"}, on="api", attempt=attempt)
    await lab.upload(ID, f"{wait_s}s-{index + 1}", size, attempt=attempt, timeout_s=wait_s + 30.0)
    await lab.until(lambda h: all(r.ended_ns for r in h.at_nodes(attempt)), wait_s + 5.0)
    await lab.heal(faults)


def judge(case: Case) -> list[Variant]:
    """The client gets the node's 201 in every variant; the cuts show the balancer's limit."""
    attempts = case.history.attempts_of(ID)
    cuts = [_limit_s(a) for a in attempts if _cut(a)]
    return [_judge_attempt(case, attempt, cuts) for attempt in attempts]


def _cut(attempt: Attempt) -> bool:
    return attempt.node is None and attempt.status != 201 and attempt.body_sent_ns is not None


def _limit_s(attempt: Attempt) -> float:
    """Return how long the balancer waited for the node, from the last body byte on."""
    assert attempt.body_sent_ns is not None
    return ((attempt.response_ns or attempt.ended_ns) - attempt.body_sent_ns) / 1e9


def _judge_attempt(case: Case, attempt: Attempt, cuts: list[float]) -> Variant:
    wait_s = int(attempt.variant.split("s")[0])
    level: Level = "extended" if wait_s in EXTENDED_S else "core"
    whole = case.history.deliveries(attempt.id)
    evidence: dict[str, Any] = {
        "attempt": attempt.id, "think_s": wait_s, "status": attempt.status, "end": attempt.end, "node": attempt.node,
        "deliveries": len(whole), "bytes": attempt.file_bytes,
    }  # fmt: skip
    if len(whole) > 1:
        hurts = "CI: the package is pushed twice"
        return case.breaks(attempt.variant, "core", "a request with a slow answer is sent again, to another node", cause="post-replayed", hurts=hurts,
                           caused_by="RT-01", **evidence)  # fmt: skip
    if attempt.status == 201 and len(whole) == 1:
        return case.holds(attempt.variant, level, f"the answer reaches the client after {wait_s} s", **evidence)
    if not whole or not _cut(attempt):
        return case.unknown(
            attempt.variant, level, f"the upload did not get that far ({attempt.status or attempt.end})", **evidence
        )
    middle = statistics.median(cuts)
    spread = max(cuts) - min(cuts)
    evidence |= {"limit_s": round(middle, 1), "spread_s": round(spread, 2), "cuts": len(cuts)}
    summary = (
        f"the balancer gives up {middle:.1f} s after the last byte ({attempt.status or attempt.end}) although the node has the "
        f"package (cut {len(cuts)} times, within {spread:.1f} s)"
    )
    hurts = "CI: the package is stored, but the job learns that the push failed, and its retry gets a 409"
    ruled_out = (
        "not the size: two sizes are cut at the same time",
        "not the client: its own limit was 30 s above the think time",
    )
    return case.breaks(
        attempt.variant, level, summary, cause="response-timeout", hurts=hurts, ruled_out=ruled_out, **evidence
    )


CHECK = Check(
    id=ID,
    name="node-think-time",
    profile="upload",
    claim="A node may take 45 s to answer an upload it has received, and its answer reaches the client.",
    offenders=(
        "Envoy gives up after 15 s, Application Gateway after 20 s (and delivers again), GCP and Front Door after 30 s",
        "65 s: HAProxy with Debian's defaults (50 s), nginx, ALB and Apache (60 s)",
    ),
    quick="16 s, three tries, two sizes",
    full="10, 18, 25 and 45 s, and 65 and 130 s as far as the operator's patience goes; three tries, two sizes each",
    causes=(
        Cause(
            "response-timeout",
            Advice(
                do="Give a node 15 minutes to answer after the last byte of a request.",
                costs="A hung node holds the client's connection that long.",
            ),
        ),
    ),
    lane="waiting",
    judge=judge,
    run=run,
)
