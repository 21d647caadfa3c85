"""Measures the throughput that the ledger costs: `python loadtests/ledger_bench.py`.

Method: the same uploads through the same balancer to the same nodes, in turns, by plain locust, which records nothing, and by
`mocknode load`, which records both ends of every attempt, follows the journals of all nodes and joins both sides. Everything
shares the machine's cores, and each upload starts when the previous one is answered, so the work of the ledger lowers the rate. Both
rates come from the nodes' journals, which are always written: complete uploads from the first head to the last answer of a turn.
The ratio is the median of the ratios of consecutive turns. A turn of `mocknode load` counts only if its ledger has every upload
delivered once.

There are two kinds of uploads: large ones, where the bytes are the main cost, and 64 KiB, where the ledger has the most to record.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alternating import script
from stage import HOST, Up, balancer, cluster

from mocknode.judge.traffic import FrontDoor
from mocknode.load.generator import Generator, Workload
from mocknode.load.lines import Tail

WANTED = 0.05
HELD, FAILED_AUDIT = 0, 5


def measure(words: Sequence[str]) -> str:
    """Measure pairs of turns with each size and return the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="pairs of turns (default 5)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one turn (default 6)")
    parser.add_argument("--with", dest="kind", default="nginx", help="balancer (default nginx)")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument(
        "--sizes", default="64KiB,32MiB", help="sizes of uploads, each measured alone (default 64KiB,32MiB)"
    )
    parser.add_argument("--users", type=int, default=4, help="uploads at a time (default 4)")
    args = parser.parse_args(words)
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        up = stack.enter_context(cluster(args.nodes))
        front = stack.enter_context(balancer(args.kind, up, runner))
        found = {size: pairs_of(runner, up, front.http_port, size, args) for size in args.sizes.split(",")}
    return table(found, args)


def pairs_of(
    runner: asyncio.Runner, up: Up, port: int, size: str, args: argparse.Namespace
) -> list[tuple[float, float]]:
    """Return the uploads a second of each pair of turns: without and with the ledger."""
    workload = Workload(
        users=args.users, duration_s=args.seconds, sizes=size, forms="chunked,length", link=0.0, seed=1
    )  # fmt: skip
    journals = Tail(Path(up.document["run_dir"]) / "journal")
    pairs = []
    while journals.read()[1]:
        pass  # Skip uploads from before these turns.
    for _ in range(args.turns + 1):
        plain(runner, up, port, workload)
        without = uploads_per_s(journals)
        accounted(up, port, workload)
        pairs.append((without, uploads_per_s(journals)))
        print(f"{size}: plain {without:,.1f}, with ledger {pairs[-1][1]:,.1f} a second", file=sys.stderr, flush=True)
    return pairs[1:]  # The first pair warms up.


def plain(runner: asyncio.Runner, up: Up, port: int, workload: Workload) -> None:
    """Run a turn of plain locust."""

    async def push(directory: Path) -> None:
        front = FrontDoor(scheme="http", host=HOST, port=port)
        generator = Generator.start(workload, front, None, directory / "locust.log", {"MOCKNODE_LOAD_KEY": up.key})
        try:
            if not await generator.ended(workload.duration_s + 60):
                raise SystemExit("plain locust did not end")
            generator.check()
        finally:
            await generator.stop()

    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as directory:
        runner.run(push(Path(directory)))


def accounted(up: Up, port: int, workload: Workload) -> None:
    """Run a turn of `mocknode load` and check its ledger."""
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as directory:
        command = [
            sys.executable,
            "-m",
            "mocknode",
            "load",
            "--lb",
            f"http://{HOST}:{port}",
            "--control",
            up.document["control"],
        ]
        command += [
            "--users",
            str(workload.users),
            "--duration",
            f"{workload.duration_s:g}s",
            "--sizes",
            workload.sizes,
        ]
        command += [
            "--forms",
            workload.forms,
            "--link",
            "0",
            "--run-dir",
            f"{directory}/run",
            "--json",
            f"{directory}/report",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # A generator that lacks processor time makes the run untrusted; its ledger is complete nevertheless.
        if done.returncode not in (HELD, FAILED_AUDIT):
            raise SystemExit(f"mocknode load ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        ledger = json.loads(Path(directory, "report").read_text())["ledger"]
    if not ledger["attempts"] == ledger["delivered_once"] > 0:
        raise SystemExit(f"the ledger does not say that every upload was delivered once: {ledger}")


def uploads_per_s(journals: Tail) -> float:
    """Return the rate of complete uploads that the nodes have recorded since the last call."""
    heads, ends, more = [], [], True
    while more:
        lines, more = journals.read()
        for line in lines:
            if _ends_a_push(line):
                heads.append(line["t_ns"])
                ends.append(line["ended_ns"])
    if not ends:
        raise SystemExit("no node has recorded a complete upload")
    return len(ends) / ((max(ends) - min(heads)) / 1e9)


def _ends_a_push(line: dict[str, Any]) -> bool:
    stored = line.get("package") or {}
    return line.get("phase") in ("end", "whole") and line["complete"] and stored.get("package_id") == "mocknode-load"


def table(found: dict[str, list[tuple[float, float]]], args: argparse.Namespace) -> str:
    """Return the ratios and the table as Markdown."""
    lines = []
    setting = f"{args.users} uploads at a time through {args.kind}, {args.nodes} nodes, {args.turns} pairs of turns of {args.seconds:g} s."
    rows = []
    for size, pairs in found.items():
        ratios = [1 - with_ledger / without for without, with_ledger in pairs]
        lines.append(
            f"- {size}: the ledger takes **{statistics.median(ratios):.1%}** of the throughput "
            f"({min(ratios):.1%} - {max(ratios):.1%}; wanted: less than {WANTED:.0%})"
        )
        for name, values in (("plain locust", [p[0] for p in pairs]), ("mocknode load", [p[1] for p in pairs])):
            rows.append(
                f"| {size} | {name} | {statistics.median(values):,.1f} | {min(values):,.1f} - {max(values):,.1f} |"
            )
    return "\n".join(
        [*lines, "", setting, "", "| size | by | uploads/s, median | lowest - highest |", "|---|---|---|---|", *rows]
    )


if __name__ == "__main__":
    script(measure)
