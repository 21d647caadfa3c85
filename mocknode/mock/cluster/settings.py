"""Validated settings of a cluster before it starts: nodes, addresses, secrets and directories.

Every error names the flag, what was got and what is allowed.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mocknode.mock.cluster.ports import Wanted
from mocknode.mock.cluster.settings_error import SettingsError
from mocknode.mock.node.web import DEFAULT_WEB, WebSettings
from mocknode.mock.node.web_server import KESTREL, WebServerLimits
from mocknode.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from mocknode.mock.cluster.fixtures import Fixtures

CONTROL_PORT: Final = 8090
DEFAULT_CONTROL: Final = f"http://127.0.0.1:{CONTROL_PORT}"
"""Where `mocknode up` serves the control API unless told otherwise."""
NODES_LIMIT: Final = 32
"""Octopus' own limit is eight; more nodes than this on one machine only measure the machine."""
NODE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}\.)*[A-Za-z0-9_-]{0,62}\.?")
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,62}")
_API_KEY: Final = re.compile(r"API-[A-Z0-9]{1,100}")
_SHOWN: Final = 120
"""Characters of a refused key that its error repeats."""
_WILDCARDS: Final = ("0.0.0.0", "::", "")  # compared with, never bound
_NODE_KEYS: Final = ("https", "tentacle", "advertise")
_NODE_FORM: Final = "NAME=HOST:PORT[,https=HOST:PORT][,tentacle=HOST:PORT][,advertise=HOST]"
NULL_MESSAGE_S: Final = 30.0
"""`PollingQueueWaitTimeout` of Halibut: how long a poll waits for work."""
NULL_MESSAGE_MAX_S: Final = 24 * 3600.0
"""Longer than any balancer keeps a silent connection, and short enough for a timer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One node before its ports are picked.

    Attributes:
        flag: The flag that asked for it.
        host: Address its listeners are bound to.
        http_port, https_port: 0 picks a free port; None means no such listener.
        advertise: Host name or address by which others reach the node.
        tentacle_host, tentacle_port: Where polling Tentacles reach the node; 0 picks a port, None means no such listener.
    """

    flag: str
    name: str
    host: str
    http_port: int
    https_port: int | None
    advertise: str
    tentacle_host: str = ""
    tentacle_port: int | None = None

    @property
    def tentacle_advertise(self) -> str:
        """Host name or address by which Tentacles reach the node."""
        return self.advertise if self.tentacle_host == self.host else advertised(self.tentacle_host)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """A cluster before it starts.

    Attributes:
        host: Address of the control API.
        control_port: Port of the control API; 0 picks a free one.
        run_dir: Existing directory for journal, logs and, without `store`, the store.
        store: SQLAlchemy URL; None is SQLite in the run directory.
        api_key: API key that the nodes accept; None makes one.
        identity_dir: Directory of the certificate authority and the installation id.
        certificate, key: The user's PEM files for every HTTPS listener; None uses the cluster's own authority.
        keep_only: Prefix of file names to keep when packages are kept; empty keeps all. A load test keeps only the packages
            that deltas start from.
        token: Bearer token that the control API demands; None demands none.
        control_names: Further host names by which callers address the control API, such as that of a Compose service.
        control_tls: Serve the control API over TLS.
        web: Settings of every node's REST API.
        limits: Limits of the web server below it.
        times: `heartbeat_s` and `task_*` of the nodes' configuration, where they differ from the defaults.
        versions: Version of Octopus Server by node, for nodes that report another one than `OCTOPUS_VERSION`.
        tentacle_certificate_each: Give each node its own certificate at its Tentacle port; real nodes share one.
        null_message_s: How long a polling Tentacle waits for work before it gets the null message.
        fixtures: Data that replace the content of the store; None leaves the store unchanged.
    """

    nodes: tuple[NodeSettings, ...]
    run_dir: Path
    identity_dir: Path
    host: str = "127.0.0.1"
    control_port: int = 0
    store: str | None = None
    api_key: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    token: str | None = None
    control_names: tuple[str, ...] = ()
    control_tls: bool = False
    keep_packages: bool = False
    keep_only: str = ""
    seed: int = 1
    web: WebSettings = DEFAULT_WEB
    limits: WebServerLimits = KESTREL
    times: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    tentacle_certificate_each: bool = False
    null_message_s: float = NULL_MESSAGE_S
    fixtures: "Fixtures | None" = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.nodes) <= NODES_LIMIT:
            raise SettingsError(f"--nodes: got {len(self.nodes)}, allowed: 1 to {NODES_LIMIT}")
        seen: dict[str, NodeSettings] = {}
        for node in self.nodes:
            if (first := seen.setdefault(node.name.lower(), node)) is not node:
                raise SettingsError(
                    f"--node: two nodes are called {node.name!r} ({first.host}:{first.http_port} and "
                    f"{node.host}:{node.http_port}); every node needs a name of its own"
                )
        if self.api_key is not None and not _API_KEY.fullmatch(self.api_key):
            raise SettingsError(
                f"--api-key: got {self.api_key[:_SHOWN]!r}, allowed: API- and 1 to 100 capital letters or digits"
            )
        for name in self.control_names:
            if not HOST_NAME.fullmatch(name):
                raise SettingsError(
                    f"--control-name: got {name!r}, allowed: a host name without a port, such as mocknode"
                )
        if not 0 < self.null_message_s <= NULL_MESSAGE_MAX_S:
            raise SettingsError(f"--null-message: got {self.null_message_s:g} s, allowed: more than 0 s, at most 24h")
        for version in self.versions.values():
            if not _VERSION.fullmatch(version):
                raise SettingsError(f"--octopus-version: got {version!r}, allowed: a version such as 2026.2.1")
        if (self.certificate is None) != (self.key is None):
            raise SettingsError("--certificate and --key go together: give both, or neither to use the cluster's own")
        no_https = [node.name for node in self.nodes if node.https_port is None]
        if self.web.force_ssl is not None and self.web.external_url is None and no_https:
            raise SettingsError(
                f"--force-ssl: {no_https[0]} has no HTTPS to send clients to; give --https-port or --external-url"
            )
        if not is_loopback(self.host) and self.token is None:
            raise SettingsError(
                f"--host {self.host} lets others reach the control API: it needs --control-token-file "
                "(and speaks TLS unless --insecure-control is given)"
            )

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the shared store."""
        return self.store or f"sqlite:///{self.run_dir / 'store.sqlite'}"

    @property
    def names(self) -> set[str]:
        """Host names and addresses of this machine, as far as the settings tell."""
        of_nodes = {name for node in self.nodes for name in (node.host, node.advertise)}
        return {*of_nodes, self.host, advertised(self.host), *self.control_names} - {*_WILDCARDS}

    @property
    def needs_certificate(self) -> bool:
        """True when some listener speaks TLS."""
        return self.control_tls or any(node.https_port is not None for node in self.nodes)

    def wanted_ports(self) -> list[Wanted]:
        """Return the control port, then the HTTP, HTTPS and Tentacle port of each node."""
        wanted = [Wanted(flag="--control-port", use="control port", host=self.host, port=self.control_port)]
        for node in self.nodes:
            listeners = (
                ("HTTP", node.host, node.http_port),
                ("HTTPS", node.host, node.https_port),
                ("Tentacle", node.tentacle_host, node.tentacle_port),
            )
            for label, host, port in listeners:
                if port is not None:
                    flag = node.flag or f"--{label.lower()}-port"
                    wanted.append(Wanted(flag=flag, use=f"{label} port of {node.name}", host=host, port=port))
        return wanted


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address or host name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_host(text: str) -> bool:
    """Tell whether a text is an IP address or can be a host name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return HOST_NAME.fullmatch(text) is not None
    return True


