"""Where lanes come from: a cluster and a balancer that we start for each lane, or a balancer that already runs.

`OwnLanes` starts both and always ends them; `GivenLanes` connects to a control API and a URL. Both yield `Lab`s, and a check
cannot tell which.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx

from mocknode.judge import balancers
from mocknode.judge.lab.cleanup import delete_packages
from mocknode.judge.lab.lab import Lab
from mocknode.judge.lab.region import PREFIX, Standby
from mocknode.judge.record.recording import Recording
from mocknode.judge.traffic import FrontDoor
from mocknode.judge.traffic.polling_session import Place, Poller
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.outcome import Tier
from mocknode.mock.cluster import certificates, ports
from mocknode.mock.cluster.client import ControlClient
from mocknode.mock.cluster.running_cluster import Cluster
from mocknode.mock.cluster.settings import ClusterSettings, numbered_nodes
from mocknode.mock.tentacle.identity import Identity

NODES: Final = 3
HOST: Final = "127.0.0.1"
# A control API that is alive answers well within this time; one that is gone must not keep a run from ending.
CLEANUP_S_MAX: Final = 5.0
# Version of the control API that this judge understands.
CONTROL_API: Final = 1
POLLING: Final = "polling"
"""The lane whose nodes are polled by Tentacles."""
REGION: Final = "region"
"""The lane whose balancer has a second cluster behind it, the standby."""
_POLLED: Final = frozenset({POLLING, REGION})
"""Lanes in which a Tentacle of this run polls the nodes."""
POLLER: Final = "mocknode-check"
"""Name under which a check's Tentacle is registered."""


class LaneError(Exception):
    """The environment does not allow a run: exit code 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Settings that hold for every lane."""

    tier: Tier
    patience_s: float
    max_upload: int
    public_name: str
    seed: int
    say: Callable[[str], None]


class Lanes(Protocol):
    """A source of lanes."""

    nodes: tuple[str, ...]
    url: str
    shared: bool
    """Whether all lanes share one balancer, and so must run one after another."""

    def open(self, name: str) -> contextlib.AbstractAsyncContextManager[Lab]:
        """Open a lane that is ready for traffic; everything that it started has ended when the block is left."""
        ...


def read_control(document: dict[str, Any], url: str) -> None:
    """Refuse a control API of another product or version.

    Raises:
        LaneError: naming what answered.
    """
    if document.get("product") != "mocknode":
        raise LaneError(f"{url} is not the control API of a mocknode cluster; it answered {str(document)[:200]}")
    if document.get("control_api") != CONTROL_API:
        raise LaneError(
            f"{url} has version {document.get('control_api')!r} of the control API (mocknode {document.get('version')}); "
            f"this mocknode needs version {CONTROL_API}"
        )


async def _clock_offset_ns(control: ControlClient, url: str) -> int:
    """Return what to add to the nodes' monotonic times; 0 when one round trip cannot show a difference."""
    before_ns = time.monotonic_ns()
    health = await control.healthz()
    after_ns = time.monotonic_ns()
    read_control(health, url)
    theirs_ns = int(health["monotonic_ns"])
    if before_ns <= theirs_ns <= after_ns:
        return 0
    return (before_ns + after_ns) // 2 - theirs_ns


