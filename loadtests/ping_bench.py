"""Measures the cost of a ping at a node, compared with a Starlette route for the same JSON: `python loadtests/ping_bench.py`.

Method: one client for all servers, a process on uvloop with `--connections` kept-alive connections, each of which sends its next
request when its answer is complete. The servers are measured in turns, so that a machine whose speed drifts affects all of them
alike; the median of `--rounds` counts. Every server is a process of its own. Absolute figures depend on the machine: compare ratios
of one run, on a machine with two idle cores. `CPU us` is the server's processor time for one request, which a busy client does not
change.

    node         `GET /api/octopusservernodes/ping` of a mocknode node, with one journal line for each ping
    Starlette    one route that returns a JSONResponse of that document, on uvicorn as installed (httptools, uvloop)
    ASGI         the same bytes from a plain callable on uvicorn: what uvicorn itself costs
"""

import argparse
import contextlib
import json
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import servers
from alternating import Figures, Subject, alternate, ratio, script, subject, table
from clients import ask_for
from servers import Receiver
from stage import cpu_seconds, process

PING = "/api/octopusservernodes/ping"
REQUEST = f"GET {PING} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
DOCUMENT = {
    "Id": "OctopusServerNodes-bench", "Name": "bench", "LastSeen": "2026-01-01T00:00:00.000+00:00", "IsOffline": False,
    "MaxConcurrentTasks": 5, "IsInMaintenanceMode": False, "Version": "2026.2.1",
    "Links": {"Self": PING, "Node": "/api/octopusservernodes/OctopusServerNodes-bench"},
}  # fmt: skip


def measure(words: Sequence[str]) -> str:
    """Start all servers, measure them in turns, and return the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=16, help="connections that ask at once (default 16)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one turn (default 3)")
    args = parser.parse_args(words)

    def turn(receiver: Receiver, _number: int) -> Figures:
        return ask(receiver, REQUEST, args.connections, args.seconds)

    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ping-bench-")))
        node = subject(stack, "node", lambda: servers.node(work), turn)
        starlette = subject(stack, "Starlette", lambda: serving("Starlette", "starlette"), turn)
        asgi = subject(stack, "ASGI", lambda: serving("ASGI", "asgi"), turn)
        alternate([node, starlette, asgi], args.rounds)
    return "\n".join(
        [
            ratio(node, starlette, "18,000 / 10,300 = 1.75 or more"),
            *costs(node, starlette),
            "",
            f"Pings a second, journal on, {args.connections} connections, median of {args.rounds} turns of {args.seconds:g} s each.",
            "",
            table([node, starlette, asgi], "server", node),
        ]
    )


def ask(receiver: Receiver, request: bytes, connections: int, seconds: float) -> Figures:
    """Return requests a second and the server's processor time for one request."""
    used = cpu_seconds(receiver.pid)
    answers = ask_for([receiver.port], connections, request, seconds)
    used = cpu_seconds(receiver.pid) - used
    if not answers:
        raise SystemExit(f"no answer within {seconds:g} s")
    return {"requests/s": answers / seconds, "CPU us": used / answers * 1e6}


def costs(node: Subject, starlette: Subject) -> list[str]:
    """Return a line with the cost of a Starlette route in pings, if both were measured."""
    if node.failure or starlette.failure:
        return []
    theirs, ours = (statistics.median(one.figures["CPU us"]) for one in (starlette, node))
    # A turn may be too short for the clock of /proc.
    return (
        [f"- a Starlette JSON route costs **{theirs / ours:.2f}** pings of processor time (wanted: 2 or more)"]
        if ours
        else []
    )


@contextlib.contextmanager
def serving(name: str, app: str) -> Iterator[Receiver]:
    """Run this file as a server."""
    with process([sys.executable, __file__, "--serve", app]) as started:
        assert started.stdout is not None
        yield Receiver(name, int(started.stdout.readline()), started.pid)


def serve(which: str) -> None:
    """Run uvicorn with its usual settings, without its access log."""
    import uvicorn

    app = starlette_app() if which == "starlette" else plain_app
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            app, loop="uvloop", http="httptools", lifespan="off", log_level="warning", access_log=False
        )
        uvicorn.Server(config).run(sockets=[listener])


def starlette_app() -> Any:
    """Return an application with one route."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def ping(_request: Request) -> JSONResponse:
        return JSONResponse(DOCUMENT)

    return Starlette(routes=[Route(PING, ping)])


BODY = json.dumps(DOCUMENT).encode()


async def plain_app(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer the same bytes without a framework."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        script(measure)
