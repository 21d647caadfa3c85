"""`mocknode up`: start a cluster and keep it running until a signal, or the end of the parent process."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.env_file import env_file
from mocknode.cli.errors import DURATION, INTERRUPTED, EnvironmentFailureError, UsageError, Whole
from mocknode.cli.node_options import NodeFlags, node_options
from mocknode.cli.state_directory import state_directory
from mocknode.mock.cluster.certificates import CertificateError
from mocknode.mock.cluster.controller import StartError
from mocknode.mock.cluster.ports import PortCollisionError, PortError
from mocknode.mock.cluster.running_cluster import Cluster, RunDirectoryError
from mocknode.mock.cluster.settings import (
    CONTROL_PORT,
    DEFAULT_CONTROL,
    NODES_LIMIT,
    ClusterSettings,
    NodeSettings,
    is_loopback,
    numbered_nodes,
    parse_node,
    read_token,
)
from mocknode.mock.cluster.settings_error import SettingsError
from mocknode.mock.node.refusals import RefusedError

if TYPE_CHECKING:
    from mocknode.mock.cluster.fixtures import Fixtures

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FILE_TO_WRITE = click.Path(dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_PORT = Whole(0, 65535)
TENTACLE_PORT: Final = 10943
"""Port on which a real server listens for polling Tentacles."""
_PARENT_POLL_S: Final = 0.5
"""How often to look where the kernel cannot report that a process has ended."""


def _later(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        raise UsageError(f"{parameter.opts[0]} {value}: {_LATER[parameter.opts[0]]}")


_LATER: Final = {
    "--balancer": "`up` starts nodes only; print a configuration with `mocknode balancer config NAME` and start the balancer yourself",
}


@click.command()
@click.option("--nodes", type=Whole(1, NODES_LIMIT), default=3, show_default=True, help="Number of nodes.")
@click.option(
    "--http-port", type=_PORT, default=8081, show_default=True, help="HTTP port of the first node; 0 picks free ports."
)
@click.option("--https-port", type=_PORT, help="HTTPS port of the first node; 0 picks free ports. Default: no HTTPS.")
@click.option(
    "--tentacle-port",
    type=_PORT,
    help="Port of the first node for polling Tentacles; 0 picks free ports. Default: 10943, or 0 with --http-port 0.",
)
@click.option(
    "--control-port",
    type=_PORT,
    default=CONTROL_PORT,
    show_default=True,
    help="Port of the control API; 0 picks a free one.",
)
@click.option(
    "--control-name",
    "control_names",
    multiple=True,
    metavar="NAME",
    help="Host name by which others call the control API, such as the name of a Compose service. Addresses, localhost and the names "
    "of nodes' addresses need none. May be given several times.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that everything listens on.")
@click.option(
    "--node",
    "named",
    multiple=True,
    metavar="NAME=HOST:PORT[,https=HOST:PORT][,tentacle=HOST:PORT][,advertise=HOST]",
    help="A node with its own name and address, instead of --nodes. May be given several times.",
)
@click.option("--run-dir", type=_DIRECTORY, help="Directory for the journal, logs and store. Default: a new one.")
@click.option(
    "--store", metavar="URL", help="SQLAlchemy URL of the shared store. Default: SQLite in the run directory."
)
@click.option(
    "--fixtures",
    type=_FILE,
    help="YAML file with spaces, users, feeds and packages to start with. It replaces what the store holds.",
)
@click.option("--api-key", metavar="API-...", help="API key that the nodes accept. Default: a new one.")
@click.option(
    "--identity-dir", type=_DIRECTORY, help="Directory for the certificate authority. Default: in the state directory."
)
@click.option(
    "--certificate", type=_FILE, help="PEM certificate for HTTPS. Default: one that the cluster's authority issues."
)
@click.option("--key", type=_FILE, help="PEM key for --certificate.")
@click.option(
    "--tentacle-certificate",
    type=click.Choice(["shared", "each"]),
    default="shared",
    show_default=True,
    help="One certificate for all Tentacle ports, as real nodes have it, or one for each node.",
)
@click.option(
    "--null-message",
    type=DURATION,
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="How long a poll waits for work before the node answers that there is none.",
)
@click.option("--keep-packages", is_flag=True, help="Keep uploaded packages, so that they can be downloaded.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed for everything random in the nodes.")
@click.option("--control-token-file", type=_FILE, help="File with the token that callers of the control API must send.")
@click.option(
    "--insecure-control",
    is_flag=True,
    help="Serve the control API without TLS even on an address that other machines reach.",
)
@click.option(
    "--env",
    "env",
    type=_FILE_TO_WRITE,
    help="Write the addresses and the API key to this file as NAME=value lines when everything is ready; delete it at the end.",
)
@click.option("--with-parent", is_flag=True, help="Stop when the process that started this one ends.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON when everything is ready, and nothing else."
)
@node_options
@click.option("--balancer", hidden=True, callback=_later, expose_value=False)
@click.pass_context
def up(ctx: click.Context, /, env: Path | None, with_parent: bool, as_json: bool, **flags: Any) -> None:
    """Start a cluster of mock nodes. Ctrl-C stops it."""
    # Before anything slow, so that we notice a parent that ends while we start.
    parent = os.getppid() if with_parent else None
    try:
        given = {name for name in flags if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
        settings = _settings(UpFlags(**flags), given)
        ctx.exit(asyncio.run(_run(settings, parent, as_json, env)))
    except (SettingsError, RefusedError, CertificateError, PortCollisionError) as exc:
        raise UsageError(str(exc)) from exc
    except (PortError, RunDirectoryError, StartError) as exc:
        raise EnvironmentFailureError(str(exc)) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class UpFlags(NodeFlags):
    """The cluster to start, as the flags say."""

    nodes: int
    http_port: int
    https_port: int | None
    tentacle_port: int | None
    control_port: int
    control_names: tuple[str, ...]
    host: str
    named: tuple[str, ...]
    run_dir: Path | None
    store: str | None
    fixtures: Path | None
    api_key: str | None
    identity_dir: Path | None
    certificate: Path | None
    key: Path | None
    tentacle_certificate: str
    null_message: float
    keep_packages: bool
    seed: int
    control_token_file: Path | None
    insecure_control: bool


def _settings(flags: UpFlags, given: Collection[str]) -> ClusterSettings:
    nodes = _nodes(flags, given)
    return ClusterSettings(
        nodes=nodes,
        versions=flags.versions_of([node.name for node in nodes]),
        web=flags.web_settings(),
        limits=flags.limits(),
        times=flags.time_settings(),
        host=flags.host,
        control_port=flags.control_port,
        control_names=flags.control_names,
        run_dir=(flags.run_dir or Path(tempfile.gettempdir()) / f"mocknode-{secrets.token_hex(4)}").resolve(),
        identity_dir=(flags.identity_dir or state_directory() / "identity").resolve(),
        store=flags.store,
        api_key=flags.api_key,
        certificate=flags.certificate,
        key=flags.key,
        token=read_token(flags.control_token_file) if flags.control_token_file else None,
        control_tls=not is_loopback(flags.host) and not flags.insecure_control,
        keep_packages=flags.keep_packages,
        seed=flags.seed,
        tentacle_certificate_each=flags.tentacle_certificate == "each",
        null_message_s=flags.null_message,
        fixtures=_fixtures(flags.fixtures, flags.api_key),
    )


def _fixtures(path: Path | None, api_key: str | None) -> "Fixtures | None":
    if path is None:
        return None
    # Its models take a tenth of a second to import, which a cluster without fixtures starts sooner.
    from mocknode.mock.cluster.fixtures import read_fixtures

    return read_fixtures(path, api_key)


def _nodes(flags: UpFlags, given: Collection[str]) -> tuple[NodeSettings, ...]:
    if not flags.named:
        tentacle_port = flags.tentacle_port
        if tentacle_port is None:
            # A user who lets us pick the HTTP ports wants no fixed ones.
            tentacle_port = TENTACLE_PORT if flags.http_port else 0
        return numbered_nodes(
            flags.nodes, host=flags.host, http_port=flags.http_port, https_port=flags.https_port,
            tentacle_port=tentacle_port,
        )  # fmt: skip
    for name in ("nodes", "http_port", "https_port", "tentacle_port"):
        if name in given:
            raise SettingsError(
                f"--{name.replace('_', '-')} and --node exclude each other: every --node has its own address"
            )
    return tuple(parse_node(text) for text in flags.named)


async def _run(settings: ClusterSettings, parent: int | None, as_json: bool, env: Path | None) -> int:
    """Run the cluster until a signal or the end of the parent; return the exit code."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _on_signals(ended)
    watching = asyncio.create_task(_watch_parent(parent, ended)) if parent else None
    cluster = Cluster(settings)
    starting = asyncio.create_task(cluster.start())
    try:
        first: list[asyncio.Future[Any]] = [starting, ended]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            # The end came while it starts; cancelling it undoes what it has done so far.
            starting.cancel()
        await starting
        document = cluster.document()
        with env_file(env, document) if env else contextlib.nullcontext():
            click.echo(json.dumps(document) if as_json else _first_screen(cluster))
            return await ended
    except asyncio.CancelledError:
        return await ended
    finally:
        await cluster.stop()
        if watching is not None:
            watching.cancel()


