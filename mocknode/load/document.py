"""Builds the report of a load run, from which every other format is made."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from mocknode.judge.record.history import Told
from mocknode.judge.record.ledger import CLASSES, ClassCounts
from mocknode.load.conditions import ALWAYS, Condition
from mocknode.load.figures import histogram, latency, percentile
from mocknode.load.generator import Workload
from mocknode.load.load_ledger import LoadLedger
from mocknode.load.run import LoadPlan, LoadRun
from mocknode.load.schema import (
    SCHEMA,
    Drain,
    Example,
    JudgedCondition,
    LatencyOfKind,
    LoadedBalancer,
    LoadReport,
    LoadResult,
    Moment,
    Numbers,
    WorkloadFacts,
)
from mocknode.text.units import format_duration, format_size

EXIT_CODES: Final[Mapping[LoadResult, int]] = {
    "held": 0, "failed": 1, "environment": 3, "unknown": 4, "untrusted": 5, "interrupted": 130,
}  # fmt: skip
SIZE_BOUNDS: Final = tuple((1 << low, 1 << (low + 2)) for low in range(0, 44, 2))
"""Rows of the table by size; each reaches to four times the size of the one before."""
EXAMPLES: Final = 20
"""The report shows this many attempts one by one; the ledger has all of them."""
DRIFT_MIN: Final = 30
"""With fewer uploads in a quarter of the run, its median would be chance."""
UNSEEN_SHARE: Final = 0.25
"""A node that still gets new uploads in this last part of its drain was not taken out."""
COLUMNS: Final = 300
"""Most points of the chart over time."""


def build(run: LoadRun) -> LoadReport:
    """Build the report of a run whose accounts are closed."""
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
        "versions": run.plan.facts["versions"],
        "balancer": balancer_of(run.plan, run.url or run.lanes.url),
        "reproduce": run.plan.facts["reproduce"],
        "load": load_of(run.workload),
        "workload": _workload_facts(run),
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
        "notes": [*run.notes, *_notes(run, ledger, numbers["nameless"]), *_unnoticed(drains)],
        "run_dir": str(run.plan.run_dir),
    }


def _workload_facts(run: LoadRun) -> WorkloadFacts:
    asked = run.plan.workload
    return {
        "users": asked.users,
        "actions": asked.actions,
        "deltas": asked.deltas,
        "shape": run.workload.shape,
        "uploads": asked.uploads or None,
        "browsers": asked.browsers,
        "monitors": asked.monitors,
        "rate_per_s": asked.rate or None,
        "workers": asked.workers,
        "duration_s": asked.duration_s,
        "sizes": asked.sizes,
        "forms": asked.forms,
        "link_bytes_per_s": asked.link or None,
        "seed": asked.seed,
    }


def balancer_of(plan: LoadPlan, url: str) -> LoadedBalancer:
    """Return what is known about the balancer at `url`."""
    return {**plan.facts["balancer"], "url": url}


def load_of(work: Workload) -> str:
    """Return who uploads what, in one line."""
    kinds = {
        "builds": work.users, "GitHub Actions": work.actions, "delta pushers": work.deltas,
        "browsers": work.browsers, "monitors": work.monitors,
    }  # fmt: skip
    parts = [
        ", ".join(f"{count} {kind.removesuffix('s') if count == 1 else kind}" for kind, count in kinds.items() if count)
    ]
    parts += [f"{work.rate:g} uploads a second due"] if work.rate else []
    parts += [work.shape] if work.shape != "steady" else []
    parts += [f"packages of {work.sizes}", work.forms.replace(",", " and ")]
    parts += [f"uplinks of {format_size(round(work.link))}/s"] if work.link else []
    return "; ".join(filter(None, parts))


def _drift(ledger: LoadLedger, first_ns: int, last_ns: int) -> float | None:
    """Return the median response time of the last quarter divided by that of the first; None if either has too few uploads."""
    quarter = (last_ns - first_ns) // 4
    spans = ((first_ns, first_ns + quarter), (last_ns - quarter, last_ns))
    first, last = (ledger.latencies("push", between=span) for span in spans)
    early, late = percentile(first, 50), percentile(last, 50)
    return late / early if early and late and min(len(first), len(last)) >= DRIFT_MIN else None


def _values(
    counts: ClassCounts | None, numbers: Numbers, pushes: Sequence[float], duration_s: float
) -> dict[str, float | None]:
    """Return the metrics that conditions can name. Without an acknowledged upload latencies are None; without journals there are no
    classes.
    """
    found = latency(pushes)
    values: dict[str, float | None] = {
        "min": found["min_s"],
        "mean": found["mean_s"],
        "p50": found["p50_s"],
        "p90": found["p90_s"],
        "p95": found["p95_s"],
        "p99": found["p99_s"],
        "p99.9": found["p99.9_s"],
        "max": found["max_s"],
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


def _judged(condition: Condition, values: Mapping[str, float | None], *, always: bool) -> JudgedCondition:
    return {
        "fail_if": condition.text,
        "always": always,
        "value": values[condition.metric],
        "shown": condition.shown(values[condition.metric]),
        "holds": condition.holds(values),
    }


def _drains(run: LoadRun, ledger: LoadLedger) -> Iterator[Drain]:
    """Yield how many new uploads each draining node still got, and how long after the start of its drain the last one came."""
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


def _unnoticed(drains: Sequence[Drain]) -> Iterator[str]:
    """Yield a note for each drain that the balancer did not notice, or noticed too late."""
    for drain in drains:
        if drain["last_after_s"] > (1 - UNSEEN_SHARE) * drain["for_s"]:
            yield (
                f"{drain['node']} still got new uploads {format_duration(drain['last_after_s'])} into its drain of "
                f"{format_duration(drain['for_s'])}: the balancer does not act on the ping's 418, or needs longer than that; "
                "run `mocknode check --only DR-01` to find out which"
            )


def _notes(run: LoadRun, ledger: LoadLedger, nameless: int) -> Iterator[str]:
    """Yield what a reader of the first screen would not expect."""
    if nameless:
        yield (
            f"{nameless} uploads reached a node without X-Mocknode-Attempt, which the balancer removes from some requests; they were "
            "joined by their digest, which finds none that arrived torn or changed"
        )
    if run.unseen:
        events = ", ".join(f"{event.verb} {event.node}" for event in run.unseen)
        yield f"the load ended before these events of the schedule: {events}"
    if run.aborted is not None:
        yield f"the run ended early, when {run.aborted} was certain to hold; uploads under way at that moment may have no end"
    if run.plan.workload.deltas and not ledger.sent_as("delta"):
        yield "no delta was sent, because no server had a base package: start the nodes with `mocknode up --keep-packages`"


def _problems(run: LoadRun, ledger: LoadLedger, numbers: Numbers) -> list[str]:
    found = [
        *filter(None, (run.environment, run.broken)),
        *run.health.problems(),
        *run.watch.notes(),
        *run.dead_workers,
    ]
    if ledger.dropped:
        found.append(f"the nodes' journals dropped {ledger.dropped} entries, which the ledger lacks")
    if numbers["unexplained"]:
        found.append(f"{numbers['unexplained']} requests at the nodes belong to no attempt that the generator recorded")
    cut = run.interrupted or any(why is not None for why in (run.aborted, run.broken, run.environment))
    if not cut and run.health.sent != numbers["recorded"]:
        found.append(f"the generator sent {run.health.sent} requests and recorded {numbers['recorded']}")
    if numbers["unfinished"] and not cut:
        found.append(f"{numbers['unfinished']} attempts have no end: the process that sent them was killed")
    return found


def _result(
    run: LoadRun, conditions: Sequence[JudgedCondition], problems: Sequence[str], *, decided: bool
) -> LoadResult:
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


def _latency(ledger: LoadLedger, kind: str) -> LatencyOfKind:
    response = ledger.latencies(kind)
    return {
        "response": latency(response),
        "service": latency(ledger.latencies(kind, "started")),
        "histogram_s": histogram(response),
    }


def _over_time(ledger: LoadLedger, first_ns: int, duration_s: float) -> list[Moment]:
    """Return how many uploads ended in each interval, with which result, and how long they took."""
    width_s = max(1.0, duration_s / COLUMNS)
    points: list[Moment] = []
    column, took, told, size = 0, list[float](), Counter[Told](), 0

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


def _examples(ledger: LoadLedger, first_ns: int) -> list[Example]:
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
