"""Which balancer and which nodes a command is about: the flags that `check` and `load` share, and the lanes that come of them.

Options that only `check` has are read here too; `load` leaves them at `NOT_ASKED`, which stands beside their readers.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

import click

import mocknode
from mocknode.text.units import parse_size

if TYPE_CHECKING:
    from mocknode.judge.lab.balancer_file import BalancerFile
    from mocknode.judge.lab.lanes import Demands, Lanes
    from mocknode.judge.traffic import FrontDoor
    from mocknode.judge.traffic.polling_session import Place

DEFAULT_CONTROL: Final = "http://127.0.0.1:8090"
# Nobody's name (RFC 6761), where there is none to go by.
NO_PUBLIC_NAME: Final = "octopus.example.test"
# Without a declared limit packages of any size are expected to pass; the ladder itself ends at 4 GiB + 1.
NO_LIMIT: Final = 1 << 62
NOT_ASKED: Final[Mapping[str, Any]] = {
    "quick": False, "patience": 75.0, "max_upload": None, "public_name": None, "shipped_interval": False, "tentacles": (),
    "standby": None,
}  # fmt: skip
"""What is read below and only `check` asks for."""

# What a certificate can be issued for.
_DNS_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_F = TypeVar("_F", bound=Callable[..., Any])
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_OPTIONS: Final = (
    click.option("--lb", metavar="URL", help="The balancer runs already: its front door."),
    click.option("--control", metavar="URL", help=f"Control API of the nodes behind --lb (default {DEFAULT_CONTROL})."),
    click.option("--control-token-file", type=_FILE, help="Token of that control API."),
    click.option("--control-ca", type=_FILE, help="CA of that control API."),
    click.option("--ca", type=_FILE, help="CA to trust at --lb."),
    click.option("--insecure", is_flag=True, help="Accept any certificate at --lb."),
    click.option("--host", help="Name that clients ask for, in Host and TLS (default: the address of --lb or --with)."),
    click.option("--resolve", metavar="HOST:PORT:ADDR", help="Connect to ADDR for HOST:PORT."),
    click.option(
        "--with", "with_", metavar="BALANCER", help="Start this balancer and a cluster, and stop them afterwards."
    ),
    click.option("--mode", help="Configuration of --with: recommended (default), stock, and for nginx vendor-doc."),
    click.option(
        "--config",
        type=_FILE,
        help="Your own configuration for --with, with ${FRONT} (HOST:PORT to listen on), ${NODE_1_HTTP}, ${NODE_2_HTTP}, "
        "${NODE_3_HTTP}; for HTTPS also, or instead, ${FRONT_HOST}, ${FRONT_HTTPS_PORT}, ${CERTIFICATE}, ${KEY}; for "
        "Tentacles ${FRONT_TENTACLE_1} and ${NODE_1_TENTACLE}, and so on, or one ${FRONT_TENTACLE} where the TLS server name decides, "
        "which is ${FRONT_TENTACLE_1_NAME} for node-1; for whatever else listens ${FREE_PORT_1}, and so on.",
    ),
    click.option("--binary", type=_FILE, help="Program to run for --with."),
    click.option("--seed", type=int, default=1, show_default=True),
    click.option(
        "--run-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where the record is kept (default: a new directory).",
    ),
)


def target_options(command: _F) -> _F:
    """Adds the flags of a balancer and its nodes, and of the run's record."""
    for decorator in reversed(_OPTIONS):
        command = decorator(command)
    return command


class Size(click.ParamType[Any]):
    """`64KiB`, `1GiB`, `10MB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def usage(message: str) -> NoReturn:
    """Refuse the command line."""
    raise click.UsageError(message)


def run_dir_of(given: Path | None, verb: str = "check") -> Path:
    """The directory of a run: a new one, or the user's if it is empty."""
    if given is None:
        return Path(tempfile.mkdtemp(prefix=f"mocknode-{verb}-"))
    try:
        if given.exists() and any(given.iterdir()):
            usage(f"--run-dir {given} is not empty; give a new directory")
        given.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        usage(f"--run-dir {given}: {exc.strerror}; allowed is a directory that this user can make and write")
    return given.absolute()


