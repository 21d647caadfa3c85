"""Measures how many small packages a cluster takes, catalogue and journal included: `python loadtests/push_bench.py`.

Method: a cluster as `mocknode up` starts it, three nodes and one SQLite catalogue. One client process on uvloop has 50 connections
spread over the nodes; each sends its next package when it has its answer. It sends 2,000 packages of 64 KiB, each with its own
bytes, name and digest, made before the clock starts. A run counts only if every answer was 201 and the catalogue, read through
the API, then holds every package once with the digest that was sent. Clients and nodes share the machine's cores; the `CPU us`
columns show how much each of them used.
"""

import argparse
import contextlib
import hashlib
import os
import time
from collections.abc import Sequence

from alternating import Figures, alternate, script, subject, table
from clients import ask_all, small_upload
from stage import Up, cluster, cpu_seconds

from mocknode.text.units import parse_size


def measure(words: Sequence[str]) -> str:
    """Push the packages and return the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--size", default="64KiB", help="bytes of each package (default 64KiB)")
    parser.add_argument(
        "--runs", type=int, default=5, help="times all packages are pushed, with other names (default 5)"
    )
    args = parser.parse_args(words)
    size = parse_size(args.size)
    with contextlib.ExitStack() as stack:
        pushes = subject(
            stack, f"{args.nodes} nodes", lambda: cluster(args.nodes),
            lambda up, run: push(up, run, args.packages, size, args.clients),
        )  # fmt: skip
        alternate([pushes], args.runs)
    return (
        f"{args.packages:,} packages of {args.size} by {args.clients} clients, median of {args.runs}; a run counts only if the "
        f"catalogue then holds each of them once with the right digest.\n\n{table([pushes], 'packages to')}"
    )


def push(up: Up, run: int, count: int, size: int, clients: int) -> Figures:
    """Push `count` packages; return packages a second and the processor time of nodes and clients.

    Raises:
        SystemExit: the catalogue of another node does not hold exactly these packages with their digests.
    """
    package_id = f"Bench.R{run}"
    packages = {f"{number}.0.0": os.urandom(size) for number in range(count)}
    requests = [small_upload(up.key, f"{package_id}.{version}", body) for version, body in packages.items()]
    nodes = up.node_pids
    used, mine = sum(map(cpu_seconds, nodes)), time.process_time()
    elapsed = ask_all(up.ports, clients, requests)
    used, mine = sum(map(cpu_seconds, nodes)) - used, time.process_time() - mine
    sent = {version: hashlib.sha1(body, usedforsecurity=False).hexdigest() for version, body in packages.items()}
    stored = up.stored(package_id)
    if stored != sent:
        right = len(set(stored.items()) & set(sent.items()))
        raise SystemExit(f"the catalogue has {len(stored)} packages, {right} of the {len(sent)} sent")
    return {
        "packages/s": count / elapsed,
        "CPU us of nodes": used / count * 1e6,
        "CPU us of clients": mine / count * 1e6,
    }


if __name__ == "__main__":
    script(measure)
