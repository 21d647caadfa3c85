"""How many small packages a cluster takes, catalogue and journal on: `python loadtests/push_bench.py`.

Method. A cluster as `mocknode up` starts it, three nodes and one SQLite catalogue; one client process on uvloop, 50 connections
spread over the nodes, each sends its next package when it has its answer: 2,000 packages of 64 KiB, each with bytes, name and
digest of its own, made before the clock starts. A run counts only if every answer was 201 and the catalogue, read through
the API, then holds every package once with the digest that was sent. Clients and nodes share the machine's cores: `CPU us`
says where they went.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from stage import cluster, cpu_seconds

from mocknode.units import parse_size

BOUNDARY = b"------------------------d74496d66958873e"
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Client(asyncio.Protocol):
    """One connection that pushes what is left, one package after another."""

    def __init__(self, packages: Iterator[bytes], over: "asyncio.Future[None]") -> None:
        self._packages, self._over = packages, over
        self._got = bytearray()

    def connection_made(self, transport: Any) -> None:
        """Keep the connection."""
        self.transport = transport

    def push(self) -> None:
        """Send the next package, if there is one."""
        request = next(self._packages, None)
        if request is None:
            self._over.set_result(None)
        else:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer, maybe in pieces."""
        self._got += data
        head = self._got.find(b"\r\n\r\n") + 4
        match = LENGTH.search(self._got)
        if head < 4 or match is None or len(self._got) < head + int(match[1]):
            return
        if not self._got.startswith(b"HTTP/1.1 201 "):
            self._over.set_exception(SystemExit(f"a push was not stored: {bytes(self._got[:300])!r}"))
            return
        self._got.clear()
        self.push()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--size", default="64KiB", help="bytes of each package (default 64KiB)")
    parser.add_argument(
        "--runs", type=int, default=5, help="times all packages are pushed, with other names (default 5)"
    )
    args = parser.parse_args()
    size = parse_size(args.size)
    with cluster(args.nodes) as running:
        up, nodes = running.document, running.node_pids
        rates, costs, own = [], [], []
        for run in range(args.runs + 1):
            packages = {f"Bench.R{run}.{number}.0.0": os.urandom(size) for number in range(args.packages)}
            used, mine = sum(map(cpu_seconds, nodes)), time.process_time()
            elapsed = push(up, packages, args.clients)
            used, mine = sum(map(cpu_seconds, nodes)) - used, time.process_time() - mine
            check(up, packages, f"Bench.R{run}")
            if run:  # The first run warms up.
                rates.append(args.packages / elapsed)
                costs.append(used / args.packages)
                own.append(mine / args.packages)
                print(f"{rates[-1]:,.0f} a second", file=sys.stderr, flush=True)
    print(
        f"{args.packages:,} packages of {args.size} by {args.clients} clients through {args.nodes} nodes, median of {args.runs}: "
        f"**{statistics.median(rates):,.0f}** a second ({min(rates):,.0f} - {max(rates):,.0f}), all in the catalogue, once, with "
        f"the right digest. CPU us a package: nodes {statistics.median(costs) * 1e6:.0f}, clients {statistics.median(own) * 1e6:.0f}."
    )


def push(up: dict[str, Any], packages: dict[str, bytes], clients: int) -> float:
    """Push all; seconds from the first byte to the last answer."""
    import uvloop

    requests = iter([request(up["api_key"], name, body) for name, body in packages.items()])

    async def go() -> float:
        loop = asyncio.get_running_loop()
        ends = [loop.create_future() for _ in range(clients)]
        addresses = [node["http"].removeprefix("http://").split(":") for node in up["nodes"]]
        pushing = []
        for number, end in enumerate(ends):
            host, port = addresses[number % len(addresses)]
            pushing.append((await loop.create_connection(lambda end=end: Client(requests, end), host, int(port)))[1])
        started = time.perf_counter()
        for client in pushing:
            client.push()
        await asyncio.gather(*ends)
        elapsed = time.perf_counter() - started
        for client in pushing:
            client.transport.abort()
        return elapsed

    return uvloop.run(go())


def request(key: str, name: str, body: bytes) -> bytes:
    """A whole upload, as curl sends it."""
    part = b'--%b\r\nContent-Disposition: form-data; name="data"; filename="%b.zip"\r\n' % (BOUNDARY, name.encode())
    whole = part + b"Content-Type: application/octet-stream\r\n\r\n" + body + b"\r\n--" + BOUNDARY + b"--\r\n"
    head = (
        f"POST /api/Spaces-1/packages/raw HTTP/1.1\r\nHost: bench\r\nX-Octopus-ApiKey: {key}\r\nContent-Length: {len(whole)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n\r\n"
    )
    return head.encode() + whole


def check(up: dict[str, Any], packages: dict[str, bytes], package_id: str) -> None:
    """The catalogue has exactly these, with their digests, as another node tells it."""
    url = f"{up['nodes'][-1]['http']}/api/Spaces-1/packages?nuGetPackageId={package_id}&take=2147483647"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"X-Octopus-ApiKey": up["api_key"]})) as answer:
        items = json.load(answer)["Items"]
    stored = sorted((f"{item['PackageId']}.{item['Version']}", item["Hash"]) for item in items)
    sent = sorted((name, hashlib.sha1(body, usedforsecurity=False).hexdigest()) for name, body in packages.items())
    if stored != sent:
        raise SystemExit(
            f"the catalogue has {len(stored)} packages, {len(set(stored) & set(sent))} of the {len(sent)} sent"
        )


if __name__ == "__main__":
    main()
