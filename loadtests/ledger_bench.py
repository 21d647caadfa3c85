"""What accounting for every upload costs in throughput: `python loadtests/ledger_bench.py`.

Method. The same uploads through the same balancer at the same nodes, in turns: by plain locust, which records nothing and which
nobody follows, and by `mocknode load`, which records both ends of every attempt, follows the journals of all nodes while they are written
and joins both sides. Everything shares the machine's cores, and uploads follow each other as fast as they are answered, so what the ledger
takes is missing elsewhere. Both are measured by the same instrument: the nodes' journals, which nodes always write, read after each
turn: complete uploads, from the first head to the last answer. The ratio is of each pair of turns that follow each other; the
median counts. A turn of `mocknode load` counts only if its ledger has every upload delivered once.

Two kinds of uploads: large ones, where bytes are what costs, and 64 KiB, where there is the most to account for in a second.
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
    """Pairs of turns with each size; the table."""
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
    """Uploads a second of every pair of turns: plain, with ledger."""
    workload = Workload(
        users=args.users, duration_s=args.seconds, sizes=size, forms="chunked,length", link=0.0, seed=1
    )  # fmt: skip
    journals = Tail(Path(up.document["run_dir"]) / "journal")
    pairs = []
    while journals.read()[1]:
        pass  # What was there before is no upload of these turns.
    for _ in range(args.turns + 1):
        plain(runner, up, port, workload)
        without = uploads_per_s(journals)
        accounted(up, port, workload)
        pairs.append((without, uploads_per_s(journals)))
        print(f"{size}: plain {without:,.1f}, with ledger {pairs[-1][1]:,.1f} a second", file=sys.stderr, flush=True)
    return pairs[1:]  # The first pair warms up.


def plain(runner: asyncio.Runner, up: Up, port: int, workload: Workload) -> None:
    """A turn without any account."""

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
    """A turn of `mocknode load`, its ledger looked at."""
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
        # A generator that is short of processor time fails its audit; its ledger is whole all the same.
        if done.returncode not in (HELD, FAILED_AUDIT):
            raise SystemExit(f"mocknode load ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        ledger = json.loads(Path(directory, "report").read_text())["ledger"]
    if not ledger["attempts"] == ledger["delivered_once"] > 0:
        raise SystemExit(f"the ledger does not say that every upload was delivered once: {ledger}")


def uploads_per_s(journals: Tail) -> float:
    """Rate of the complete uploads that the nodes have journalled since the last look."""
    heads, ends, more = [], [], True
    while more:
        lines, more = journals.read()
        for line in lines:
            if _ends_a_push(line):
                heads.append(line["t_ns"])
                ends.append(line["ended_ns"])
    if not ends:
        raise SystemExit("no node has journalled a complete upload")
    return len(ends) / ((max(ends) - min(heads)) / 1e9)


def _ends_a_push(line: dict[str, Any]) -> bool:
    stored = line.get("package") or {}
    return line.get("phase") in ("end", "whole") and line["complete"] and stored.get("package_id") == "mocknode-load"


def table(found: dict[str, list[tuple[float, float]]], args: argparse.Namespace) -> str:
    """Ratios first, as Markdown."""
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
