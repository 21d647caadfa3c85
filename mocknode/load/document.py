"""The report of a load run, `mocknode-load/1`: what every other format is made from. Times are seconds since the first upload."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mocknode.judge.record.ledger import CLASSES, ClassCounts
from mocknode.load.conditions import ALWAYS, Condition
from mocknode.load.figures import histogram, latency, percentile
from mocknode.load.generator import Workload
from mocknode.load.load_ledger import LoadLedger
from mocknode.load.run import LoadRun
from mocknode.text.units import format_duration, format_size

SCHEMA: Final = "mocknode-load/1"
EXIT_CODES: Final[Mapping[str, int]] = {
    "held": 0, "failed": 1, "environment": 3, "unknown": 4, "untrusted": 5, "interrupted": 130,
}  # fmt: skip
SIZE_BOUNDS: Final = tuple((1 << low, 1 << (low + 2)) for low in range(0, 44, 2))
"""Rows of the table by size: each four times as large as the one before."""
EXAMPLES: Final = 20
"""Attempts that are shown one by one; all are in the ledger."""
DRIFT_MIN: Final = 30
"""Uploads of a quarter, below which its median is an accident."""
UNSEEN_SHARE: Final = 0.25
"""Of a drain at its end: a node that still gets new uploads in it was not taken out."""
COLUMNS: Final = 300
"""Points of the chart over time at most."""


def build(run: LoadRun) -> dict[str, Any]:
    """The report.

    Args:
        run: With its accounts closed.
    """
    ledger = run.ledger
    assert ledger is not None
    counts = None if run.totals is None else run.totals.by_class()
    numbers = ledger.numbers()
    first_ns, last_ns = ledger.span_ns()
    pushes = ledger.latencies("push")
    duration_s = (last_ns - first_ns) / 1e9
    drains = [] if counts is None else list(_drains(run, ledger))
    values = {
        **_values(counts, numbers, pushes, duration_s),
        "drift": _drift(ledger, first_ns, last_ns),
        "drain_reaction": max((d["last_after_s"] for d in drains), default=None),
    }
    asked = {c.text.replace(" ", "") for c in run.plan.conditions}
    conditions = [_judged(c, values, always=True) for c in ALWAYS if c.metric in values and c.text not in asked]
    conditions += [_judged(c, values, always=False) for c in run.plan.conditions]
    problems = _problems(run, ledger, numbers)
    decided = bool(numbers["attempts"]) and not (counts and counts["unresolved"])
    result = _result(run, conditions, problems, decided=decided)
    return {
        "schema": SCHEMA,
        "result": result,
        "exit_code": EXIT_CODES[result],
        "started": run.started.isoformat(),
        "duration_s": duration_s,
        **run.plan.facts,
        "load": load_of(run.workload),
        "workload": {
            "users": run.plan.workload.users,
            "actions": run.plan.workload.actions,
            "deltas": run.plan.workload.deltas,
            "shape": run.workload.shape,
            "uploads": run.plan.workload.uploads or None,
            "browsers": run.plan.workload.browsers,
            "monitors": run.plan.workload.monitors,
            "rate_per_s": run.plan.workload.rate or None,
            "workers": run.plan.workload.workers,
            "duration_s": run.plan.workload.duration_s,
            "sizes": run.plan.workload.sizes,
            "forms": run.plan.workload.forms,
            "link_bytes_per_s": run.plan.workload.link or None,
            "seed": run.plan.workload.seed,
        },
        "aborted_by": run.aborted,
        "nodes": list(run.lanes.nodes),
        "ledger": counts,
        "numbers": numbers,
        "throughput": {
            "uploads_per_s": len(pushes) / duration_s if duration_s else None,
            "bytes_per_s": numbers["acknowledged_bytes"] / duration_s if duration_s else None,
        },
        "latency": {kind: _latency(ledger, kind) for kind in ledger.kinds()},
        "by_size": ledger.by_size(SIZE_BOUNDS),
        "values": values,
        "conditions": conditions,
        "generator": {
            "workers": run.health.document(),
            "judge_stall_s": run.watch.longest_stall_s,
            "problems": problems,
        },
        "schedule": run.steps,
        "drains": drains,
        "states": [
            {"at_s": (at - first_ns) / 1e9, "node": node, "state": state, "how": how}
            for at, node, state, how in ledger.states
        ],
        "over_time": _over_time(ledger, first_ns, duration_s),
        "examples": _examples(ledger, first_ns),
        "notes": [*run.notes, *_notes(run, ledger, numbers["nameless"]), *_unseen(drains)],
        "run_dir": str(run.plan.run_dir),
    }


def load_of(work: Workload) -> str:
    """Who pushed what, in one line."""
    kinds = {
        "builds": work.users, "GitHub Actions": work.actions, "delta pushers": work.deltas,
        "browsers": work.browsers, "monitors": work.monitors,
    }  # fmt: skip
    said = [
        ", ".join(f"{count} {kind.removesuffix('s') if count == 1 else kind}" for kind, count in kinds.items() if count)
    ]
    said += [f"{work.rate:g} uploads a second due"] if work.rate else []
    said += [work.shape] if work.shape != "steady" else []
    said += [f"packages of {work.sizes}", work.forms.replace(",", " and ")]
    said += [f"uplinks of {format_size(round(work.link))}/s"] if work.link else []
    return "; ".join(filter(None, said))


def _drift(ledger: LoadLedger, first_ns: int, last_ns: int) -> float | None:
    """Median response time of uploads due in the last quarter, over that of the first; None where either is too small to say."""
    quarter = (last_ns - first_ns) // 4
    spans = ((first_ns, first_ns + quarter), (last_ns - quarter, last_ns))
    first, last = (ledger.latencies("push", between=span) for span in spans)
    early, late = percentile(first, 50), percentile(last, 50)
    return late / early if early and late and min(len(first), len(last)) >= DRIFT_MIN else None


def _values(
    counts: ClassCounts | None, numbers: Mapping[str, int], pushes: Sequence[float], duration_s: float
) -> dict[str, float | None]:
    """What conditions can be about. Latencies are None where no upload was acknowledged, and classes are missing without a ledger."""
    values: dict[str, float | None] = {
        **{name.removesuffix("_s"): value for name, value in latency(pushes).items() if name.endswith("_s")},
        "attempts": numbers["attempts"],
    }
    if counts is not None:
        values |= {name: counts[name] for name in CLASSES} | {"doubled": counts["delivered_twice"]}
    return values | {
        "failed": numbers["failed"],
        "reads_failed": numbers["reads_failed"],
        "failed_undisturbed": numbers["failed_undisturbed"],
        "error_rate": numbers["failed"] / numbers["attempts"] if numbers["attempts"] else None,
        "per_second": len(pushes) / duration_s if duration_s else None,
    }


def _judged(condition: Condition, values: Mapping[str, float | None], *, always: bool) -> dict[str, Any]:
    return {
        "fail_if": condition.text,
        "always": always,
        "value": values[condition.metric],
        "shown": condition.shown(values[condition.metric]),
        "holds": condition.holds(values),
    }


def _drains(run: LoadRun, ledger: LoadLedger) -> Iterator[dict[str, Any]]:
    """New uploads that each draining node was given, and how long after the drain's begin the last one came."""
    begun: dict[str, float] = {}
    for step in run.steps:
        if step["verb"] != "drain":
            continue
        if step["begins"]:
            begun[step["node"]] = step["at_s"]
            continue
        at_s = begun.pop(step["node"])
        since_ns, until_ns = (run.began_ns + round(s * 1e9) for s in (at_s, step["at_s"]))
        count, last_ns = ledger.uploads_at(step["node"], (since_ns, until_ns))
        yield {
            "node": step["node"],
            "at_s": at_s,
            "for_s": step["at_s"] - at_s,
            "new_uploads": count,
            "last_after_s": 0.0 if last_ns is None else (last_ns - since_ns) / 1e9,
        }


