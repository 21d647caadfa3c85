"""A cluster with every balancer in front of the same nodes, and what the nodes themselves say of each package."""

import asyncio
import contextlib
import hashlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from mocknode.judge import balancers
from mocknode.mock.cluster import certificates, ports
from mocknode.mock.cluster.client import ControlClient
from mocknode.mock.cluster.running_cluster import Cluster
from mocknode.mock.cluster.settings import ClusterSettings, numbered_nodes

HOST = "127.0.0.1"
LIMIT_S = 30.0
DIRECT = "no balancer"


@dataclass(slots=True)
class Stage:
    """The running cluster and its front doors.

    Attributes:
        fronts: URL of each front door by name; `DIRECT` is node-1 itself.
    """

    directory: Path
    control: ControlClient
    api_key: str
    fronts: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def packages(self, prefix: str, count: int, size: int = 4096) -> list[Path]:
        """Files with names and bytes of their own."""
        self.made += 1
        folder = self.directory / "packages" / str(self.made)
        folder.mkdir(parents=True)
        files = [folder / f"{prefix}.{self.made}.{number}.0.zip" for number in range(count)]
        for file in files:
            file.write_bytes(os.urandom(size))
        return files

    async def node_urls(self) -> dict[str, str]:
        """Return the URLs of the nodes that answer."""
        return {node["name"]: node["http"] for node in await self.control.nodes() if node["alive"]}

    async def catalogue(self) -> list[tuple[str, str]]:
        """Id and digest of every package, the same at every node that answers."""
        seen = []
        async with httpx.AsyncClient(trust_env=False, headers={"X-Octopus-ApiKey": self.api_key}) as client:
            for url in (await self.node_urls()).values():
                page = (await client.get(f"{url}/api/Spaces-1/packages?take=2147483647")).raise_for_status().json()
                assert page["TotalResults"] == len(page["Items"])
                seen.append(sorted((item["Id"], item["Hash"]) for item in page["Items"]))
        assert all(other == seen[0] for other in seen), "nodes list different packages"
        return seen[0]

    async def requests(self, phase: str) -> list[dict[str, Any]]:
        """The nodes' journal lines of requests in this phase."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        more = True
        while more:
            page = await self.control.journal(cursor, kind="request", limit=5000)
            found += [record for record in page.records if record["phase"] == phase]
            cursor, more = page.cursor, page.more
        return found

    async def deliveries(self) -> Counter[str]:
        """Count by digest how often a package's body arrived complete at a node."""
        return Counter(record["sha1"] for record in await self.requests("body") if record.get("sha1"))

    async def visit(self, front: str) -> None:
        """Somebody else's request."""
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient(trust_env=False, timeout=LIMIT_S) as client:
                await client.get(f"{self.fronts[front]}/api")

    async def in_service(self, front: str, nodes: Iterable[str]) -> None:
        """Return when just these nodes answer through a front door, twenty requests at once."""
        wanted, deadline = sorted(nodes), time.monotonic() + LIMIT_S
        answered: Counter[str] = Counter()
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=5.0) as client:
            while sorted(answered) != wanted:
                assert time.monotonic() < deadline, f"{front}: {answered}, wanted {wanted}"
                await asyncio.sleep(0.01)
                answered = Counter(await asyncio.gather(*(_who(client, self.fronts[front]) for _ in range(20))))

    async def reset(self, fronts: Sequence[str]) -> None:
        """All nodes online, and known to be by these front doors."""
        await self.control.reset()
        for front in fronts:
            await self.in_service(front, self.behind(front))

    def behind(self, front: str) -> tuple[str, ...]:
        """Names of the nodes behind a front door."""
        return ("node-1",) if front == DIRECT else ("node-1", "node-2", "node-3")


async def _who(client: httpx.AsyncClient, url: str) -> str:
    """Return the node that answers, or the reason why none does."""
    try:
        answer = await client.get(f"{url}/api")
    except httpx.TransportError as exc:
        return type(exc).__name__
    return str(answer.headers.get("octopus-node", f"none, {answer.status_code}"))


def digest(file: Path) -> str:
    """Return the digest of a file as the catalogue holds it."""
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


def catalogue_id(file: Path) -> str:
    """Return the id of a package as the catalogue holds it."""
    return f"packages-{file.name.removesuffix('.zip')}"


@contextlib.asynccontextmanager
async def staged(directory: Path, kinds: Sequence[str], **settings_of: Any) -> AsyncIterator[Stage]:
    """Three nodes, and a balancer of each of these kinds in mode recommended in front of them; `settings_of` the cluster."""
    (directory / "run").mkdir(parents=True)
    settings = ClusterSettings(
        nodes=numbered_nodes(3, host=HOST, http_port=0, https_port=None), run_dir=directory / "run",
        identity_dir=directory / "identity", **settings_of,
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(settings))
        control = await stack.enter_async_context(ControlClient(cluster.control_url))
        documents: list[dict[str, Any]] = cluster.document()["nodes"]
        stage = Stage(directory, control, cluster.api_key, {DIRECT: documents[0]["http"]})
        nodes = [
            balancers.Node(name=node["name"], host=HOST, port=urlsplit(node["http"]).port or 0) for node in documents
        ]
        for running in await asyncio.gather(*(_start(directory, kind, nodes) for kind in kinds)):
            stack.push_async_callback(running.stop)
            stage.fronts[running.kind] = running.url
        await stage.reset(list(stage.fronts))
        yield stage


async def _start(directory: Path, kind: str, nodes: list[balancers.Node]) -> balancers.Running:
    http, https = ports.free(kind, HOST, ["HTTP front", "HTTPS front"])
    leaf = await asyncio.to_thread(certificates.issue, directory / "identity", directory / f"{kind}-tls", ["localhost"])
    front = balancers.Front(host=HOST, http_port=http, https_port=https, certificate=leaf.certificate, key=leaf.key)
    binary = await asyncio.to_thread(balancers.find, kind)
    files = balancers.render(kind, "recommended", front, nodes, directory / kind, version=binary.version)
    return await balancers.start(
        binary, files, front, directory / kind, nodes=nodes, mode="recommended",
        health_probes_expected=balancers.probes(kind, "recommended"),
    )  # fmt: skip
