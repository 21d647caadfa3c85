"""Compares a node with other mock servers on the same work: `python loadtests/peers_bench.py`.

Method: a node, pytest-httpserver, httpbin and mountebank, each in its own process (with children), started as their documentation
says. Servers that are not installed are installed into a temporary directory, which needs their registries. In turns they take one
large upload; many uploads of 64 KiB, where each client sends its next one when it has its answer; and pings, a GET of a small JSON
document. All get the same bytes, multipart/form-data as curl sends it. Connections are reused where the server keeps them open. Only
the node digests and stores.

    node               `POST /api/packages/raw`; the ping of a node
    pytest-httpserver  a handler each for upload and ping
    httpbin            `/post`, which answers with what it was sent; `/get`; gunicorn, one worker of 8 threads
    mountebank         one imposter of kind `http`, a stub each
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import servers
from alternating import Figures, NotInstalledError, Subject, alternate, begin, median, ratios, script, table
from clients import STORED, WARM_UP_BYTES, Form, Pattern, ask_all, pattern_file, small_upload
from ping_bench import DOCUMENT, PING, ask
from servers import Receiver, free_port, listening
from stage import HOST, peak_rss, process

from mocknode.text.units import format_size, parse_size

INSTALL_TIMEOUT_S = 180.0
UPLOAD = "/upload"

HTTPSERVER_SOURCE = f"""
import json, threading
from pytest_httpserver import HTTPServer
server = HTTPServer(host="{HOST}", port=0)
server.expect_request("{UPLOAD}", method="POST").respond_with_data("stored", status=201)
server.expect_request("{PING}").respond_with_json(json.loads({json.dumps(DOCUMENT)!r}))
server.start()
print(server.port, flush=True)
threading.Event().wait()
"""


@dataclass(frozen=True)
class Peer:
    """A running mock server and its paths."""

    receiver: Receiver
    version: str
    upload: str
    ping: str


def measure(words: Sequence[str]) -> str:
    """Install missing servers, measure all in turns, and return a table for each kind of work."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="256MiB", help="bytes of the large upload (default 256MiB)")
    parser.add_argument("--uploads", type=int, default=1000, help="small uploads a turn (default 1000)")
    parser.add_argument("--clients", type=int, default=8, help="clients of small uploads and pings (default 8)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn of pings (default 2)")
    parser.add_argument("--runs", type=int, default=3, help="turns of each (default 3)")
    args = parser.parse_args(words)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-bench-")))
        pattern = stack.enter_context(pattern_file())
        starts: dict[str, Callable[[], AbstractContextManager[Peer]]] = {
            "node": lambda: node(work / "node"),
            "pytest-httpserver": lambda: httpserver(work),
            "httpbin": lambda: httpbin(work),
            "mountebank": lambda: mountebank(work),
        }
        peers = {name: begin(stack, start) for name, start in starts.items()}
        large = [_row(name, peer, _large(pattern, parse_size(args.size))) for name, peer in peers.items()]
        small = [_row(name, peer, _small(args.uploads, args.clients)) for name, peer in peers.items()]
        pings = [_row(name, peer, _pings(args.clients, args.seconds)) for name, peer in peers.items()]
        for rows in (large, small, pings):
            alternate(rows, args.runs)
    return "\n".join(
        [
            _ratios("one large upload", large),
            _ratios("small uploads", small),
            _ratios("pings", pings),
            "",
            f"One upload of {format_size(parse_size(args.size))}, median of {args.runs}; only the node digests and stores:",
            "",
            table(large, "server", large[0]),
            "",
            f"{args.uploads:,} uploads of 64 KiB by {args.clients} clients:",
            "",
            table(small, "server", small[0]),
            "",
            f"GET of a small JSON document, {args.clients} clients, turns of {args.seconds:g} s:",
            "",
            table(pings, "server", pings[0]),
        ]
    )


def _row(name: str, peer: Peer | str, turn: Callable[[Peer, int], Figures]) -> Subject:
    if isinstance(peer, str):
        return Subject(name, None, failure=peer)
    return Subject(f"{name} {peer.version}".strip(), lambda number: turn(peer, number))


def _large(pattern: Pattern, size: int) -> Callable[[Peer, int], Figures]:
    def turn(peer: Peer, number: int) -> Figures:
        form = Form(path=peer.upload)
        found = peer.receiver.upload(pattern, size if number else WARM_UP_BYTES, f"large.{number}", form)
        return {**found, "peak memory, MiB": peak_rss(peer.receiver.pid) / (1 << 20)}

    return turn


def _small(count: int, clients: int) -> Callable[[Peer, int], Figures]:
    def turn(peer: Peer, number: int) -> Figures:
        names = [f"Small.R{number}.{upload}.0.0" for upload in range(count)]
        requests = [small_upload(peer.receiver.key, name, os.urandom(64 << 10), peer.upload) for name in names]
        return {"uploads/s": count / ask_all([peer.receiver.port], clients, requests)}

    return turn


