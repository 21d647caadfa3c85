"""Measures the cost of the load generator itself: `python loadtests/generator_bench.py`.

Rate: uploads go through nginx in mode recommended (unbuffered) to one node that digests; generator, nginx and node share the
machine. Two senders are measured in turns, with `--streams` uploads at a time, each for `--seconds` and until its last upload ends:

    generator   locust as `mocknode load` starts it: each attempt has unique content, made and digested while it is sent, and is
                recorded; afterwards the catalogue is compared with these digests
    preset      threads that `sendfile` the same memory again and again with Content-Length: the rate when content costs nothing

The rate of a turn is its bytes between its first start and its last end, so that it does not include locust's own start. The ratio is
the median of the ratios of consecutive turns.

Memory (`--memory 100`): this number of uploads of 1 GiB at the same time by one process, each paced at `--link`; the result is its
peak resident memory after all of them have been in progress for `--hold` seconds (0: until the last one has ended).
"""

import argparse
import asyncio
import contextlib
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from alternating import script
from clients import Pattern, at_once, pattern_file, send
from stage import HOST, Front, Up, balancer, cluster, cpu_seconds

from mocknode.judge.traffic import FrontDoor
from mocknode.load.generator import Generator, Workload
from mocknode.text.units import parse_size

WANTED = 0.9
MEMORY_MAX = 300 << 20


def measure(words: Sequence[str]) -> str:
    """Measure rate or memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="512MiB", help="bytes of each upload (default 512MiB)")
    parser.add_argument("--streams", type=int, default=1, help="uploads at a time (default 1)")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a turn starts uploads (default 4)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each sender (default 5)")
    parser.add_argument(
        "--form", choices=("length", "chunked"), default="length", help="framing of the generator's uploads"
    )
    parser.add_argument("--direct", action="store_true", help="without nginx")
    parser.add_argument(
        "--memory", type=int, metavar="COUNT", help="measure memory instead, with this many uploads at once"
    )
    parser.add_argument("--link", default="2MiB", help="bytes a second of each of them (default 2MiB)")
    parser.add_argument(
        "--hold", type=float, default=20.0, help="seconds with all uploads in progress; 0: until the last one has ended"
    )
    args = parser.parse_args(words)
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        up = stack.enter_context(cluster(1))
        front = stack.enter_context(balancer("nginx", up, runner))
        port = up.ports[0] if args.direct else front.http_port
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="generator-bench-")))
        if args.memory:
            return memory(runner, up, port, work, args)
        return rate(runner, up, front, port, work, args)


def rate(runner: asyncio.Runner, up: Up, front: Front, port: int, work: Path, args: argparse.Namespace) -> str:
    """Measure both senders in turns and return the table."""
    size = parse_size(args.size)
    rates: dict[str, list[float]] = {"generator": [], "preset": []}
    cpu: dict[str, list[float]] = {"node": [], "nginx": [], "generator": []}
    with pattern_file() as pattern:
        for turn in range(args.turns + 1):
            before = {"node": sum(map(cpu_seconds, up.node_pids)), "nginx": cpu_seconds(front.pid)}
            sent, elapsed, own = generate(runner, up, port, work / str(turn), size, args)
            after = {"node": sum(map(cpu_seconds, up.node_pids)), "nginx": cpu_seconds(front.pid)}
            plain = preset(up, port, pattern, size, args, turn)
            if not turn:  # The first turns warm up.
                continue
            rates["generator"].append(sent / elapsed)
            rates["preset"].append(plain)
            for name in before:
                cpu[name].append((after[name] - before[name]) / sent * (1 << 30))
            cpu["generator"].append(own / sent * (1 << 30))
            print(f"generator {sent / elapsed / 1e9:.2f}, preset {plain / 1e9:.2f} GB/s", file=sys.stderr, flush=True)
    return table(rates, cpu, args)


def table(rates: dict[str, list[float]], cpu: dict[str, list[float]], args: argparse.Namespace) -> str:
    """Return the ratios and the table as Markdown."""
    ratios = [ours / theirs for ours, theirs in zip(rates["generator"], rates["preset"], strict=True)]
    # The generator reports its processor time once a second; a turn may be too short for a report.
    known = {name: [value for value in found if not math.isnan(value)] for name, found in cpu.items()}
    used = [f"{name} {statistics.median(found):.2f}" for name, found in known.items() if found]
    path = "directly to the node" if args.direct else "through nginx, unbuffered"
    lines = [
        f"- generator / preset: **{statistics.median(ratios):.2f}** ({min(ratios):.2f} - {max(ratios):.2f}; wanted: {WANTED:.2f} or more)",
        f"- CPU s per GiB while the generator sends: {', '.join(used)}",
        "",
        f"{args.streams} at a time of {args.size}, {args.form}, {path}; {args.turns} pairs of turns.",
        "",
        "| sender | GB/s, median | lowest - highest |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {statistics.median(found) / 1e9:.2f} | {min(found) / 1e9:.2f} - {max(found) / 1e9:.2f} |"
        for name, found in rates.items()
    ]
    return "\n".join(lines)


def generate(
    runner: asyncio.Runner, up: Up, port: int, directory: Path, size: int, args: argparse.Namespace
) -> tuple[int, float, float]:
    """Run one turn of the generator; return bytes, seconds and its processor seconds while it sent."""
    workload = Workload(
        users=args.streams, duration_s=args.seconds, sizes=f"{size}B", forms=args.form, link=0.0, seed=1
    )  # fmt: skip
    with generator(runner, up, port, directory, workload) as running:
        if not runner.run(running.ended(600)):
            raise SystemExit("the generator did not end")
        running.check()
    lines = list(records(directory / "records"))
    ends = [line for line in lines if line["t"] == "end"]
    if wrong := [line for line in ends if line["told"] != "acknowledged"]:
        raise SystemExit(f"an upload failed: {wrong[0]}")
    compare(up, {line["id"]: line["sha1"] for line in ends})
    began = min(line["at"] for line in lines if line["t"] == "start")
    over = max(line["at"] for line in ends)
    samples = [line for line in lines if line["t"] == "audit" and "cpu" in line and began < line["at"]]
    shares = [line["cpu"] for line in samples if line["at"] <= over]
    elapsed = (over - began) / 1e9
    share = statistics.mean(shares) if shares else float("nan")
    shutil.rmtree(directory)
    return sum(line["sent"] for line in ends), elapsed, share * elapsed


@contextlib.contextmanager
def generator(runner: asyncio.Runner, up: Up, port: int, directory: Path, workload: Workload) -> Iterator[Generator]:
    """Run the generator as `mocknode load` starts it."""
    (directory / "records").mkdir(parents=True)
    door = FrontDoor(scheme="http", host=HOST, port=port)

    async def start() -> Generator:
        return Generator.start(
            workload, door, directory / "records", directory / "locust.log", {"MOCKNODE_LOAD_KEY": up.key}
        )

    running = runner.run(start())
    try:
        yield running
    finally:
        runner.run(running.stop())


def records(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield every line that the generator wrote."""
    for path in directory.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            yield json.loads(line)


