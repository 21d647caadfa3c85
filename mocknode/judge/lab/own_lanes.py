"""Lanes that we start: a cluster and a balancer for each, ended when the lane is left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mocknode.judge import balancers
from mocknode.judge.lab.lab import Lab
from mocknode.judge.lab.lanes import (
    HOST,
    NODES,
    POLLED,
    REGION,
    Demands,
    LaneError,
    clock_offset_ns,
    read_journals_once_more,
    registered_tentacle,
    shared_settings,
)
from mocknode.judge.lab.region import PREFIX, Standby
from mocknode.judge.record.recording import Recording
from mocknode.judge.traffic import FrontDoor
from mocknode.judge.traffic.polling_session import PollingAddress
from mocknode.mock.cluster import certificates, ports
from mocknode.mock.cluster.client import ControlClient
from mocknode.mock.cluster.running_cluster import Cluster
from mocknode.mock.cluster.settings import ClusterSettings, numbered_nodes


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
            offset_ns = await clock_offset_ns(control, cluster.control_url)
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
            own = {node: PollingAddress(node=node, host=HOST, port=port) for node, port in front.tentacle_ports.items()}
            by_name = {
                node: PollingAddress(node=node, host=HOST, port=front.tentacle_port, sni=name)
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
                **shared_settings(self.demands),
            )
            stack.push_async_callback(read_journals_once_more, lab)
            if self.forwards_tentacles and name in POLLED:
                await stack.enter_async_context(registered_tentacle(lab))
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
        return self.forwards_tentacles and (self.template is not None or name in POLLED)

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