@dataclass(slots=True, kw_only=True)
class OwnLanes:
    """Lanes with a cluster and a balancer that we start for each.

    Attributes:
        template: Text of the user's `--config`, with placeholders; None for one of our own configurations.
        forwards_tentacles: Whether the balancer has an address for each node's Tentacles.
        host: Name that clients ask for, where the configuration serves by name; None for the address of the front.
        keep_only: Nodes keep packages whose file names start with this; None keeps none.
        configuration: Configuration files of the first lane's balancer.
    """

    kind: str
    mode: str
    binary: balancers.Binary
    template: str | None
    shipped_interval: bool
    run_dir: Path
    demands: Demands
    forwards_tentacles: bool = False
    host: str | None = None
    keep_only: str | None = None
    configuration: dict[str, str] = field(default_factory=dict)
    url: str = ""
    shared: bool = False
    nodes: tuple[str, ...] = tuple(f"node-{index + 1}" for index in range(NODES))

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Lab]:
        """Start cluster and balancer, and end them when the block is left, whatever happened.

        Raises:
            LaneError: something does not start; the message quotes its own error.
        """
        directory = self.run_dir / name
        directory.mkdir(parents=True)
        async with contextlib.AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(Cluster(self._settings(name, "cluster", "identity")))
            control = await stack.enter_async_context(ControlClient(cluster.control_url))
            offset_ns = await _clock_offset_ns(control, cluster.control_url)
            second = standby = None
            if name == REGION:
                # A second installation has another identity, so that its nodes have another certificate.
                second = await stack.enter_async_context(Cluster(self._settings(name, "standby", "standby-identity")))
                client = await stack.enter_async_context(ControlClient(second.control_url))
                standby = Standby.of(control, client, self.nodes, self.nodes, second.api_key)
            front, files, nodes = await self._prepare(
                cluster, second, directory, polled=self._has_tentacle_addresses(name)
            )
            try:
                running = await self._start(files, front, directory / self.kind, nodes)
            except balancers.BalancerError as exc:
                raise LaneError(self._with_hint(str(exc))) from exc
            holder = [running]
            stack.push_async_callback(lambda: holder[0].stop())
            recording = stack.enter_context(Recording(directory / "history.jsonl", offset_ns))

            async def restart(between: Callable[[], Awaitable[None]]) -> None:
                await holder[0].stop()
                await between()
                holder[0] = await self._start(files, front, directory / f"{self.kind}-again", nodes)

            self.url = self.url or running.url
            users, secure = self._front_doors(front)
            own = {node: Place(node=node, host=HOST, port=port) for node, port in front.tentacle_ports.items()}
            by_name = {
                node: Place(node=node, host=HOST, port=front.tentacle_port, sni=name)
                for node, name in front.tentacle_names.items()
                if front.tentacle_port is not None
            }
            lab = Lab(
                name=name,
                front=users,
                secure=secure,
                control=control,
                recording=recording,
                nodes=self.nodes,
                serving=self.nodes,
                api_key=cluster.api_key,
                restart=restart,
                clock_offset_ns=offset_ns,
                tentacles=own or by_name,
                tentacles_by_name=by_name if own else {},
                standby=standby,
                **_shared(self.demands),
            )
            stack.push_async_callback(_read_journals_once_more, lab)
            if self.forwards_tentacles and name in _POLLED:
                await stack.enter_async_context(_registered_tentacle(lab))
            yield lab

    def _front_doors(self, front: balancers.Front) -> tuple[FrontDoor, FrontDoor | None]:
        """Return the front door for users (HTTP if there is one), and the one for HTTPS."""
        ca = str(self.run_dir / "identity" / "ca.pem")
        doors = [
            FrontDoor(scheme=scheme, host=HOST, port=port, host_header=self.host, ca=ca)
            for scheme, port in front.schemes.items()
        ]
        return doors[0], next((door for door in doors if door.scheme == "https"), None)

    def _with_hint(self, failure: str) -> str:
        """Return why a balancer did not start, with advice where two lanes want the same port."""
        if self.template is None or "address already in use" not in failure.lower():
            return failure
        return (
            f"{failure}\nSeveral lanes run this configuration at the same time. Give every other listener, such as a statistics page, one of "
            "the ports ${FREE_PORT_1}, ${FREE_PORT_2} and so on"
        )

    def _has_tentacle_addresses(self, name: str) -> bool:
        """Whether the balancer of this lane has addresses for Tentacles. A user's file has them in every lane."""
        return self.forwards_tentacles and (self.template is not None or name in _POLLED)

    def _settings(self, name: str, run: str, identity: str) -> ClusterSettings:
        return ClusterSettings(
            nodes=numbered_nodes(
                NODES,
                host=HOST,
                http_port=0,
                https_port=None,
                tentacle_port=0 if self._has_tentacle_addresses(name) else None,
            ),
            run_dir=self.run_dir / name / run,
            identity_dir=self.run_dir / identity,
            control_port=0,
            keep_packages=self.keep_only is not None,
            keep_only=self.keep_only or "",
            seed=self.demands.seed,
        )

    async def _prepare(
        self, cluster: Cluster, second: Cluster | None, directory: Path, *, polled: bool
    ) -> tuple[balancers.Front, dict[str, str], list[balancers.Node]]:
        """Return ports, node addresses and configuration files of one lane's balancer."""
        documents = cluster.document()["nodes"]
        free = balancers.free_ports(self.template or "")
        # Our own templates use no other name.
        name_of = [self.host] if self.template is not None and self.host else []
        names = {node["name"]: balancers.polling_name(node["name"], *name_of) for node in documents}
        uses = ["HTTP front", "HTTPS front", "by name", *free, *names]
        held = dict(zip(uses, ports.free("--with", HOST, uses), strict=True))
        leaf = await asyncio.to_thread(
            certificates.issue, self.run_dir / "identity", directory, [self.demands.public_name]
        )
        front = balancers.Front(
            host=HOST,
            http_port=held["HTTP front"] if self._names("FRONT", "FRONT_PORT") else None,
            https_port=held["HTTPS front"] if self.secure else None,
            certificate=leaf.certificate,
            key=leaf.key,
            tentacle_ports={name: held[name] for name in names} if polled and self._dedicated else {},
            tentacle_port=held["by name"] if polled and self._by_name else None,
            tentacle_names=names,
            free_ports={name: held[name] for name in free},
        )
        nodes = _nodes_behind_balancer(documents, polled=polled)
        standby = [] if second is None else _nodes_behind_balancer(second.document()["nodes"], PREFIX, polled=polled)
        try:
            files = balancers.render(
                self.kind, self.mode, front, nodes, directory / self.kind, version=self.binary.version,
                shipped_interval=self.shipped_interval, template=self.template, standby=standby,
            )  # fmt: skip
        except balancers.BalancerConfigError as exc:
            raise LaneError(str(exc)) from exc
        self.configuration = self.configuration or files
        return front, files, nodes

    @property
    def secure(self) -> bool:
        """Whether the configuration listens for HTTPS too."""
        return self._names("FRONT_HTTPS_PORT")

    @property
    def _dedicated(self) -> bool:
        """Whether the configuration has one port for each node; a user's own may route by name alone."""
        return self._names("FRONT_TENTACLE_1", "FRONT_TENTACLE_1_PORT")

    @property
    def _by_name(self) -> bool:
        """Whether the configuration has a port where the TLS server name decides."""
        if self.template is None:
            return balancers.routes_by_name(self.kind, self.mode)
        return self._names("FRONT_TENTACLE", "FRONT_TENTACLE_PORT")

    def _names(self, *placeholders: str) -> bool:
        """Whether the configuration uses one of these placeholders; our own templates count as using all."""
        return self.template is None or not balancers.placeholders(self.template).isdisjoint(placeholders)

    async def _start(
        self, files: dict[str, str], front: balancers.Front, directory: Path, nodes: list[balancers.Node]
    ) -> balancers.Running:
        return await balancers.start(
            self.binary, files, front, directory, nodes=nodes, mode=self.mode,
            health_probes_expected=self.template is None and balancers.probes(self.kind, self.mode),
        )  # fmt: skip


