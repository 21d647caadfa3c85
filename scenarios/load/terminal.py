"""A load run on a terminal: verdict first, then the ledger, the latencies, sizes that failed, and what to look at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from mocknode.units import format_duration, format_size
from scenarios.ledger import CLASSES
from scenarios.report.terminal import draw

STYLES: Final = {"held": "bold green", "failed": "bold red", "unknown": "bold magenta"}
WORDS: Final = {
    "held": "HELD", "failed": "FAILED", "unknown": "UNKNOWN", "untrusted": "UNTRUSTED", "interrupted": "INTERRUPTED",
    "environment": "BROKEN OFF",
}  # fmt: skip
GOOD: Final = "delivered_once"
NO_LEDGER: Final = (
    "no ledger: these servers keep no journals, so nothing is said of uploads that were lost, doubled or corrupted"
)
SHOWN: Final = 5


def render(document: Mapping[str, Any], *, colour: bool, unicode: bool, files: Sequence[str] = ()) -> str:
    """The screen, ending with a line end."""
    return draw(_lines(document, files), colour=colour, unicode=unicode)


def _lines(document: Mapping[str, Any], files: Sequence[str]) -> Iterator[Text]:
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
    yield from _latencies(document)
    yield from _sizes(document)
    yield from _conditions(document)
    yield from _examples(document)
    for file in files:
        yield Text(f" written: {file}")
    yield Text(f" record: {document['run_dir']}   (book.sqlite answers in SQL)")


def _ledger(document: Mapping[str, Any]) -> Iterator[Text]:
    counts = document["ledger"]
    if counts is not None:
        yield Text(" ledger", "bold")
        for name in CLASSES:
            bad = counts[name] and name != GOOD
            yield Text(f"   {name.replace('_', ' '):<28} {counts[name]:>8}", "bold red" if bad else "")
        yield Text(f"   {'sum = attempts':<28} {sum(counts[name] for name in CLASSES):>8}", "dim")
    numbers = document["numbers"]
    told = f"   told to their clients as failed: {numbers['failed']}"
    if document["schedule"]:
        told += f", of them {numbers['failed_undisturbed']} while no node was away on purpose"
    yield Text(told)
    if numbers["repeated"]:
        yield Text(f"   seen by nodes more than once, whole or torn: {numbers['repeated']}")
    yield Text()


def _latencies(document: Mapping[str, Any]) -> Iterator[Text]:
    names = ("p50_s", "p90_s", "p95_s", "p99_s", "p99.9_s", "max_s")
    yield Text(f" {'latency':<20}" + "".join(f"{name.removesuffix('_s'):>10}" for name in names), "bold")
    for kind, figures in document["latency"].items():
        for what, label in (("response", kind), ("service", "  since sent")):
            row = figures[what]
            if what == "service" and row == figures["response"]:
                continue
            if row["count"]:
                yield Text(f"   {label:<18}" + "".join(f"{format_duration(row[name]):>10}" for name in names))
    drift = document["values"]["drift"]
    if drift is not None and document["workload"]["shape"] == "steady" and not document["schedule"]:
        yield Text(f"   drift: the last quarter's median is {drift:.2f} times the first's", "dim")
    yield Text()


def _sizes(document: Mapping[str, Any]) -> Iterator[Text]:
    if not any(row["failures"] for row in document["by_size"]):
        return
    yield Text(f" {'by size':<24}{'uploads':>9}{'failed':>9}  what they were told", "bold")
    for row in document["by_size"]:
        failed = sum(row["failures"].values())
        told = ", ".join(f"{what} × {count}" for what, count in row["failures"].items())
        if failed and row["smallest_failed"] is not None:
            told += f"; from {format_size(row['smallest_failed'])} up"
            if row["largest_passed"] is not None:
                told += f", up to {format_size(row['largest_passed'])} passed"
        span = f"{format_size(row['from'])} to {format_size(row['to'])}"
        yield Text(f"   {span:<22}{row['attempts']:>9}{failed:>9}  {told}", "red" if failed else "")
    yield Text()


def _conditions(document: Mapping[str, Any]) -> Iterator[Text]:
    for condition in document["conditions"]:
        if condition["holds"] or not condition["always"]:
            value = "not measured" if condition["value"] is None else f"{condition['value']:.4g}"
            mark, style = ("✗", "bold red") if condition["holds"] else ("✓", "green")
            yield Text(f" {mark} fail if {condition['fail_if']}: {value}", style)
    yield Text()


def _examples(document: Mapping[str, Any]) -> Iterator[Text]:
    for row in document["examples"][:SHOWN]:
        told = (
            "no end"
            if row["took_s"] is None
            else f"{row['status'] or row['end']} after {format_duration(row['took_s'])}"
        )
        yield Text(
            f"   {row['id']} {row['class'].replace('_', ' ')}: {format_size(row['size'])} {row['form']}, {told} "
            f"from {row['node'] or 'no node'}"
            + ("" if document["ledger"] is None else f", at {row['at_nodes']} nodes")
            + (", disturbed" if row["disturbed"] else "")
        )
    if document["examples"]:
        yield Text()