def _pings(clients: int, seconds: float) -> Callable[[Peer, int], Figures]:
    def turn(peer: Peer, _number: int) -> Figures:
        return ask(peer.receiver, f"GET {peer.ping} HTTP/1.1\r\nHost: bench\r\n\r\n".encode(), clients, seconds)

    return turn


def _ratios(what: str, rows: list[Subject]) -> str:
    node, *others = rows
    return ratios(f"{what}, rate of the node / of the other", {row.name: median(node, row) for row in others}, digits=1)


@contextlib.contextmanager
def node(work: Path) -> Iterator[Peer]:
    """Run a mock node."""
    with servers.node(work) as receiver:
        yield Peer(receiver, "", STORED, PING)


@contextlib.contextmanager
def httpserver(work: Path) -> Iterator[Peer]:
    """Run pytest-httpserver."""
    python = _python_with("pytest_httpserver", "pytest-httpserver", work)
    with process([python, "-c", HTTPSERVER_SOURCE], stderr=subprocess.DEVNULL) as started:
        assert started.stdout is not None
        receiver = Receiver("pytest-httpserver", int(started.stdout.readline() or 0), started.pid)
        if not receiver.port:
            raise SystemExit("it did not start")
        yield Peer(receiver, _version(python, "pytest-httpserver"), UPLOAD, PING)


@contextlib.contextmanager
def httpbin(work: Path) -> Iterator[Peer]:
    """Run httpbin on gunicorn."""
    python, port = _python_with("httpbin", "httpbin[mainapp]", work), free_port()
    arguments = [python, "-m", "gunicorn", "--threads", "8", "--timeout", "600", "-b", f"{HOST}:{port}", "httpbin:app"]
    # gunicorn keeps a control socket in the home directory.
    with process(arguments, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(work)}) as started:
        listening(port, started, "httpbin")
        yield Peer(Receiver("httpbin", port, started.pid), _version(python, "httpbin"), "/post", "/get")


@contextlib.contextmanager
def mountebank(work: Path) -> Iterator[Peer]:
    """Run mountebank with one imposter."""
    program, version = _mb(work)
    control, port = free_port(), free_port()
    ping = {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(DOCUMENT)}
    stubs = [
        {"predicates": [{"equals": {"method": "GET", "path": PING}}], "responses": [{"is": ping}]},
        {"predicates": [{"equals": {"method": "POST", "path": UPLOAD}}], "responses": [{"is": {"statusCode": 201}}]},
    ]
    (work / "imposters.json").write_text(
        json.dumps({"imposters": [{"port": port, "protocol": "http", "stubs": stubs}]})
    )
    arguments = [*program, "--port", str(control), "--localOnly", "--nologfile", "--loglevel", "error"]
    arguments += ["--pidfile", str(work / "mb.pid"), "--configfile", str(work / "imposters.json")]
    with process(arguments, cwd=work, stderr=subprocess.DEVNULL) as started:
        listening(port, started, "mountebank")
        yield Peer(Receiver("mountebank", port, started.pid), version, UPLOAD, PING)


def _python_with(module: str, requirement: str, work: Path) -> str:
    """Return a Python that has this module: this one, or a new environment with the module."""
    if importlib.util.find_spec(module) is not None:
        return sys.executable
    place = work / module
    _install([sys.executable, "-m", "venv", str(place)], requirement)
    python = str(place / "bin" / "python")
    _install([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement], requirement)
    return python


def _version(python: str, distribution: str) -> str:
    source = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    return subprocess.run(
        [python, "-c", source, distribution], capture_output=True, text=True, check=True
    ).stdout.strip()


def _mb(work: Path) -> tuple[list[str], str]:
    """Return mountebank's command and version, from PATH or installed by npm."""
    if found := shutil.which("mb"):
        done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, cwd=work)
        return [found], done.stdout.strip()
    npm, node_js = shutil.which("npm"), shutil.which("node")
    if npm is None or node_js is None:
        raise NotInstalledError("no `mb`, and no `npm` and `node` on PATH to install it")
    _install([npm, "install", "--prefix", str(work / "npm"), "--no-audit", "--no-fund", "mountebank"], "mountebank")
    package = work / "npm" / "node_modules" / "mountebank"
    version = str(json.loads((package / "package.json").read_text())["version"])
    return [node_js, str(package / "bin" / "mb")], version


def _install(arguments: list[str], name: str) -> None:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"{name}: installing took more than {INSTALL_TIMEOUT_S:g} s") from None
    if done.returncode:
        raise NotInstalledError(f"{name}: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")


if __name__ == "__main__":
    script(measure)
