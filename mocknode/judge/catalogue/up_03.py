"""UP-03 long-slow-and-stalled: uploads that take minutes, and uploads that pause.

The diagnosis goes by age and silence, never by status: a limit on the total time cuts even a steady upload, an idle limit cuts only a
stalled one. Traefik's cut appears as 504, 499 or a bare close, but always at the same age.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic import Pace, Pause
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Level, Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "UP-03"
# Sizes stay below 1 MB, the default limit of nginx, which UP-01 reports.
STEADY: Final[dict[str, tuple[float, int]]] = {"steady-95s": (95.0, 950_000), "steady-135s": (135.0, 810_000)}
STALLS: Final[dict[str, tuple[float, Level]]] = {
    "stall-20s": (20.0, "core"),
    "stall-45s": (45.0, "core"),
    "stall-70s": (70.0, "extended"),
}
QUICK_STEADY: Final[dict[str, tuple[float, int]]] = {"steady-15s": (15.0, 150_000)}
QUICK_STALLS: Final[dict[str, tuple[float, Level]]] = {"stall-15s": (15.0, "core")}
STALL_BYTES: Final = 512 * 1024
STALL_AT: Final = 128 * 1024


async def run(lab: "Lab") -> None:
    """Run all variants at the same time, as they mostly wait."""
    steady, stalls = (QUICK_STEADY, QUICK_STALLS) if lab.quick else (STEADY, STALLS)
    work = [
        lab.upload(ID, name, size, pace=Pace.lasting(size, duration_s), timeout_s=duration_s + 30.0)
        for name, (duration_s, size) in steady.items()
    ]
    work += [
        lab.upload(ID, name, STALL_BYTES, pauses=(Pause(at=STALL_AT, seconds=stall_s),), timeout_s=stall_s + 30.0)
        for name, (stall_s, level) in stalls.items()
        if level == "core" or stall_s <= lab.patience_s
    ]
    await asyncio.gather(*work)
    await lab.sync()


def judge(case: Case) -> list[Variant]:
    """Every variant is stored with an equal digest."""
    attempts = case.history.attempts_of(ID)
    cut = [a for a in attempts if _cut(case, a)]
    steady_cut = [a for a in cut if a.variant.startswith("steady")]
    return [_judge_attempt(case, a, cut, total=bool(steady_cut)) for a in attempts]


def _intact(case: Case, attempt: Attempt) -> bool:
    whole = case.history.deliveries(attempt.id)
    return attempt.status == 201 and len(whole) == 1 and whole[0].sha1 == attempt.sha1


def _refused_by_size(attempt: Attempt) -> bool:
    return attempt.status == 413 and attempt.node is None


def _refused_by_node(attempt: Attempt) -> bool:
    return attempt.node is not None and (attempt.status or 0) >= 400


def _cut(case: Case, attempt: Attempt) -> bool:
    """Return whether the upload was cut on the way; ages and silences are measured on these only."""
    return not (
        _intact(case, attempt)
        or _refused_by_size(attempt)
        or _refused_by_node(attempt)
        or len(case.history.deliveries(attempt.id)) > 1
    )


def _age_s(attempt: Attempt) -> float:
    """Return the age of an upload when its client learned that it was cut."""
    return ((attempt.response_ns or attempt.ended_ns) - attempt.started_ns) / 1e9


def _node_cut_s(case: Case, attempt: Attempt) -> float | None:
    """Return the age of an upload when the node lost it. A balancer may tell the client later."""
    ended = [r.ended_ns for r in case.history.at_nodes(attempt.id) if r.ended_ns is not None and not r.complete]
    return (ended[0] - attempt.started_ns) / 1e9 if ended else None


def _judge_attempt(case: Case, attempt: Attempt, cut: Sequence[Attempt], *, total: bool) -> Variant:
    name = attempt.variant
    level: Level = "extended" if STALLS.get(name, (0.0, "core"))[1] == "extended" else "core"
    evidence: dict[str, Any] = {
        "attempt": attempt.id, "status": attempt.status, "end": attempt.end, "age_s": round(_age_s(attempt), 1),
        "sent_bytes": attempt.body_bytes,
    }  # fmt: skip
    if _intact(case, attempt):
        return case.holds(name, level, "stored, digest equal", **evidence)
    if len(case.history.deliveries(attempt.id)) > 1:
        return case.replayed(name, **evidence)
    if _refused_by_size(attempt):
        return case.refused_by_size(name, level, **evidence)
    if _refused_by_node(attempt):
        return case.unknown(name, level, f"the node itself answered {attempt.status}", **evidence)
    age_s = _node_cut_s(case, attempt) or _age_s(attempt)
    evidence["cut_at_s"] = round(age_s, 1)
    if total:
        ages = sorted(round(_node_cut_s(case, a) or _age_s(a), 1) for a in cut)
        summary = f"every upload that takes longer is cut at an age of {ages[0]:.0f} s, even if it flows steadily"
        hurts = "everybody who pushes a large package over a slow line"
        reasons: tuple[str, ...] = (
            f"not a stall: steady uploads are cut too, at {', '.join(f'{age} s' for age in ages)}",
            "not the size: all are below 1 MB",
        )
        return case.breaks(name, level, summary, cause="upload-total-limit", hurts=hurts, ruled_out=reasons, **evidence)
    silent_s = _silence_s(attempt, age_s)
    evidence["silent_s"] = round(silent_s, 1)
    summary = f"an upload that pauses is cut after {silent_s:.0f} s of silence ({attempt.status or attempt.end})"
    hurts = "uploads over lines that stall: VPN re-keying, a suspended laptop, a congested link"
    ruled_out = ("not the total time: a steady upload that takes longer is stored",)
    return case.breaks(name, level, summary, cause="upload-idle-limit", hurts=hurts, ruled_out=ruled_out, **evidence)


def _silence_s(attempt: Attempt, age_s: float) -> float:
    paused_ns = attempt.marks.get("pause")
    return age_s if paused_ns is None else age_s - (paused_ns - attempt.started_ns) / 1e9


LIMIT_SILENCE: Final = Advice(
    do="Limit the silence within an upload (15 min), not its whole duration.",
    costs="A client that vanishes holds its connection that long.",
)

CHECK = Check(
    id=ID,
    name="long-slow-and-stalled",
    profile="upload",
    claim="An upload may take minutes and may pause: it is stored whole.",
    offenders=(
        "Traefik cuts every upload at 60 s of total age (`readTimeout`); GCP at 30 s, Cloudflare at 100 or 120 s",
        "a stall of 70 s: nginx (60 s), HAProxy with Debian's defaults (50 s), ALB (60 s)",
    ),
    quick="15 s steady, and a stall of 15 s",
    full="steady for 95 and 135 s; stalls of 20, 45 and 70 s",
    causes=(
        Cause("upload-total-limit", LIMIT_SILENCE),
        Cause("upload-idle-limit", LIMIT_SILENCE),
    ),
    lane="waiting",
    judge=judge,
    run=run,
)
