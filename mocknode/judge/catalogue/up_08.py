"""UP-08 chunked-integrity: a chunked upload arrives unchanged; one that breaks off never arrives as whole."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import advice
from mocknode.judge.record.history import Attempt
from mocknode.judge.record.steps import StepFacts
from mocknode.judge.traffic import Framing
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "UP-08"
UPLOAD_BYTES: Final = 400 * 1024
# Chunks of 1 byte to 64 KiB in turn.
SIZES: Final = (1, 2, 7, 64, 1000, 4096, 8191, 16_384, 65_536)
VARIANTS: Final = {
    "plain": Framing.chunked(*SIZES),
    "extensions": Framing.chunked(*SIZES, extensions=(";mocknode=1",)),
    "trailers": Framing.chunked(*SIZES, trailers=(("X-Mocknode-Trailer", "end"),)),
    "truncated": Framing.chunked(*SIZES, truncated=True),
}
# How long a balancer may take to tell the node that a body broke off.
ABORT_S_MAX: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched(StepFacts):
    """The nodes had time to notice that the truncated upload broke off."""

    what = "watched"
    attempt: str


async def run(lab: "Lab") -> None:
    """Send all forms at the same time."""
    await asyncio.gather(
        *(lab.upload(ID, name, UPLOAD_BYTES, chunks=shape, timeout_s=20.0) for name, shape in VARIANTS.items())
    )
    truncated = lab.history.attempts_of(ID, "truncated")[0].id
    await lab.until(lambda h: all(r.ended_ns for r in h.at_nodes(truncated)), ABORT_S_MAX)
    lab.step(ID, _Watched(attempt=truncated))


def judge(case: Case) -> list[Variant]:
    """Whole bodies arrive unchanged, and the truncated one never arrives as whole."""
    found = {a.variant: a for a in case.history.attempts_of(ID)}
    return [_judge_truncated(case, a) if name == "truncated" else _judge_whole(case, a) for name, a in found.items()]


def _judge_whole(case: Case, attempt: Attempt) -> Variant:
    whole = case.history.deliveries(attempt.id)
    evidence: dict[str, Any] = {
        "attempt": attempt.id, "status": attempt.status, "end": attempt.end, "deliveries": len(whole),
        "framing_at_node": _framing(whole[0].headers) if whole else None,
    }  # fmt: skip
    if attempt.status == 201 and len(whole) == 1 and whole[0].sha1 == attempt.sha1:
        return case.holds(attempt.variant, "core", "arrived equal", **evidence)
    if len(whole) > 1:
        return case.replayed(attempt.variant, **evidence)
    if attempt.status == 413 and attempt.node is None:
        return case.refused_by_size(attempt.variant, "core", **evidence)
    hurts = "clients that do not know the size in advance: the Go CLI and Octopus.Client send chunked"
    summary = f"a chunked upload ({attempt.variant}) does not arrive: {attempt.status or attempt.end}"
    return case.breaks(attempt.variant, "core", summary, cause="chunked-not-forwarded", hurts=hurts, **evidence)


def _judge_truncated(case: Case, attempt: Attempt) -> Variant:
    seen = case.history.at_nodes(attempt.id)
    whole = [r for r in seen if r.complete]
    evidence: dict[str, Any] = {
        "attempt": attempt.id, "status": attempt.status, "end": attempt.end, "requests_at_nodes": len(seen), "whole": len(whole),
    }  # fmt: skip
    if attempt.told == "acknowledged" and not whole:
        asked = "no node has it" if seen else "no node was even asked"
        summary = f"the balancer acknowledged ({attempt.status}) a chunked upload that broke off, and {asked}"
        hurts = "CI: a push takes any 2xx for a stored package, so the build is green although nothing was stored"
        return case.breaks("truncated", "core", summary, cause="broken-upload-acknowledged", hurts=hurts, **evidence)
    if whole:
        hurts = "everybody who deploys the package: half of it was stored as if it were whole"
        summary = "a chunked upload that broke off reached a node as a complete request"
        return case.breaks("truncated", "core", summary, cause="truncated-body-completed", hurts=hurts, **evidence)
    if attempt.body_bytes == 0:
        return case.unknown("truncated", "core", "the upload ended before it began", **evidence)
    return case.holds("truncated", "core", "an upload that breaks off never arrives as whole", **evidence)


def _framing(headers: tuple[tuple[str, str], ...]) -> str:
    names = {name.lower(): value for name, value in headers}
    return names.get("transfer-encoding") or f"content-length {names.get('content-length')}"


CHECK = Check(
    id=ID,
    name="chunked-integrity",
    profile="upload",
    claim="A chunked upload reaches a node unchanged, and one that breaks off never arrives as whole.",
    offenders=(
        "Front Door above 2 GB; middlewares that buffer; proxies that end a body that broke off with a last chunk",
    ),
    quick="chunks of 1 byte to 64 KiB, with extensions, with trailers, and broken off",
    full="the same",
    causes=(
        Cause(
            "chunked-not-forwarded",
            Advice(
                do="Speak HTTP/1.1 to the nodes and forward chunked bodies as they arrive.",
                costs="A slow client holds a connection to the node for as long as it uploads.",
            ),
        ),
        Cause("truncated-body-completed", advice.PASS_ON_BROKEN_TRANSFERS),
        Cause(
            "broken-upload-acknowledged",
            Advice(
                do="Take whatever stores or repeats requests off the route of uploads; only a node may answer one with a success.",
                costs="A request that meets a failing node is not sent to another one.",
            ),
        ),
    ),
    lane="light",
    judge=judge,
    run=run,
)
