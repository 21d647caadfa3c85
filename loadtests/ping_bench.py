"""What a ping costs a node, beside a Starlette route that answers the same JSON: `python loadtests/ping_bench.py`.

Method. One client for all: one process on uvloop, `--connections` kept-alive connections, each sends its next request when its
answer is whole. The servers take turns, so that a drifting machine hurts all alike; the median of `--rounds` counts. Every
server is a process of its own. Absolute figures belong to the machine; compare the ratios of one run only, on a machine with
two idle cores. `CPU us` is what the server's process used for one request, which a busy client does not change.

    node         `GET /api/octopusservernodes/ping` of a mocknode node, its journal on: a line a ping
    Starlette    one route that returns a JSONResponse of that document, on uvicorn as installed (httptools, uvloop)
    ASGI         the same bytes from a plain callable on uvicorn: what uvicorn itself costs
"""

import argparse
import asyncio
import contextlib
import json
import re
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stage import cpu_seconds, process
from upload_bench import node

PING = "/api/octopusservernodes/ping"
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
DOCUMENT = {
    "Id": "OctopusServerNodes-bench", "Name": "bench", "LastSeen": "2026-01-01T00:00:00.000+00:00", "IsOffline": False,
    "MaxConcurrentTasks": 5, "IsInMaintenanceMode": False, "Version": "2026.2.1",
    "Links": {"Self": PING, "Node": "/api/octopusservernodes/OctopusServerNodes-bench"},
}  # fmt: skip


@dataclass
class Subject:
    """A server and what it did: requests a second, and processor seconds a request."""

    name: str
    port: int
    pid: int
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median rate."""
        return statistics.median(self.rates)

    @property
    def cost(self) -> float:
        """Median cost."""
        return statistics.median(self.costs)


class Client(asyncio.Protocol):
    """One connection that asks again when it has its answer."""

    def __init__(self) -> None:
        self.answers = 0
        self._request = f"GET {PING} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self._whole = self._got = 0

    def connection_made(self, transport: Any) -> None:
        """Ask."""
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count; the answers of a turn have all the length of the first."""
        if not self._whole:
            match = LENGTH.search(data)
            if not data.startswith(b"HTTP/1.1 200 ") or match is None:
                raise SystemExit(f"no ping: {data[:200]!r}")
            self._whole = data.index(b"\r\n\r\n") + 4 + int(match[1])
        self._got += len(data)
        if self._got == self._whole:
            self._got = 0
            self.answers += 1
            self.transport.write(self._request)


def main() -> None:
    """Start all, ask in turns, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=16, help="connections that ask at once (default 16)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one turn (default 3)")
    parser.add_argument("--serve", choices=("starlette", "asgi"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve)
    else:
        run(args.connections, args.rounds, args.seconds)


def run(connections: int, rounds: int, seconds: float) -> None:
    """Measure and print the table."""
    import uvloop

    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(
            node(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ping-bench-"))))
        )
        subjects = [
            Subject("node", receiver.port, receiver.pid),
            stack.enter_context(script("Starlette", "starlette")),
            stack.enter_context(script("ASGI", "asgi")),
        ]
        for round_ in range(-1, rounds):
            for subject in subjects:
                used = cpu_seconds(subject.pid)
                answers = uvloop.run(ask(subject.port, connections, seconds))
                used = cpu_seconds(subject.pid) - used
                if round_ >= 0:  # The first turn warms up.
                    subject.rates.append(answers / seconds)
                    subject.costs.append(used / answers)
                    print(f"{subject.name}: {answers / seconds:,.0f} a second", file=sys.stderr, flush=True)
        print(table(subjects, connections, rounds, seconds))


async def ask(port: int, connections: int, seconds: float) -> int:
    """Answers within that time."""
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(connections)]
    before = sum(client.answers for client in clients)
    await asyncio.sleep(seconds)
    answers = sum(client.answers for client in clients) - before
    for client in clients:
        client.transport.abort()
    return answers


def table(subjects: list[Subject], connections: int, rounds: int, seconds: float) -> str:
    """Ratios first, as Markdown."""
    node_, starlette = subjects[0], subjects[1]
    lines = [
        f"{connections} connections, median of {rounds} turns of {seconds:g} s each.",
        "",
        f"- a Starlette JSON route costs **{starlette.cost / node_.cost:.2f}** pings of processor time (wanted: 2 or more)",
        f"- pings a second, journal on: **{node_.rate:,.0f}**; of the Starlette route: {starlette.rate:,.0f} "
        f"(ratio **{node_.rate / starlette.rate:.2f}**, wanted: 18,000 / 10,300 = 1.75 or more)",
        "",
        "| server | requests/s, median | lowest - highest | CPU us |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {s.name} | {s.rate:,.0f} | {min(s.rates):,.0f} - {max(s.rates):,.0f} | {s.cost * 1e6:.1f} |"
        for s in subjects
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def script(name: str, app: str) -> Iterator[Subject]:
    """This file, serving; it prints its port."""
    with process([sys.executable, __file__, "--serve", app]) as started:
        assert started.stdout is not None
        yield Subject(name, int(started.stdout.readline()), started.pid)


def serve(which: str) -> None:
    """uvicorn as people start it, without its access log."""
    import uvicorn

    app = starlette_app() if which == "starlette" else plain_app
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            app, loop="uvloop", http="httptools", lifespan="off", log_level="warning", access_log=False
        )
        uvicorn.Server(config).run(sockets=[listener])


def starlette_app() -> Any:
    """One route."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def ping(_request: Request) -> JSONResponse:
        return JSONResponse(DOCUMENT)

    return Starlette(routes=[Route(PING, ping)])


BODY = json.dumps(DOCUMENT).encode()


async def plain_app(_scope: Any, _receive: Any, send: Any) -> None:
    """The same bytes."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    main()
