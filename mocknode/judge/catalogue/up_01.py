"""UP-01 size-ladder: uploads of growing size, really sent; only the node may refuse one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.record.history import Attempt, Request
from mocknode.judge.verdict import refusals
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Level, Variant
from mocknode.judge.verdict.own_answers import HURTS
from mocknode.text.units import format_size

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "UP-01"
MIB: Final = 1024**2
GIB: Final = 1024**3
# Total sizes of the request body, around known limits: 1 MB and 1 MiB (nginx), 30,000,000 (IIS), 100 MB (Cloudflare, WAFs), 1 GiB
# (Apache), 2 GiB (Front Door, 32-bit counters), 4 GiB (Application Gateway, 32-bit counters).
QUICK: Final = (1024, MIB - 1, MIB + 1, 30_000_001, 100 * MIB + 1, GIB + 1)
FULL: Final = (
    1024, MIB - 1, MIB, MIB + 1, 29_999_999, 30_000_000, 30_000_001, 100 * MIB + 1, GIB - 1, GIB, GIB + 1, 2 * GIB + 1,
    4 * GIB + 1,
)  # fmt: skip
CORE_MAX: Final = GIB + 1
# After two refusals by the balancer in a row larger sizes are left out: they would meet the same limit, and take minutes.
REFUSALS_ENOUGH: Final = 2
# Slowest transfer that is waited for: 4 MB/s, through a busy balancer on two shared cores.
BYTES_PER_S_MIN: Final = 4_000_000
EMPTY: Final = "empty"


async def run(lab: "Lab") -> None:
    """Upload one size after another; these uploads are large, so nothing else runs meanwhile."""
    await lab.upload(ID, EMPTY, 0, timeout_s=30.0)
    refused = 0
    for size in QUICK if lab.quick else FULL:
        if size > lab.max_upload or refused == REFUSALS_ENOUGH:
            break
        attempt = await lab.upload(ID, str(size), total=size, timeout_s=60.0 + size / BYTES_PER_S_MIN)
        refused = refused + 1 if attempt.status != 201 else 0
        lab.say(f"{ID} {format_size(size)}: {attempt.status or attempt.end}")
    await lab.sync()


def judge(case: Case) -> list[Variant]:
    """The node stores every size with an equal digest; the node itself refuses the empty file."""
    attempts = case.history.attempts_of(ID)
    largest = max((int(a.variant) for a in attempts if a.variant != EMPTY and a.status == 201), default=0)
    variants = [_judge_size(case, a, largest) for a in attempts if a.variant != EMPTY]
    variants += [_judge_empty(case, a) for a in attempts if a.variant == EMPTY]
    sent = {int(a.variant) for a in attempts if a.variant != EMPTY}
    if any(size <= case.max_upload and size <= CORE_MAX and size not in sent for size in QUICK) and not _stopped(
        variants
    ):
        variants.append(case.unknown("ladder", "core", "not all sizes were tried"))
    return variants


def _stopped(variants: list[Variant]) -> bool:
    return sum(v.cause is not None for v in variants) >= REFUSALS_ENOUGH


def _judge_size(case: Case, attempt: Attempt, largest: int) -> Variant:
    size = int(attempt.variant)
    name = format_size(size) if size % MIB == 0 else f"{size:,} B"
    level: Level = "core" if size <= CORE_MAX else "extended"
    whole = case.history.deliveries(attempt.id)
    evidence: dict[str, Any] = {
        "attempt": attempt.id, "body_bytes": size, "sent_bytes": attempt.body_bytes, "status": attempt.status, "end": attempt.end,
        "server": attempt.header("Server"), "deliveries": len(whole), "largest_accepted": largest,
    }  # fmt: skip
    if attempt.status == 201 and len(whole) == 1 and whole[0].sha1 == attempt.sha1:
        return case.holds(
            name, level, "stored, digest equal", rate_mb_s=round(size / attempt.duration_s / 1e6), **evidence
        )
    if len(whole) > 1:
        return case.replayed(name, **evidence)
    if attempt.told == "acknowledged":
        return _judge_false_201(case, name, whole, evidence)
    if attempt.node is not None and attempt.status is not None and attempt.status >= 400:
        return case.unknown(name, level, f"the node itself answered {attempt.status}: {attempt.body[:80]}", **evidence)
    refusal = refusals.refusals(case.history, [attempt]).get(attempt.id)
    if refusal is not None and refusal.cause == refusals.ROOM:
        summary = f"{refusal.summary}; its error log says why, and {format_size(largest)} was accepted"
        hurts = refusals.HURTS[refusals.ROOM]
        no_limit = ("not a limit on size: that is answered 413",)
        return case.breaks(name, level, summary, cause=refusals.ROOM, hurts=hurts, ruled_out=no_limit, **evidence)
    what = f"with {attempt.status}" if attempt.status else f"by {attempt.end}"
    summary = (
        f"a package of {name} is refused {what} by the balancer, not by a node; {format_size(largest)} was accepted"
    )
    ruled_out = (
        ("not the node: it never saw the whole body", f"not the upload as such: {format_size(largest)} was stored")
        if largest
        else ()
    )
    hurts = f"everybody who pushes a package above {format_size(largest)}"
    return case.breaks(name, level, summary, cause="body-size-limit", hurts=hurts, ruled_out=ruled_out, **evidence)


def _judge_false_201(case: Case, name: str, whole: Sequence[Request], evidence: dict[str, Any]) -> Variant:
    """Return the failure of an upload that the client believes stored, although no node has it unchanged."""
    if whole:
        summary, cause = f"a package of {name} was stored, but changed on the way", "truncated-body-completed"
        hurts = "everybody who deploys the package: it is not what was pushed"
    else:
        summary, cause = f"a package of {name} was acknowledged, but no node received it whole", "own-answer-is-success"
        hurts = HURTS
    return case.breaks(name, "core", summary, cause=cause, hurts=hurts, **evidence)


def _judge_empty(case: Case, attempt: Attempt) -> Variant:
    evidence: dict[str, Any] = {"attempt": attempt.id, "status": attempt.status, "node": attempt.node}
    if attempt.status == 400 and attempt.body and "length" in attempt.body:
        return case.holds(EMPTY, "extended", "the node's own refusal of an empty file reaches the client", **evidence)
    summary = f"the node refuses an empty file with 400, but the client got {attempt.status or attempt.end}"
    hurts = "people who want to know why a push failed"
    return case.breaks(EMPTY, "extended", summary, cause="answer-rewritten", hurts=hurts, **evidence)


CHECK = Check(
    id=ID,
    name="size-ladder",
    profile="upload",
    claim="Packages of any size up to the operator's limit are stored; only a node refuses one, never the balancer.",
    offenders=(
        "nginx and ingress-nginx refuse more than 1 MB (413); IIS ARR more than 30,000,000 bytes (404)",
        "Apache refuses more than 1 GiB (413); Cloudflare more than 100 MB; Application Gateway 2 or 4 GB, Front Door 2 GB",
    ),
    quick="an empty file, and bodies from 1 KiB to 1 GiB + 1",
    full="also around 30,000,000 bytes and 1 GiB, 2 GiB + 1 and 4 GiB + 1",
    causes=(
        Cause(
            "body-size-limit",
            Advice(
                do="Raise or remove the limit on request bodies for /api/*/packages/raw; packages of 1 GB and more are normal.",
                costs="Only the nodes limit the size of a package.",
            ),
        ),
        Cause(
            refusals.ROOM,
            Advice(
                do="Give the balancer a directory for request bodies that its workers can write to and that has room, or stream bodies to the nodes.",
                costs="Space on disk for every upload in flight; or a slow client that holds a connection to a node.",
            ),
        ),
    ),
    lane="heavy",
    judge=judge,
    run=run,
)
