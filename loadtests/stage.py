"""Processes that benchmarks start and measure: a cluster of nodes and a balancer in front of it; all end with their block."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from alternating import NotInstalledError

HOST = "127.0.0.1"
EXIT_TIMEOUT_S = 20.0


@contextlib.contextmanager
def process(arguments: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process until the block ends."""
    started = subprocess.Popen(arguments, stdout=subprocess.PIPE, **options)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def family(pid: int) -> list[int]:
    """Return the ids of a process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def command(pid: int) -> bytes:
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its children have used."""
    fields = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in family(pid)]
    return sum(int(values[11]) + int(values[12]) for values in fields) / os.sysconf("SC_CLK_TCK")


def peak_rss(pid: int) -> int:
    """Return the peak resident memory of a process and its children, in bytes."""
    total = 0
    for one in family(pid):
        status = Path(f"/proc/{one}/status").read_text()
        total += int(status.split("VmHWM:")[1].split()[0]) * 1024
    return total


def rss(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Up:
    """A running cluster: the document of `mocknode up --json`, its process, and those of its nodes."""

    document: dict[str, Any]
    pid: int
    identity: Path

    @property
    def key(self) -> str:
        """The API key."""
        return str(self.document["api_key"])

    @property
    def ports(self) -> list[int]:
        """HTTP ports of the nodes."""
        return [urlsplit(node["http"]).port or 0 for node in self.document["nodes"]]

    @property
    def https_ports(self) -> list[int]:
        """HTTPS ports of the nodes, if they have any."""
        return [urlsplit(node["https"]).port or 0 for node in self.document["nodes"] if node["https"]]

    @property
    def ca(self) -> Path:
        """Certificate of the cluster's authority."""
        return self.identity / "ca.pem"

    @property
    def node_pids(self) -> list[int]:
        """Process ids of the nodes."""
        return [pid for pid in family(self.pid) if pid != self.pid and command(pid).startswith(b"mocknode.mock.node ")]

    def stored(self, package_id: str) -> dict[str, str]:
        """Return the SHA-1 of every version of a package, asked from the last node.

        Raises:
            SystemExit: the catalogue has a version twice.
        """
        url = f"{self.document['nodes'][-1]['http']}/api/Spaces-1/packages?nuGetPackageId={package_id}&take=2147483647"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"X-Octopus-ApiKey": self.key})) as answer:
            items = json.load(answer)["Items"]
        found = {item["Version"]: item["Hash"] for item in items}
        if len(found) < len(items):
            raise SystemExit(f"the catalogue has {len(items) - len(found)} versions of {package_id} more than once")
        return found


@contextlib.contextmanager
def cluster(nodes: int, *options: str) -> Iterator[Up]:
    """Run `mocknode up` on free ports in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="mocknode-bench-") as directory:
        identity = Path(directory) / "identity"
        arguments = ["up", "--json", "--with-parent", "--nodes", str(nodes), "--http-port", "0", "--control-port", "0"]
        arguments += ["--run-dir", f"{directory}/run", "--identity-dir", str(identity), *options]
        started = subprocess.Popen([sys.executable, "-m", "mocknode", *arguments], stdout=subprocess.PIPE)
        try:
            assert started.stdout is not None
            yield Up(json.loads(started.stdout.readline()), started.pid, identity)
        finally:
            started.send_signal(signal.SIGINT)
            started.wait(EXIT_TIMEOUT_S)


@dataclass(frozen=True)
class Front:
    """A running balancer."""

    kind: str
    version: str
    pid: int
    http_port: int
    https_port: int


@contextlib.contextmanager
def balancer(kind: str, up: Up, runner: asyncio.Runner) -> Iterator[Front]:
    """Run a balancer in mode recommended in front of all nodes, with HTTP and HTTPS; the cluster's authority issues its certificate."""
    from mocknode.judge import balancers
    from mocknode.mock.cluster import certificates, ports

    with tempfile.TemporaryDirectory(prefix=f"mocknode-bench-{kind}-") as name:
        directory = Path(name)
        try:
            binary = balancers.find(kind)
        except balancers.BalancerNotFoundError as exc:
            raise NotInstalledError(str(exc)) from exc
        http, https = ports.free(kind, HOST, ["HTTP", "HTTPS"])
        leaf = certificates.issue(up.identity, directory, [HOST])
        front = balancers.Front(host=HOST, http_port=http, https_port=https, certificate=leaf.certificate, key=leaf.key)
        behind = [
            balancers.Node(name=node["name"], host=HOST, port=port)
            for node, port in zip(up.document["nodes"], up.ports, strict=True)
        ]
        files = balancers.render(kind, "recommended", front, behind, directory / kind, version=binary.version)
        running = runner.run(
            balancers.start(binary, files, front, directory / kind, nodes=behind, health_probes_expected=False)
        )
        try:
            runner.run(_serving(front.http_port))
            yield Front(kind, binary.version, running.pid, http, https)
        finally:
            runner.run(running.stop())


async def _serving(port: int, limit_s: float = 30.0) -> None:
    """Wait until the balancer has found a healthy node: five pings in a row succeed."""
    import httpx

    good = 0
    async with asyncio.timeout(limit_s), httpx.AsyncClient(trust_env=False) as client:
        while good < 5:
            answer = await client.get(f"http://{HOST}:{port}/api/octopusservernodes/ping")
            good = good + 1 if answer.status_code == 200 else 0
            if not good:
                await asyncio.sleep(0.1)
