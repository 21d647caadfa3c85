"""Where lanes come from: a cluster and a balancer of our own for each, or the one balancer that somebody runs.

`OwnLanes` starts both and surely ends them; `GivenLanes` meets a control API and a URL. Both give `Lab`s, and nothing in a
check can tell which.
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
# A control API that is still there answers well within this; one that is gone must not keep a run from ending.
CLEANUP_S_MAX: Final = 5.0
# Version of the control API that this judge speaks.
CONTROL_API: Final = 1
POLLING: Final = "polling"
"""The lane whose nodes are polled by Tentacles."""
REGION: Final = "region"
"""The lane whose balancer has a second cluster behind it, the standby."""
_POLLED: Final = frozenset({POLLING, REGION})
"""Lanes in which a Tentacle of this run polls the nodes."""
POLLER: Final = "mocknode-check"
"""Name under which the Tentacle of a check is registered."""


class LaneError(Exception):
    """The environment is not as it must be: exit code 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What every lane is told."""

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
    """One balancer stands behind all lanes, so they are used one after another."""

    def open(self, name: str) -> contextlib.AbstractAsyncContextManager[Lab]:
        """A lane, ready for traffic; left, everything of it has ended."""
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
            f"{url} speaks control API {document.get('control_api')!r} (mocknode {document.get('version')}); "
            f"this mocknode speaks {CONTROL_API}"
        )


async def _clock_offset_ns(control: ControlClient, url: str) -> int:
    """What to add to the nodes' monotonic times; 0 when the difference is within the uncertainty of one round trip."""
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
    """A cluster and a balancer of our own for each lane.

    Attributes:
        template: The user's `--config`, text of a configuration with placeholders.
        forwards_tentacles: The balancer has an address for each node's Tentacles.
        host: Name that clients ask for, where the configuration serves by name; None: the front's address.
        keep_only: Nodes keep packages whose file names begin so; None keeps none.
        configuration: Files that the balancers ran with, as the first lane had them.
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
        """Start cluster and balancer; end them on leaving, whatever happened.

        Raises:
            LaneError: when something does not start, with its own words.
        """
        directory = self.run_dir / name
        directory.mkdir(parents=True)
        async with contextlib.AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(Cluster(self._settings(name, "cluster", "identity")))
            control = await stack.enter_async_context(ControlClient(cluster.control_url))
            offset_ns = await _clock_offset_ns(control, cluster.control_url)
            second = standby = None
            if name == REGION:
                # An installation of its own: another identity, so that its nodes have another certificate.
                second = await stack.enter_async_context(Cluster(self._settings(name, "standby", "standby-identity")))
                client = await stack.enter_async_context(ControlClient(second.control_url))
                standby = Standby.of(control, client, self.nodes, self.nodes, second.api_key)
            front, files, nodes = await self._prepare(cluster, second, directory, polled=self._addressed(name))
            try:
                running = await self._start(files, front, directory / self.kind, nodes)
            except balancers.BalancerError as exc:
                raise LaneError(self._explained(str(exc))) from exc
            holder = [running]
            stack.push_async_callback(lambda: holder[0].stop())
            recording = stack.enter_context(Recording(directory / "history.jsonl", offset_ns))

            async def restart(between: Callable[[], Awaitable[None]]) -> None:
                await holder[0].stop()
                await between()
                holder[0] = await self._start(files, front, directory / f"{self.kind}-again", nodes)

            self.url = self.url or running.url
            users, secure = self._doors(front)
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
                await stack.enter_async_context(_polled_by_us(lab))
            yield lab

    def _doors(self, front: balancers.Front) -> tuple[FrontDoor, FrontDoor | None]:
        """Where a lane's users go, by HTTP if they can, and where they go by HTTPS."""
        ca = str(self.run_dir / "identity" / "ca.pem")
        doors = [
            FrontDoor(scheme=scheme, host=HOST, port=port, host_header=self.host, ca=ca)
            for scheme, port in front.schemes.items()
        ]
        return doors[0], next((door for door in doors if door.scheme == "https"), None)

    def _explained(self, failure: str) -> str:
        """Why a balancer did not start, and what that has to do with lanes."""
        if self.template is None or "address already in use" not in failure.lower():
            return failure
        return (
            f"{failure}\nEvery lane runs this configuration, side by side with the others: what listens beside the front, such as a page "
            "of statistics, does so on ${FREE_PORT_1}, ${FREE_PORT_2} and so on"
        )

    def _addressed(self, name: str) -> bool:
        """Nodes of this lane listen for Tentacles, and the balancer has their addresses: a user's file names them in every lane."""
        return self.forwards_tentacles and (self.template is not None or name in _POLLED)

    def _settings(self, name: str, run: str, identity: str) -> ClusterSettings:
        return ClusterSettings(
            nodes=numbered_nodes(
                NODES, host=HOST, http_port=0, https_port=None, tentacle_port=0 if self._addressed(name) else None
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
        """Front ports, certificate and configuration files of one lane's balancer."""
        documents = cluster.document()["nodes"]
        free = balancers.free_ports(self.template or "")
        # Our own templates know no other name.
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
        nodes = _behind(documents, polled=polled)
        standby = [] if second is None else _behind(second.document()["nodes"], PREFIX, polled=polled)
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
        """The configuration listens for HTTPS too."""
        return self._names("FRONT_HTTPS_PORT")

    @property
    def _dedicated(self) -> bool:
        """The configuration has a port for each node; a user's own may have names alone."""
        return self._names("FRONT_TENTACLE_1", "FRONT_TENTACLE_1_PORT")

    @property
    def _by_name(self) -> bool:
        """The configuration listens on the port where names decide."""
        if self.template is None:
            return balancers.routes_by_name(self.kind, self.mode)
        return self._names("FRONT_TENTACLE", "FRONT_TENTACLE_PORT")

    def _names(self, *placeholders: str) -> bool:
        """A user's configuration has one of these in it; ours would have any."""
        return self.template is None or not balancers.placeholders(self.template).isdisjoint(placeholders)

    async def _start(
        self, files: dict[str, str], front: balancers.Front, directory: Path, nodes: list[balancers.Node]
    ) -> balancers.Running:
        return await balancers.start(
            self.binary, files, front, directory, nodes=nodes, mode=self.mode,
            health_probes_expected=self.template is None and balancers.probes(self.kind, self.mode),
        )  # fmt: skip


def _behind(documents: list[dict[str, Any]], prefix: str = "", *, polled: bool) -> list[balancers.Node]:
    """Nodes as a balancer forwards to them."""
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
    """The balancer that runs already: every lane is the same lab."""

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
        """Meet the control API; the nodes are left as they were found: all online, no faults.

        Raises:
            LaneError: another product or version, or nodes that are not healthy to begin with.
        """
        async with contextlib.AsyncExitStack() as stack:
            control = await stack.enter_async_context(
                ControlClient(self.control_url, token=self.control_token, ca=self.control_ca)
            )
            offset_ns = await _clock_offset_ns(control, self.control_url)
            # Held before it is looked at: whoever comes second must not see the first one's drains as somebody's mistake.
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
                await stack.enter_async_context(_polled_by_us(lab))
            yield lab

    async def _standby(
        self, stack: contextlib.AsyncExitStack, control: ControlClient, cluster: Mapping[str, Any], offset_ns: int
    ) -> Standby:
        """Meet the standby's control API, as the primary's; the same token and CA hold for both."""
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
                f"the standby has {len(found['nodes'])} nodes, the primary {len(self.nodes)}; each node has one that stands in for it"
            )
        _refuse_busy(found["nodes"])
        if self.tentacles and any(node["tentacle"] is None for node in found["nodes"]):
            raise LaneError(
                "the standby's nodes do not listen for Tentacles; start them with --tentacle-port, as the primary's"
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
    """A cluster that somebody is using is not ours to reset."""
    busy = [f"{n['name']} is {n['state']}" for n in nodes if n["state"] != "online"]
    busy += [f"{n['name']} has {len(n['faults'])} faults" for n in nodes if n["faults"]]
    if busy:
        raise LaneError(f"the nodes are not healthy to begin with: {', '.join(busy)}; `mocknode reset` heals them")


def _refuse_unpolled(nodes: list[dict[str, Any]], given: Mapping[str, Place]) -> None:
    """Addresses are of nodes that there are and that listen for Tentacles; every such node has one."""
    polled = [node["name"] for node in nodes if node["tentacle"] is not None]
    if not polled:
        raise LaneError(
            "the nodes do not listen for Tentacles, so their addresses cannot be judged; start them with --tentacle-port"
        )
    for name in given:
        if name not in polled:
            raise LaneError(
                f"--tentacle: {name!r} is no node that listens for Tentacles; those are {', '.join(polled)}"
            )
    missing = [name for name in polled if name not in given]
    if missing:
        raise LaneError(
            f"--tentacle: no address is given for {', '.join(missing)}; every node is polled by every Tentacle"
        )


@contextlib.asynccontextmanager
async def _polled_by_us(lab: Lab) -> AsyncIterator[None]:
    """The Tentacle of this run is known to the nodes while the block runs."""
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
    """As many open files as this process may have: a fleet is a connection each, and many systems start with 1024."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _read_journals_once_more(lab: Lab) -> None:
    """Read the journals once more: a run that is broken off must not call lost what the nodes have.

    Nothing is read of a lane that never read them: a load run has a ledger of its own, and its journals may not fit into memory.
    """
    if not lab.history.synced_ns:
        return
    with contextlib.suppress(Exception):
        await asyncio.wait_for(lab.sync(), CLEANUP_S_MAX)


async def _delete_packages(lab: Lab, cluster: Mapping[str, Any]) -> None:
    """Delete what this run pushed into somebody's cluster; say what could not be."""
    sent = {attempt.id for attempt in lab.history.attempts if attempt.method == "POST"}
    if not sent:
        return
    await _reset_quietly(lab.control)
    try:
        async with asyncio.timeout(CLEANUP_S_MAX):
            await delete_packages(cluster, sent)
    except (httpx.HTTPError, TimeoutError) as exc:
        lab.say(f"packages of this run are still listed, by the names mocknode-*: {str(exc) or type(exc).__name__}")


async def _reset_quietly(control: ControlClient) -> None:
    """Leave the nodes healthy, also when the run was interrupted; the control API may be gone by then."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(control.reset(), CLEANUP_S_MAX)


def share_calibration(labs: list[Lab], calibrated: "asyncio.Future[Calibration]") -> None:
    """Let all lanes await the calibration of one."""
    for lab in labs:
        lab.calibrated = calibrated