def compare(up: Up, sent: dict[str, str]) -> None:
    """Make sure that the catalogue has every upload with the digest that was sent."""
    stored = up.stored("mocknode-load")
    wrong = [attempt for attempt, sha1 in sent.items() if stored.get(f"1.0.0-{attempt}") != sha1]
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(sent)} uploads are not in the catalogue as they were sent: {wrong[:3]}")


def preset(up: Up, port: int, pattern: Pattern, size: int, args: argparse.Namespace, turn: int) -> float:
    """Run one turn of threads that send memory; return bytes a second."""
    sent: list[int] = []
    until = time.perf_counter() + args.seconds

    def push(stream: int) -> None:
        number = 0
        while time.perf_counter() < until:
            send(port, pattern, size, key=up.key, name=f"Preset.{turn}.{stream}.{number}.zip")
            sent.append(size)
            number += 1

    elapsed = at_once([lambda stream=stream: push(stream) for stream in range(args.streams)])
    return sum(sent) / elapsed


def memory(runner: asyncio.Runner, up: Up, port: int, work: Path, args: argparse.Namespace) -> str:
    """Measure the peak memory of one process with many paced uploads of 1 GiB in progress."""
    workload = Workload(
        users=args.memory, duration_s=1.0, sizes="1GiB", forms="chunked,length", link=parse_size(args.link), seed=1
    )  # fmt: skip
    directory = work / "memory"
    with generator(runner, up, port, directory, workload) as running:
        under_way = flowing = 0
        deadline = None
        while not runner.run(running.ended(0.5)):
            lines = list(records(directory / "records"))
            under_way = sum(line["t"] == "start" for line in lines) - sum(line["t"] == "end" for line in lines)
            flowing = max(flowing, under_way)
            if deadline is None and under_way == args.memory:
                deadline = time.monotonic() + args.hold
            if args.hold and deadline is not None and time.monotonic() >= deadline:
                break
    lines = list(records(directory / "records"))
    peak = max(line["rss"] for line in lines if line["t"] == "audit")
    ends = [line for line in lines if line["t"] == "end"]
    whole = sum(line["told"] == "acknowledged" for line in ends)
    if flowing < args.memory:
        raise SystemExit(f"only {flowing} of {args.memory} uploads were in progress at once")
    return (
        f"- memory of a generator process with {flowing} uploads of 1 GiB in progress at once, each at {args.link}/s: "
        f"**{peak / (1 << 20):.0f} MiB** (wanted: less than {MEMORY_MAX >> 20}); "
        + (f"{whole} of them were completed." if not args.hold else f"watched for {args.hold:g} s.")
    )


if __name__ == "__main__":
    script(measure)