def _nodes_behind_balancer(documents: list[dict[str, Any]], prefix: str = "", *, polled: bool) -> list[balancers.Node]:
    """Return the nodes as the balancer reaches them."""
    return [
        balancers.Node(
            name=prefix + node["name"],
            host=HOST,
            port=urlsplit(node["http"]).port or 0,
            tentacle=balancers.Polled(host=HOST, port=node["tentacle"]["port"]) if polled else None,
        )
        for node in documents
    ]


@dataclass(slots=True, kw_only=True)
class GivenLanes:
    """Lanes of a balancer that already runs; all of them use the same cluster and balancer."""

    front: FrontDoor
    control_url: str
    control_token: str | None
    control_ca: str | None
    run_dir: Path
    demands: Demands
    verb: str = "check"
    shared: bool = True
    nodes: tuple[str, ...] = ()
    url: str = ""
    tentacles: Mapping[str, Place] = field(default_factory=dict)
    standby_url: str | None = None

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Lab]:
        """Connect to the control API. The nodes are left as they were found: online and without faults.

        Raises:
            LaneError: another product or version, or nodes that are not healthy to begin with.
        """
        async with contextlib.AsyncExitStack() as stack:
            control = await stack.enter_async_context(
                ControlClient(self.control_url, token=self.control_token, ca=self.control_ca)
            )
            offset_ns = await _clock_offset_ns(control, self.control_url)
            # Hold it before looking at it: a second run must not take the first one's drains for somebody's mistake.
            await stack.enter_async_context(
                control.hold(f"mocknode {self.verb} --lb {self.front.url}, process {os.getpid()}")
            )
            cluster = await control.cluster()
            _refuse_busy(cluster["nodes"])
            stack.push_async_callback(_reset_quietly, control)
            self.nodes = tuple(node["name"] for node in cluster["nodes"])
            self.url = self.front.url
            standby = None if self.standby_url is None else await self._standby(stack, control, cluster, offset_ns)
            recording = stack.enter_context(Recording(self.run_dir / name / "history.jsonl", offset_ns))
            lab = Lab(
                name=name,
                front=self.front,
                secure=self.front if self.front.scheme == "https" else None,
                control=control,
                recording=recording,
                nodes=self.nodes,
                serving=self.nodes,
                api_key=cluster["api_key"],
                clock_offset_ns=offset_ns,
                tentacles={node: self.tentacles[node] for node in self.nodes if node in self.tentacles},
                standby=standby,
                **_shared(self.demands),
            )
            stack.push_async_callback(_delete_packages, lab, cluster)
            stack.push_async_callback(_read_journals_once_more, lab)
            if self.tentacles:
                _refuse_unpolled(cluster["nodes"], self.tentacles)
                await stack.enter_async_context(_registered_tentacle(lab))
            yield lab

    async def _standby(
        self, stack: contextlib.AsyncExitStack, control: ControlClient, cluster: Mapping[str, Any], offset_ns: int
    ) -> Standby:
        """Connect to the standby's control API, with the primary's token and CA."""
        url = self.standby_url or ""
        client = await stack.enter_async_context(ControlClient(url, token=self.control_token, ca=self.control_ca))
        theirs_ns = await _clock_offset_ns(client, url)
        await stack.enter_async_context(
            client.hold(f"mocknode {self.verb} --lb {self.front.url}, process {os.getpid()}")
        )
        found = await client.cluster()
        if found["nodes"][0]["http"] == cluster["nodes"][0]["http"]:
            raise LaneError(f"--standby {url} is the primary cluster itself; give the control API of the other one")
        if len(found["nodes"]) != len(self.nodes):
            raise LaneError(
                f"the standby has {len(found['nodes'])} nodes, the primary {len(self.nodes)}; each primary node needs one standby node"
            )
        _refuse_busy(found["nodes"])
        if self.tentacles and any(node["tentacle"] is None for node in found["nodes"]):
            raise LaneError(
                "the standby's nodes do not listen for Tentacles; start them with --tentacle-port, like the primary's"
            )
        stack.push_async_callback(_reset_quietly, client)
        names = [node["name"] for node in found["nodes"]]
        return Standby.of(control, client, self.nodes, names, found["api_key"], theirs_ns - offset_ns)