def passing(options: Mapping[str, Any]) -> bool:
    """The balancer of --with gets an address for each node's Tentacles."""
    from mocknode.judge import balancers
    from mocknode.judge.lab.lanes import NODES

    if options["config"]:
        used = balancers.placeholders(read(options["config"]))
        names = {f"FRONT_TENTACLE_{n}": f"FRONT_TENTACLE_{n}_PORT" for n in range(1, NODES + 1)}
        lacking = [f"${{{name}}}" for name, port in names.items() if not used & {name, port}]
        if 0 < len(lacking) < NODES:
            usage(
                f"--config {options['config']} has addresses for Tentacles, but does not name {', '.join(lacking)}; "
                "every node is polled by every Tentacle"
            )
        return not lacking or bool(used & {"FRONT_TENTACLE", "FRONT_TENTACLE_PORT"})
    try:
        return balancers.passes(options["with_"], options["mode"] or "recommended")
    except balancers.UnknownBalancerError as exc:
        usage(str(exc))


def tentacles_of(options: Mapping[str, Any], declared: "BalancerFile | None") -> "dict[str, Place]":
    """Where each node is polled, by --tentacle, else by the balancer file."""
    from mocknode.judge.lab.balancer_file import place

    if not options["tentacles"]:
        return dict(declared.places()) if declared else {}
    found = {}
    for text in ",".join(options["tentacles"]).split(","):
        node, separator, address = text.strip().partition("=")
        if not separator or not node:
            usage(f"--tentacle: got {text!r}, allowed: NODE=HOST:PORT")
        if node in found:
            usage(f"--tentacle: {node!r} is given twice")
        try:
            found[node] = place(node, address)
        except ValueError as exc:
            usage(f"--tentacle {node}: {exc}")
    return found


def demands_of(options: Mapping[str, Any], declared: "BalancerFile | None", say: Any) -> "Demands":
    """What every lane is told, from the flags and the balancer file."""
    from mocknode.judge.lab.lanes import Demands

    if options["max_upload"] == 0:
        usage("--max-upload: got 0, allowed: a size such as 10MB; the smallest request of a check has 1 KiB")
    limit = options["max_upload"] or (declared.upload_limit if declared else None) or NO_LIMIT
    return Demands(
        tier="quick" if options["quick"] else "full",
        patience_s=options["patience"],
        max_upload=limit,
        public_name=_public_name(options, declared),
        seed=options["seed"],
        say=say,
    )


def _public_name(options: Mapping[str, Any], declared: "BalancerFile | None") -> str:
    """The name that users ask for. An address is none: nodes and balancer may share it, and then nothing could be told."""
    url = options["lb"] or (declared.url if declared else None) or ""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""  # `front_of` says what is wrong with it.
    named = host and host != "localhost" and not host.replace(".", "").isdigit() and ":" not in host
    return options["public_name"] or options["host"] or (host if named else NO_PUBLIC_NAME)


def lanes_of(
    options: Mapping[str, Any], declared: "BalancerFile | None", run_dir: Path, demands: "Demands", *, polled: bool
) -> "tuple[Lanes, str | None, dict[str, str], str | None]":
    """Where the lanes come from, the balancer's kind if known, versions, and its program."""
    from mocknode.judge.lab.given_lanes import GivenLanes

    versions = {"mocknode": mocknode.__version__, "python": sys.version.split()[0]}
    if options["with_"]:
        return _own_lanes(options, run_dir, demands, versions)
    for name in ("mode", "config", "binary", "shipped_interval"):
        if options[name]:
            usage(f"--{name.replace('_', '-')} goes with --with; the balancer at --lb is run by its owner")
    url = options["lb"] or (declared.url if declared else None)
    if url is None:
        usage("give --lb URL, or `url` in the balancer file")
    token_file = options["control_token_file"]
    lanes = GivenLanes(
        front=_front(url, options),
        control_url=options["control"] or DEFAULT_CONTROL,
        control_token=read(token_file).strip() if token_file else None,
        control_ca=str(options["control_ca"]) if options["control_ca"] else None,
        run_dir=run_dir,
        demands=demands,
        tentacles=tentacles_of(options, declared) if polled else {},
        standby_url=options["standby"],
    )
    return lanes, declared.kind if declared else None, versions, None


