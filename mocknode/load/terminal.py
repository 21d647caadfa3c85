"""Shows a load run on a terminal: the verdict, the ledger, the latencies, the sizes that failed, and uploads to look at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from mocknode.judge.record.ledger import CLASSES
from mocknode.judge.report.terminal import draw
from mocknode.load.conditions import parse_condition
from mocknode.load.schema import LoadReport, LoadResult, Percentile, SizeRow
from mocknode.text.units import format_duration, format_size

STYLES: Final[Mapping[LoadResult, str]] = {"held": "bold green", "failed": "bold red", "unknown": "bold magenta"}
WORDS: Final[Mapping[LoadResult, str]] = {
    "held": "HELD", "failed": "FAILED", "unknown": "UNKNOWN", "untrusted": "UNTRUSTED", "interrupted": "INTERRUPTED",
    "environment": "BROKEN OFF",
}  # fmt: skip
GOOD: Final = "delivered_once"
NO_LEDGER: Final = "no ledger: these servers keep no journals, so lost, doubled or corrupted uploads would go unnoticed"
SHOWN: Final = 5


def render(document: LoadReport, *, colour: bool, unicode: bool, files: Sequence[str] = ()) -> str:
    """Return the screen, ending with a line end."""
    return draw(_lines(document, files), colour=colour, unicode=unicode)


def _lines(document: LoadReport, files: Sequence[str]) -> Iterator[Text]:
    result = document["result"]
    title = Text(" ").append(WORDS[result], STYLES.get(result, "bold red"))
    if document["ledger"] is None:
        title.append(" UNVERIFIED", "bold yellow")
    title.append(f"   {document['numbers']['attempts']} uploads in {format_duration(document['duration_s'])}")
    rate = document["throughput"]
    if rate["bytes_per_s"]:
        title.append(f" · {rate['uploads_per_s']:.1f}/s · {format_size(round(rate['bytes_per_s']))}/s")
    yield title
    if document["ledger"] is None:
        yield Text(f" {NO_LEDGER}", "bold")
    balancer = document["balancer"]
    name = " ".join(str(balancer[key]) for key in ("kind", "version", "mode") if balancer.get(key))
    yield Text(f" {name or 'balancer'} at {balancer['url']}   {document['load']}")
    for problem in [*document["generator"]["problems"], *document["notes"]]:
        yield Text(f" note: {problem}", "bold")
    yield Text()
    yield from _ledger(document)
    yield from _drains(document)
    yield from _latencies(document)
    yield from _sizes(document)
    yield from _conditions(document)
    yield from _examples(document)
    for file in files:
        yield Text(f" written: {file}")
    yield Text(f" record: {document['run_dir']}   (ledger.sqlite answers in SQL)")


def _ledger(document: LoadReport) -> Iterator[Text]:
    counts = document["ledger"]
    if counts is not None:
        yield Text(" ledger", "bold")
        for name in CLASSES:
            bad = counts[name] and name != GOOD
            yield Text(f"   {name.replace('_', ' '):<28} {counts[name]:>8}", "bold red" if bad else "")
        yield Text(f"   {'sum = attempts':<28} {sum(counts[name] for name in CLASSES):>8}", "dim")
    numbers = document["numbers"]
    failed = f"   failed for their clients: {numbers['failed']}"
    if document["schedule"]:
        failed += f"; {numbers['failed_undisturbed']} failed while all nodes were up"
    yield Text(failed)
    if numbers["reads"]:
        reads_failed = numbers["reads_failed"] + numbers["reads_disturbed"]
        yield Text(
            f"   reads beside the uploads: {numbers['reads']}, of which {reads_failed} failed; {numbers['reads_failed']} failed while all "
            "nodes were up"
        )
    if numbers["repeated"]:
        yield Text(f"   seen by nodes more than once, whole or torn: {numbers['repeated']}")
    yield Text()


def _drains(document: LoadReport) -> Iterator[Text]:
    if not document["drains"]:
        return
    yield Text(f" {'while it drained':<24}{'for':>9}{'new uploads':>13}  last one after", "bold")
    for drain in document["drains"]:
        last = format_duration(drain["last_after_s"]) if drain["new_uploads"] else "–"
        yield Text(f"   {drain['node']:<22}{format_duration(drain['for_s']):>9}{drain['new_uploads']:>13}  {last}")
    yield Text()


def _latencies(document: LoadReport) -> Iterator[Text]:
    names: tuple[Percentile, ...] = ("p50_s", "p90_s", "p95_s", "p99_s", "p99.9_s", "max_s")
    # Only acknowledged uploads count: one that was refused immediately would flatter the balancer.
    yield Text(f" {'acknowledged':<20}" + "".join(f"{name.removesuffix('_s'):>10}" for name in names), "bold")
    for kind, figures in document["latency"].items():
        rows = [(kind, figures["response"])]
        if figures["service"] != figures["response"]:
            rows.append(("  since sent", figures["service"]))
        for label, row in rows:
            if row["count"]:
                took = "".join(f"{'–' if (s := row[name]) is None else format_duration(s):>10}" for name in names)
                yield Text(f"   {label:<18}{took}")
    drift = document["values"]["drift"]
    if drift is not None and document["workload"]["shape"] == "steady" and not document["schedule"]:
        yield Text(f"   drift: the last quarter's median is {drift:.2f} times the first's", "dim")
    yield Text()


def _sizes(document: LoadReport) -> Iterator[Text]:
    if not any(row["failures"] for row in document["by_size"]):
        return
    yield Text(f" {'by size':<24}{'uploads':>9}{'failed':>9}  answers to the failed", "bold")
    for row in document["by_size"]:
        failed = sum(row["failures"].values())
        answers = ", ".join(f"{answer} × {count}" for answer, count in row["failures"].items())
        answers += size_limit(row)
        span = f"{format_size(row['from'])} to {format_size(row['to'])}"
        yield Text(f"   {span:<22}{row['attempts']:>9}{failed:>9}  {answers}", "red" if failed else "")
    yield Text()


def size_limit(row: SizeRow) -> str:
    """Return between which sizes a limit lies; an empty text if a larger upload passed than the smallest that failed."""
    low, high = row["smallest_failed"], row["largest_passed"]
    if low is None or (high is not None and high >= low):
        return ""
    return f"; from {format_size(low)} up" + ("" if high is None else f", up to {format_size(high)} passed")


def _conditions(document: LoadReport) -> Iterator[Text]:
    for condition in document["conditions"]:
        if condition["holds"] or not condition["always"]:
            mark, style = ("✗", "bold red") if condition["holds"] else ("✓", "green")
            if condition["holds"] is None:
                mark, style = "?", "bold magenta"
            parsed = parse_condition(condition["fail_if"])
            yield Text(f" {mark} {parsed.metric} {condition['shown']} ({parsed.meaning})", style)
    yield Text()


def _examples(document: LoadReport) -> Iterator[Text]:
    for row in document["examples"][:SHOWN]:
        answer = (
            "no end"
            if row["took_s"] is None
            else f"{_answer(row['status'], row['end'])} after {format_duration(row['took_s'])}"
        )
        yield Text(
            f"   {row['id']} {row['class'].replace('_', ' ')}: {format_size(row['size'])} {row['form']}, {answer} "
            f"from {row['node'] or 'no node'}"
            + (
                ""
                if document["ledger"] is None
                else f", seen by {row['at_nodes']} node{'' if row['at_nodes'] == 1 else 's'}"
            )
            + (", while a node was away" if row["disturbed"] else "")
        )
    if document["examples"]:
        yield Text()


def _answer(status: int | None, end: str | None) -> str:
    """Return the status, and how the exchange ended if it did not end with a complete answer."""
    return " ".join(str(part) for part in (status, end) if part and (part != "complete" or status is None))