def advertised(host: str) -> str:
    """Return the host by which others reach a listener that is bound to `host`."""
    return socket.gethostname() if host in _WILDCARDS else host


def numbered_nodes(
    count: int, *, host: str, http_port: int, https_port: int | None, tentacle_port: int | None = None
) -> tuple[NodeSettings, ...]:
    """Return node-1 to node-n on consecutive ports; a base of 0 picks free ports."""

    def nth(base: int, index: int) -> int:
        return base + index if base else 0

    return tuple(
        NodeSettings(
            flag="",
            name=f"node-{index + 1}",
            host=host,
            http_port=nth(http_port, index),
            https_port=None if https_port is None else nth(https_port, index),
            advertise=advertised(host),
            tentacle_host=host,
            tentacle_port=None if tentacle_port is None else nth(tentacle_port, index),
        )
        for index in range(count)
    )


def parse_node(text: str) -> NodeSettings:
    """Parse a value of `--node`.

    Raises:
        SettingsError: the value has another form; the message names the allowed one.
    """
    first, *rest = text.split(",")
    name, separator, address = first.partition("=")
    if not separator or not NODE_NAME.fullmatch(name):
        raise SettingsError(
            f"--node: got {text!r}, allowed: {_NODE_FORM}, where the name is made of letters, digits, '.', '_', '-'"
        )
    host, http_port = _address(text, address)
    options: dict[str, str] = {}
    for part in rest:
        key, separator, value = part.partition("=")
        if key not in _NODE_KEYS or not separator or not value or key in options:
            raise SettingsError(
                f"--node: got {part!r} in {text!r}, allowed: {_NODE_FORM}{did_you_mean(key, _NODE_KEYS)}"
            )
        if key == "advertise" and not is_host(value):
            raise SettingsError(f"--node: got {value!r} in {text!r}, allowed: a host name or an address")
        options[key] = value
    https_port = None
    if "https" in options:
        https_host, https_port = _address(text, options["https"])
        if https_host != host:
            raise SettingsError(
                f"--node: {name} has HTTP on {host} and HTTPS on {https_host}; both must be one address"
            )
    tentacle_host, tentacle_port = _address(text, options["tentacle"]) if "tentacle" in options else ("", None)
    return NodeSettings(
        flag=f"--node {name}",
        name=name,
        host=host,
        http_port=http_port,
        https_port=https_port,
        advertise=options.get("advertise", advertised(host)),
        tentacle_host=tentacle_host,
        tentacle_port=tentacle_port,
    )


def read_token(path: Path) -> str:
    """Read the control API's token, which is the only line of the file.

    Raises:
        SettingsError: the file cannot be read or holds no token.
    """
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"--control-token-file {path}: {getattr(exc, 'strerror', None) or exc}") from exc
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise SettingsError(f"--control-token-file {path}: allowed is one line of printable ASCII without spaces")
    return token


def _address(text: str, address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(
            f"--node: got {address!r} in {text!r}, allowed: HOST:PORT with a port from 0 (pick) to 65535"
        )
    return host, int(port)