def _on_signals(ended: "asyncio.Future[int]") -> None:
    loop = asyncio.get_running_loop()

    def end(code: int) -> None:
        if ended.done():
            # The watchdog kills the remaining processes as soon as this one has ended.
            os._exit(INTERRUPTED)
        ended.set_result(code)

    loop.add_signal_handler(signal.SIGINT, end, INTERRUPTED)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, 0)


async def _watch_parent(parent: int, ended: "asyncio.Future[int]") -> None:
    """Set `ended` when the parent has ended; we then have another parent."""
    gone = asyncio.Event()
    with contextlib.ExitStack() as stack:
        if hasattr(os, "pidfd_open") and os.getppid() == parent:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(parent)
                stack.callback(os.close, handle)
                asyncio.get_running_loop().add_reader(handle, gone.set)
                stack.callback(asyncio.get_running_loop().remove_reader, handle)
        while os.getppid() == parent and not gone.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), _PARENT_POLL_S)
    if not ended.done():
        ended.set_result(0)


def _first_screen(cluster: Cluster) -> str:
    """What a person needs to know next: addresses, key, directories, and a first command."""
    document = cluster.document()
    lines = [f"{'node':10} {'HTTP':32} {'HTTPS':32} Tentacles"]
    for node in document["nodes"]:
        tentacle = "-" if node["tentacle"] is None else f"{node['tentacle']['host']}:{node['tentacle']['port']}"
        lines.append(f"{node['name']:10} {node['http']:32} {node['https'] or '-':32} {tentacle}")
    first = document["nodes"][0]["http"]
    lines += [
        "",
        f"control    {document['control']}",
        *(f"thumbprint {print_}" for print_ in _thumbprints(document)),
        f"API key    {document['api_key']}",
        f"run dir    {document['run_dir']}",
        *([f"authority  {cluster.settings.identity_dir / 'ca.pem'}"] if cluster.ca_pem else []),
        "",
        f"try it     curl -i {first}/api/octopusservernodes/ping",
        f"           mocknode drain {document['nodes'][0]['name']}" + _control_flag(document["control"]),
        "           Ctrl-C stops it",
    ]
    return "\n".join(lines)


def _thumbprints(document: dict[str, Any]) -> list[str]:
    """Thumbprints that identify the nodes to Tentacles: a shared one, or one for each node."""
    return list(dict.fromkeys(node["tentacle"]["thumbprint"] for node in document["nodes"] if node["tentacle"]))


def _control_flag(control: str) -> str:
    return "" if control == DEFAULT_CONTROL else f" --control {control}"