def _unseen(drains: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Drains of which the balancer took no notice, or not in time."""
    for drain in drains:
        if drain["last_after_s"] > (1 - UNSEEN_SHARE) * drain["for_s"]:
            yield (
                f"{drain['node']} still got new uploads {format_duration(drain['last_after_s'])} into its drain of "
                f"{format_duration(drain['for_s'])}: the balancer does not act on the ping's 418, or needs longer than that; "
                "`mocknode check --only DR-01` tells"
            )


def _notes(run: LoadRun, ledger: LoadLedger, nameless: int) -> Iterator[str]:
    """What a reader of the first screen would otherwise take for granted."""
    if nameless:
        yield (
            f"{nameless} uploads reached a node without X-Mocknode-Attempt, which the balancer strips from some, and were joined by "
            "their digest; of those that arrived torn or changed nothing is known"
        )
    if run.unseen:
        events = ", ".join(f"{event.verb} {event.node}" for event in run.unseen)
        yield f"the load had ended before the schedule came to: {events}"
    if run.aborted is not None:
        yield f"ended before its time, when {run.aborted} held for certain; uploads under way then may have no end"
    if run.plan.workload.deltas and not ledger.sent_as("delta"):
        yield "no delta was sent, since no server had a base for one: nodes keep packages with `mocknode up --keep-packages`"


def _problems(run: LoadRun, ledger: LoadLedger, numbers: Mapping[str, int]) -> list[str]:
    found = [
        *filter(None, (run.environment, run.broken)),
        *run.health.problems(),
        *run.watch.notes(),
        *run.dead_workers,
    ]
    if ledger.dropped:
        found.append(f"the nodes' journals dropped {ledger.dropped} entries: the ledger lacks them")
    if numbers["unexplained"]:
        found.append(f"{numbers['unexplained']} requests at the nodes belong to no attempt that the generator recorded")
    cut = run.interrupted or any(why is not None for why in (run.aborted, run.broken, run.environment))
    if not cut and run.health.sent != numbers["recorded"]:
        found.append(f"the generator sent {run.health.sent} requests and recorded {numbers['recorded']}")
    if numbers["unfinished"] and not cut:
        found.append(f"{numbers['unfinished']} attempts have no end: what sent them was killed")
    return found


def _result(run: LoadRun, conditions: Sequence[Mapping[str, Any]], problems: Sequence[str], *, decided: bool) -> str:
    if run.interrupted:
        return "interrupted"
    if run.environment is not None:
        return "environment"
    if problems:
        return "untrusted"
    if any(c["holds"] for c in conditions):
        return "failed"
    if not decided or run.unseen or any(c["holds"] is None for c in conditions):
        return "unknown"
    return "held"


def _latency(ledger: LoadLedger, kind: str) -> dict[str, Any]:
    """Response time from when it was due, service time from when it was sent."""
    response = ledger.latencies(kind)
    return {
        "response": latency(response),
        "service": latency(ledger.latencies(kind, "started")),
        "histogram_s": histogram(response),
    }


def _over_time(ledger: LoadLedger, first_ns: int, duration_s: float) -> list[dict[str, Any]]:
    """Uploads by the moment of their end: how many, what they were told, how long they took."""
    width_s = max(1.0, duration_s / COLUMNS)
    points: list[dict[str, Any]] = []
    column, took, told, size = 0, list[float](), Counter[str](), 0

    def close() -> None:
        took.sort()
        points.append(
            {"at_s": column * width_s, "width_s": width_s, "told": dict(told), "bytes": size,
             "p50_s": percentile(took, 50), "p99_s": percentile(took, 99), "max_s": took[-1] if took else None}
        )  # fmt: skip

    for due, _, ended, what, length, kind in ledger.ends():
        if kind != "push":
            continue
        at = int((ended - first_ns) / 1e9 / width_s)
        if at != column:
            if told:
                close()
            column, took, told, size = at, [], Counter(), 0
        told[what] += 1
        if what == "acknowledged":
            took.append((ended - due) / 1e9)
            size += length or 0
    if told:
        close()
    return points


def _examples(ledger: LoadLedger, first_ns: int) -> list[dict[str, Any]]:
    return [
        {
            "id": row["id"],
            "class": row["class"],
            "size": row["size"],
            "form": row["form"],
            "at_s": (row["started"] - first_ns) / 1e9,
            "took_s": None if row["ended"] is None else (row["ended"] - row["started"]) / 1e9,
            "status": row["status"],
            "node": row["node"],
            "end": row["ending"],
            "error": row["error"],
            "at_nodes": row["at_nodes"],
            "disturbed": bool(row["disturbed"]),
        }
        for row in ledger.failures(EXAMPLES)
    ]