def _shared(demands: Demands) -> dict[str, Any]:
    return {
        "tier": demands.tier,
        "patience_s": demands.patience_s,
        "max_upload": demands.max_upload,
        "public_name": demands.public_name,
        "calibrated": asyncio.get_running_loop().create_future(),
        "say": demands.say,
    }


def _refuse_busy(nodes: list[dict[str, Any]]) -> None:
    """Refuse a cluster that is draining or has faults: somebody may be using it."""
    busy = [f"{n['name']} is {n['state']}" for n in nodes if n["state"] != "online"]
    busy += [f"{n['name']} has {len(n['faults'])} faults" for n in nodes if n["faults"]]
    if busy:
        raise LaneError(f"the nodes are not healthy: {', '.join(busy)}; `mocknode reset` puts them right")


def _refuse_unpolled(nodes: list[dict[str, Any]], given: Mapping[str, Place]) -> None:
    """Refuse addresses of nodes that do not exist or do not listen for Tentacles, and nodes without an address."""
    polled = [node["name"] for node in nodes if node["tentacle"] is not None]
    if not polled:
        raise LaneError(
            "the nodes do not listen for Tentacles, so their addresses cannot be judged; start them with --tentacle-port"
        )
    for name in given:
        if name not in polled:
            raise LaneError(f"--tentacle: no node {name!r} listens for Tentacles; allowed are {', '.join(polled)}")
    missing = [name for name in polled if name not in given]
    if missing:
        raise LaneError(f"--tentacle: no address is given for {', '.join(missing)}; every Tentacle polls every node")


