"""Variables that the templates of a balancer get; the recipe "Add a balancer" in ARCHITECTURE.md lists the same ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mocknode.judge.balancers.adapter import Front, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class TentacleAddress:
    """One node's address for polling Tentacles.

    Attributes:
        node: Name of the node.
        host, port, address: Where the node itself is polled; `address` is `host:port`.
        front: Port on which the balancer listens for this node alone.
        name: TLS server name of the node, for the one port that all nodes share.
        standby: The standby's node that takes over from this one, or None.
    """

    node: str
    host: str
    port: int
    address: str
    front: int
    name: str
    standby: Node | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVariables:
    """Everything that a template can use.

    Attributes:
        run: True for a run of ours, False for a configuration that is printed for production.
        front: Where the balancer listens: `host` (empty for all addresses), `http_port`, `https_port` (None without TLS),
            `tentacle_port` (the port that all nodes share; None without one).
        bind: Function that gives `host:port` for a port of `front`.
        nodes: The nodes, each with `name`, `host`, `port`, `address` (`host:port`) and `tentacle` (None, or its `host`, `port`
            and `address`).
        standby: The nodes of a second cluster, used while none of `nodes` is healthy; mostly empty.
        tentacles: The addresses for Tentacles, as `TentacleAddress` has them; empty where nobody polls.
        ping: Path of the health check.
        public_name: Name under which users reach Octopus.
        certificate, key: Files for HTTPS; None without.
        workers: How many worker processes or threads to run.
        user: `user group` to run workers as when we are root, None otherwise.
        shipped_interval: Whether to leave the probe interval to the product's default.
        addresses_only: Whether the host of every node is an IP address, so that nothing needs DNS.
        version: Version of the program as a tuple of numbers, to compare with.
        version_text: The version as the program says it.
    """

    run: bool
    front: Front
    bind: Callable[[int], str]
    nodes: Sequence[Node]
    standby: Sequence[Node]
    tentacles: Sequence[TentacleAddress]
    ping: str
    public_name: str
    certificate: Path | None
    key: Path | None
    workers: int
    user: str | None
    shipped_interval: bool
    addresses_only: bool
    version: tuple[int, ...]
    version_text: str