def _own_lanes(
    options: Mapping[str, Any], run_dir: Path, demands: "Demands", versions: dict[str, str]
) -> "tuple[Lanes, str | None, dict[str, str], str | None]":
    from mocknode.judge import balancers
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.judge.lab.own_lanes import OwnLanes

    for name in (
        "lb", "control", "ca", "insecure", "resolve", "control_token_file", "control_ca", "tentacles", "standby",
    ):  # fmt: skip
        if options[name]:
            usage(
                f"--{name.replace('_', '-').removesuffix('s')} goes with --lb; with --with everything is started for you"
            )
    host = options["host"] or options["public_name"]
    if host is not None and not _DNS_NAME.fullmatch(host):
        usage(
            f"--{'host' if options['host'] else 'public-name'}: got {host!r}, allowed with --with: a DNS name, without a port"
        )
    kind, mode, passes = options["with_"], options["mode"] or "recommended", passing(options)
    try:
        binary = balancers.find(kind, options["binary"])
    except balancers.BalancerError as exc:
        raise LaneError(str(exc)) from exc
    versions[kind] = binary.version
    template = read(options["config"]) if options["config"] else None
    if template is not None:
        _refuse_unreachable(options["config"], balancers.placeholders(template))
    lanes = OwnLanes(
        kind=kind,
        mode=mode,
        binary=binary,
        template=template,
        shipped_interval=options["shipped_interval"],
        forwards_tentacles=passes,
        host=host,
        run_dir=run_dir,
        demands=demands,
    )
    return lanes, kind, versions, str(binary.path)


def _refuse_unreachable(config: Path, used: frozenset[str]) -> None:
    """A configuration that nobody finds, or that leaves out a node: what came of it would be blamed on the balancer."""
    from mocknode.judge.lab.lanes import NODES

    if not used & {"FRONT", "FRONT_PORT", "FRONT_HTTPS_PORT"}:
        usage(
            f"--config {config} does not listen on ${{FRONT}} (or ${{FRONT_HOST}}:${{FRONT_PORT}}, for HTTPS "
            "${FRONT_HOST}:${FRONT_HTTPS_PORT}), so nobody would find it; a finished configuration is run by its owner and "
            "checked with --lb URL"
        )
    lacking = [f"${{NODE_{n}_HTTP}}" for n in range(1, NODES + 1) if not used & {f"NODE_{n}_HTTP", f"NODE_{n}_PORT"}]
    if 0 < len(lacking) < NODES:
        usage(
            f"--config {config} forwards to nodes, but does not name {', '.join(lacking)}; the cluster has {NODES} nodes"
        )


def read(path: Path) -> str:
    """The text of a file that a flag names."""
    try:
        return path.read_text(encoding="utf-8-sig")  # Editors of Windows begin a file with a byte order mark.
    except (OSError, UnicodeDecodeError) as exc:
        usage(f"{path} cannot be read: {exc}")


def _front(url: str, options: Mapping[str, Any]) -> "FrontDoor":
    from mocknode.judge.traffic import FrontDoor

    try:
        parts = urlsplit(url)
        port = {"http": 80, "https": 443}[parts.scheme] if parts.port is None else parts.port
        if port == 0:
            raise ValueError("port 0 is nobody's")
        if not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("a front door is scheme, host and port, without a path")
    except (KeyError, ValueError) as exc:
        reason = f"unknown scheme {exc}" if isinstance(exc, KeyError) else str(exc)
        usage(f"--lb {url!r}: {reason}; write http://HOST:PORT or https://HOST:PORT")
    if options["host"] and not options["host"].isprintable():
        usage(f"--host: got {options['host']!r}, allowed: a name that fits into a header")
    connect = None
    if options["resolve"]:
        host, _, rest = options["resolve"].partition(":")
        number, _, connect = rest.partition(":")
        if not connect or host != parts.hostname or number != str(port):
            usage(f"--resolve {options['resolve']!r}: write {parts.hostname}:{port}:ADDR, the host and port of --lb")
    front = FrontDoor(
        scheme="https" if parts.scheme == "https" else "http",
        host=parts.hostname,
        port=port,
        connect_host=connect,
        host_header=options["host"],
        ca=str(options["ca"]) if options["ca"] else None,
        insecure=options["insecure"],
    )
    try:
        front.tls("http/1.1")
    except OSError as exc:
        usage(f"--ca {exc}")
    return front


def refuse_unwritable(files: Mapping[str, Path]) -> None:
    """Before minutes of work: a report, by its flag, that cannot be written is a mistake in the command line."""
    for name, path in files.items():
        same = [f"--{other}" for other, its in files.items() if its == path and other != name]
        if same and path != Path(os.devnull):
            usage(f"--{name} and {same[0]} both name {path}; allowed is a file each")
        try:
            with path.open("a"):
                pass
        except OSError as exc:
            usage(
                f"--{name} {path}: {exc.strerror}; allowed is a file that this user can write, in a directory that exists"
            )