@contextlib.asynccontextmanager
async def _registered_tentacle(lab: Lab) -> AsyncIterator[None]:
    """Register the Tentacle of this run with the nodes while the block runs."""
    _raise_open_file_limit()
    nodes = await lab.control.nodes()
    lab.thumbprints = {node["name"]: node["tentacle"]["thumbprint"] for node in nodes if node["tentacle"] is not None}
    lab.poller = Poller.of(await asyncio.to_thread(Identity.generate))
    clusters = [lab.control]
    if lab.standby is not None:
        clusters.append(lab.standby.control)
        documents = await lab.standby.control.nodes()
        lab.standby.thumbprints = {
            name: document["tentacle"]["thumbprint"]
            for name, document in zip(lab.standby.nodes, documents, strict=True)
            if document["tentacle"] is not None
        }
    for control in clusters:
        await control.register_tentacle(POLLER, lab.poller.identity.thumbprint, f"poll://{POLLER}/")
    try:
        yield
    finally:
        for control in clusters:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(control.unregister_tentacle(POLLER), CLEANUP_S_MAX)


def _raise_open_file_limit() -> None:
    """Allow as many open files as the system permits: a fleet takes one for each connection, and many systems start with 1024."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _read_journals_once_more(lab: Lab) -> None:
    """Read the journals once more, so that an interrupted run does not report as lost what the nodes have.

    Does nothing for a lane that never read its journals: a load run has its own ledger, and its journals may not fit into memory.
    """
    if not lab.history.synced_ns:
        return
    with contextlib.suppress(Exception):
        await asyncio.wait_for(lab.sync(), CLEANUP_S_MAX)


async def _delete_packages(lab: Lab, cluster: Mapping[str, Any]) -> None:
    """Delete the packages that this run pushed into somebody's cluster; report those that remain."""
    sent = {attempt.id for attempt in lab.history.attempts if attempt.method == "POST"}
    if not sent:
        return
    await _reset_quietly(lab.control)
    try:
        async with asyncio.timeout(CLEANUP_S_MAX):
            await delete_packages(cluster, sent)
    except (httpx.HTTPError, TimeoutError) as exc:
        lab.say(f"packages of this run, named mocknode-*, could not be deleted: {str(exc) or type(exc).__name__}")


async def _reset_quietly(control: ControlClient) -> None:
    """Leave the nodes healthy, also when the run was interrupted; the control API may be gone by then."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(control.reset(), CLEANUP_S_MAX)


def share_calibration(labs: list[Lab], calibrated: "asyncio.Future[Calibration]") -> None:
    """Let all lanes await the calibration of one."""
    for lab in labs:
        lab.calibrated = calibrated
