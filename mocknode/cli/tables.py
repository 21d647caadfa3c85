"""The tables that commands print."""

import io
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from mocknode.text.foreign import plain

UNBOUNDED: Final = 500
"""Width where standard output is not a terminal, so that lines stay whole for programs; none of ours is longer."""


def node_table(nodes: Iterable[Mapping[str, Any]]) -> str:
    """One line for each node."""
    rows = [
        [
            node["name"],
            _condition(node) + "".join(f", then {_condition(p)} after {p['after']}" for p in node["pending"]),
            " ".join(url for url in (node["http"], node["https"]) if url),
            " ".join(fault["kind"] for fault in node["faults"]) or "-",
            *_counts(node["counters"]),
        ]
        for node in nodes
    ]
    return render(["node", "state", "address", "faults", "pings", "requests", "uploading", "Tentacles"], rows)


def fault_table(faults: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """One line for each fault, given with the name of its node."""
    rows = [
        [
            node,
            fault["id"],
            fault["kind"],
            " ".join(f"--{name} {value}" for name, value in fault["options"].items()) or "-",
            fault["on"],
            " ".join(f"--{name} {fault[name]}" for name in ("first", "every", "after", "ttl", "attempt") if fault[name])
            or "-",
        ]
        for node, fault in faults
    ]
    return render(["node", "id", "fault", "options", "on", "when"], rows)


def task_table(tasks: Iterable[Mapping[str, Any]]) -> str:
    """One line for each task."""
    rows = [
        [
            task["id"],
            task["state"],
            task["node"] or "-",
            f"{task['duration_s']:g} s",
            task["reason"] or task["description"],
        ]
        for task in tasks
    ]
    return render(["id", "state", "node", "duration", "about"], rows)


def snapshot_table(snapshots: Iterable[Mapping[str, Any]]) -> str:
    """One line for each snapshot."""
    rows = [[one["name"], _moment(one["taken"]), str(one["packages"])] for one in snapshots]
    return render(["name", "taken", "packages"], rows)


def render(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as text, ending with a newline."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNBOUNDED
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(table, highlight=False, markup=False)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _condition(document: Mapping[str, Any]) -> str:
    return str(document["state"]) + (f" ({document['how']})" if document["how"] else "")


def _counts(counters: Mapping[str, Any] | None) -> list[str]:
    if counters is None:
        return ["-"] * 4
    tentacles = counters["tentacles"]
    polling = "-" if tentacles is None else str(tentacles["connections"])
    return [*(str(counters[name]) for name in ("pings", "requests", "uploads_in_flight")), polling]
