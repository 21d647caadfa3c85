"""The balancer and the nodes that a run is about: the options that name them, and the lanes that these options give."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import mocknode
from mocknode.judge import balancers
from mocknode.judge.lab.balancer_file import BalancerFile, place
from mocknode.judge.lab.given_lanes import GivenLanes
from mocknode.judge.lab.lanes import NODES, Demands, LaneError, Lanes
from mocknode.judge.lab.own_lanes import OwnLanes
from mocknode.judge.traffic import FrontDoor
from mocknode.judge.traffic.polling_session import PollingAddress
from mocknode.mock.cluster.settings import DEFAULT_CONTROL

NO_PUBLIC_NAME: Final = "octopus.example.test"
"""Used where the options name no host. RFC 6761 reserves `.test`, so nobody owns this name."""
NO_LIMIT: Final = 1 << 62
"""Upload limit where none is declared: packages of any size must pass. The checks themselves stop at 4 GiB + 1."""
PATIENCE_S: Final = 75.0
_DNS_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
"""Names that a certificate can be issued for."""


class OptionError(Exception):
    """An option, or a combination of them, that cannot be used; the message says what was given and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """Which balancer to test and which nodes stand behind it, as `check` and `load` are told by their flags.

    Attributes:
        lb: URL of a balancer that runs already.
        control: URL of the control API of the nodes behind `lb`; None means the default one.
        host: Name that clients ask for, in the Host header and in TLS.
        resolve: `HOST:PORT:ADDR`, the address to connect to instead of `lb`'s.
        balancer: Kind of balancer to start (`--with`).
        mode: Which configuration of ours to start it with; None means `recommended`.
        config: The user's own configuration to start it with.
        tentacles: `NODE=HOST:PORT` words: where Tentacles poll each node through `lb`.
        standby: URL of the control API of a second cluster behind `lb`.
    """

    lb: str | None = None
    control: str | None = None
    control_token_file: Path | None = None
    control_ca: Path | None = None
    ca: Path | None = None
    insecure: bool = False
    host: str | None = None
    resolve: str | None = None
    balancer: str | None = None
    mode: str | None = None
    config: Path | None = None
    binary: Path | None = None
    seed: int = 1
    run_dir: Path | None = None
    shipped_interval: bool = False
    standby: str | None = None
    tentacles: tuple[str, ...] = ()
    public_name: str | None = None
    max_upload: int | None = None
    patience: float = PATIENCE_S
    quick: bool = False

    @property
    def used_mode(self) -> str:
        """The mode of a balancer that is started with a configuration of ours."""
        return self.mode or "recommended"

    @property
    def reported_mode(self) -> str | None:
        """The mode as reports name it; None for a balancer that runs already."""
        if not self.balancer:
            return None
        return "custom" if self.config else self.used_mode

    def refuse(self, names: tuple[str, ...], why: str) -> None:
        """Refuse the first of these options that was given.

        Raises:
            OptionError: its flag, and `why` it cannot be used here.
        """
        for name in names:
            if getattr(self, name):
                raise OptionError(f"{flag_of(name)} {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The lanes that the options give, and what is known of the balancer before it has been asked anything.

    Attributes:
        kind: Product of the balancer; None where nobody declared it.
        versions: Versions of mocknode, Python and a balancer that we start.
        binary: Program of a balancer that we start.
    """

    lanes: Lanes
    kind: str | None
    versions: dict[str, str]
    binary: str | None


def flag_of(name: str) -> str:
    """The flag of an option of this name."""
    return {"tentacles": "--tentacle", "json": "--json"}.get(name, f"--{name.replace('_', '-')}")


def passes_tentacles(options: TargetOptions) -> bool:
    """Whether the balancer of `--with` has an address for each node's Tentacles.

    Raises:
        OptionError: no such balancer or mode, or a configuration that serves the Tentacles of some nodes only.
    """
    assert options.balancer is not None
    if options.config is None:
        try:
            return balancers.passes(options.balancer, options.used_mode)
        except balancers.UnknownBalancerError as exc:
            raise OptionError(str(exc)) from exc
    used = balancers.placeholders(read(options.config))
    names = {f"FRONT_TENTACLE_{n}": f"FRONT_TENTACLE_{n}_PORT" for n in range(1, NODES + 1)}
    missing = [f"${{{name}}}" for name, port in names.items() if not used & {name, port}]
    if 0 < len(missing) < NODES:
        raise OptionError(
            f"--config {options.config} has addresses for the Tentacles of some nodes, but not {', '.join(missing)}; "
            "every Tentacle polls every node, so each node needs one"
        )
    return not missing or bool(used & {"FRONT_TENTACLE", "FRONT_TENTACLE_PORT"})


def tentacle_places(options: TargetOptions, declared: BalancerFile | None) -> dict[str, PollingAddress]:
    """Where Tentacles poll each node: from `--tentacle`, else from the balancer file.

    Raises:
        OptionError: a word that is not `NODE=HOST:PORT`, or a node given twice.
    """
    if not options.tentacles:
        return dict(declared.places()) if declared else {}
    found: dict[str, PollingAddress] = {}
    for text in ",".join(options.tentacles).split(","):
        node, separator, address = text.strip().partition("=")
        if not separator or not node:
            raise OptionError(f"--tentacle: got {text!r}, allowed: NODE=HOST:PORT")
        if node in found:
            raise OptionError(f"--tentacle: {node!r} is given twice")
        try:
            found[node] = place(node, address)
        except ValueError as exc:
            raise OptionError(f"--tentacle {node}: {exc}") from exc
    return found


def demands_of(options: TargetOptions, declared: BalancerFile | None, say: Callable[[str], None]) -> Demands:
    """What every lane needs to know, from the options and the balancer file.

    Raises:
        OptionError: `--max-upload` is 0.
    """
    if options.max_upload == 0:
        raise OptionError(
            "--max-upload: got 0, allowed: a size such as 10MB; the smallest request of a check has 1 KiB"
        )
    limit = options.max_upload or (declared.upload_limit if declared else None) or NO_LIMIT
    return Demands(
        tier="quick" if options.quick else "full",
        patience_s=options.patience,
        max_upload=limit,
        public_name=_public_name(options, declared),
        seed=options.seed,
        say=say,
    )


def _public_name(options: TargetOptions, declared: BalancerFile | None) -> str:
    """Return the name that users ask for, never an address: nodes may have the balancer's address, and then an answer that
    shows it says nothing about where it came from."""
    url = options.lb or (declared.url if declared else None) or ""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""  # `_front` says what is wrong with it.
    named = host and host != "localhost" and not host.replace(".", "").isdigit() and ":" not in host
    return options.public_name or options.host or (host if named else NO_PUBLIC_NAME)


def target_of(
    options: TargetOptions, declared: BalancerFile | None, run_dir: Path, demands: Demands, *, polled: bool
) -> Target:
    """The lanes that these options give.

    Args:
        polled: The run needs the addresses at which Tentacles poll the nodes.

    Raises:
        OptionError: the options contradict each other, or name something that does not exist.
        LaneError: the balancer's program is not installed.
    """
    versions = {"mocknode": mocknode.__version__, "python": sys.version.split()[0]}
    if options.balancer:
        return _own_target(options, run_dir, demands, versions)
    options.refuse(
        ("mode", "config", "binary", "shipped_interval"), "goes with --with; the balancer at --lb is run by its owner"
    )
    url = options.lb or (declared.url if declared else None)
    if url is None:
        raise OptionError("give --lb URL, or `url` in the balancer file")
    lanes = GivenLanes(
        front=_front(url, options),
        control_url=options.control or DEFAULT_CONTROL,
        control_token=read(options.control_token_file).strip() if options.control_token_file else None,
        control_ca=str(options.control_ca) if options.control_ca else None,
        run_dir=run_dir,
        demands=demands,
        tentacles=tentacle_places(options, declared) if polled else {},
        standby_url=options.standby,
    )
    return Target(lanes=lanes, kind=declared.kind if declared else None, versions=versions, binary=None)


def _own_target(options: TargetOptions, run_dir: Path, demands: Demands, versions: dict[str, str]) -> Target:
    assert options.balancer is not None
    options.refuse(
        ("lb", "control", "ca", "insecure", "resolve", "control_token_file", "control_ca", "tentacles", "standby"),
        "goes with --lb; with --with everything is started for you",
    )
    host = options.public_name if options.host is None else options.host
    if host is not None and not _DNS_NAME.fullmatch(host):
        flag = "--public-name" if options.host is None else "--host"
        raise OptionError(f"{flag}: got {host!r}, allowed with --with: a DNS name, without a port")
    passes = passes_tentacles(options)
    try:
        binary = balancers.find(options.balancer, options.binary)
    except balancers.BalancerError as exc:
        raise LaneError(str(exc)) from exc
    template = read(options.config) if options.config else None
    if options.config is not None and template is not None:
        _refuse_unreachable(options.config, balancers.placeholders(template))
    lanes = OwnLanes(
        kind=options.balancer,
        mode=options.used_mode,
        binary=binary,
        template=template,
        shipped_interval=options.shipped_interval,
        forwards_tentacles=passes,
        host=host,
        run_dir=run_dir,
        demands=demands,
    )
    versions = {**versions, options.balancer: binary.version}
    return Target(lanes=lanes, kind=options.balancer, versions=versions, binary=str(binary.path))


def _refuse_unreachable(config: Path, used: frozenset[str]) -> None:
    """Refuse a configuration that clients could not reach or that leaves out a node: the balancer would get the blame."""
    if not used & {"FRONT", "FRONT_PORT", "FRONT_HTTPS_PORT"}:
        raise OptionError(
            f"--config {config} does not listen on ${{FRONT}} (or ${{FRONT_HOST}}:${{FRONT_PORT}}, for HTTPS "
            "${FRONT_HOST}:${FRONT_HTTPS_PORT}), so no client could reach it; to test a finished configuration, run it yourself "
            "and give --lb URL"
        )
    missing = [f"${{NODE_{n}_HTTP}}" for n in range(1, NODES + 1) if not used & {f"NODE_{n}_HTTP", f"NODE_{n}_PORT"}]
    if 0 < len(missing) < NODES:
        raise OptionError(
            f"--config {config} forwards to some nodes, but not to {', '.join(missing)}; the cluster has {NODES} nodes"
        )


def read(path: Path) -> str:
    """The text of a file that an option names.

    Raises:
        OptionError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")  # Editors on Windows begin a file with a byte order mark.
    except (OSError, UnicodeDecodeError) as exc:
        raise OptionError(f"{path} cannot be read: {exc}") from exc


def _front(url: str, options: TargetOptions) -> FrontDoor:
    try:
        parts = urlsplit(url)
        port = {"http": 80, "https": 443}[parts.scheme] if parts.port is None else parts.port
        if port == 0:
            raise ValueError("nothing can listen on port 0")
        if not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("a front door is scheme, host and port, without a path")
    except (KeyError, ValueError) as exc:
        reason = f"unknown scheme {exc}" if isinstance(exc, KeyError) else str(exc)
        raise OptionError(f"--lb {url!r}: {reason}; write http://HOST:PORT or https://HOST:PORT") from exc
    if options.host is not None and (not options.host or not options.host.isprintable()):
        raise OptionError(f"--host: got {options.host!r}, allowed: a name without control characters")
    connect = None
    if options.resolve:
        host, _, rest = options.resolve.partition(":")
        number, _, connect = rest.partition(":")
        if not connect or host != parts.hostname or number != str(port):
            raise OptionError(
                f"--resolve {options.resolve!r}: write {parts.hostname}:{port}:ADDR, with the host and port of --lb"
            )
    front = FrontDoor(
        scheme="https" if parts.scheme == "https" else "http",
        host=parts.hostname,
        port=port,
        connect_host=connect,
        host_header=options.host,
        ca=str(options.ca) if options.ca else None,
        insecure=options.insecure,
    )
    try:
        front.tls("http/1.1")
    except OSError as exc:
        raise OptionError(f"--ca {exc}") from exc
    return front
