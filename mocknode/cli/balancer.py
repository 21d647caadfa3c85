"""`mocknode balancer list` and `mocknode balancer config`."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from mocknode.cli.connection import EXISTING_FILE, ask
from mocknode.cli.errors import UsageError
from mocknode.cli.tables import render
from mocknode.judge import balancers
from mocknode.judge.balancers.adapter import Node, Polled
from mocknode.judge.balancers.rendering import TENTACLE_PORT
from mocknode.mock.cluster.settings import DEFAULT_CONTROL, NODE_NAME, is_host

_EXAMPLES = tuple(
    Node(
        name=f"node-{index}",
        host=f"192.0.2.{index}",
        port=80,
        tentacle=Polled(host=f"192.0.2.{index}", port=TENTACLE_PORT),
    )
    for index in (1, 2, 3)
)
"""Addresses that RFC 5737 reserves for documentation; users replace them in the configuration that they paste."""


@click.group()
def balancer() -> None:
    """List the balancers that can be started, and print configurations for them."""


@balancer.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List every balancer with its modes and its program on this machine."""
    found = asyncio.run(_found())
    if as_json:
        click.echo(json.dumps(found))
        return
    rows = [
        [item["name"], " ".join(item["modes"]), item["version"] or "-", item["path"] or "not installed"]
        for item in found
    ]
    click.echo(render(["balancer", "modes", "version", "program"], rows), nl=False)


@balancer.command("config")
@click.argument("name")
@click.option(
    "--mode",
    default="recommended",
    show_default=True,
    help="Which configuration to print; `mocknode balancer list` shows the modes.",
)
@click.option(
    "--node",
    "named",
    multiple=True,
    metavar="NAME=HOST:PORT[,tentacle=HOST:PORT]",
    help="A node to forward to, and the address where Tentacles poll it. May be given several times.",
)
@click.option(
    "--control", envvar="MOCKNODE_CONTROL", metavar="URL", help="Take the nodes from the cluster with this control API."
)
@click.option(
    "--control-token-file",
    envvar="MOCKNODE_CONTROL_TOKEN_FILE",
    type=EXISTING_FILE,
    help="File with the token of the control API.",
)
@click.option(
    "--ca", envvar="MOCKNODE_CA", type=EXISTING_FILE, help="CA certificate (PEM) to trust at the control API."
)
@click.option(
    "--public-name", default="octopus.example.test", show_default=True, help="Name that users reach the balancer by."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the files to this directory instead of printing them.",
)
def config(
    name: str,
    mode: str,
    named: tuple[str, ...],
    control: str | None,
    control_token_file: Path | None,
    ca: Path | None,
    public_name: str,
    output: Path | None,
) -> None:
    """Print a working, commented configuration of balancer NAME for your nodes.

    The nodes come from --node, or else from the cluster at --control; without either, the configuration has example addresses to
    replace. A node that Tentacles poll gets a port of its own, which passes TLS through.
    """
    if named and control and click.get_current_context().get_parameter_source("control") is _COMMANDLINE:
        raise UsageError(
            f"--node and --control {control} exclude each other: give the nodes, or the cluster that has them"
        )
    if named:
        nodes = tuple(_node(text) for text in named)
        names = [node.name for node in nodes]
        if twice := next((one for one in names if names.count(one) > 1), None):
            raise UsageError(f"--node: two nodes are called {twice!r}; each needs a name of its own")
    elif control:
        documents = ask(control, control_token_file, ca, lambda client: client.nodes())
        nodes = tuple(
            _reached(document["name"], document["http"], _polled(document["tentacle"])) for document in documents
        )
    else:
        nodes = _EXAMPLES
        click.echo(
            "mocknode: no --node given: replace the addresses 192.0.2.x with those of your nodes, "
            f"or use those of a running cluster with --control {DEFAULT_CONTROL}",
            err=True,
        )
    try:
        files = balancers.production(name, mode, nodes, public_name)
        if output is not None:
            _write(output, files)
            return
        if len(files) > 1:
            click.echo(
                f"mocknode: {len(files)} files: {', '.join(files)}; --output DIR writes each to a file of its own",
                err=True,
            )
        click.echo(balancers.print_config(name, mode, nodes, public_name), nl=False)
    except balancers.BalancerError as exc:
        raise UsageError(str(exc)) from exc


def _write(directory: Path, files: Mapping[str, str]) -> None:
    """Write each file under its own name, and never overwrite one."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            with (directory / Path(path).name).open("x", encoding="utf-8") as file:
                file.write(text)
            click.echo(f"{directory / Path(path).name}   belongs at {path}")
    except OSError as exc:
        raise UsageError(
            f"--output {exc.filename}: {exc.strerror}; allowed is a directory without these files"
        ) from exc


_COMMANDLINE = click.core.ParameterSource.COMMANDLINE


async def _found() -> list[dict[str, Any]]:
    """Every balancer, with its program where one is installed; the programs are asked for their versions in parallel."""
    return list(await asyncio.gather(*(asyncio.to_thread(_describe, kind) for kind in balancers.KINDS)))


def _describe(kind: str) -> dict[str, Any]:
    document: dict[str, Any] = {"name": kind, "modes": list(balancers.MODES(kind))}
    try:
        binary = balancers.find(kind)
    except balancers.BalancerNotFoundError as exc:
        return document | {"version": None, "path": None, "source": None, "why": str(exc)}
    return document | {"version": binary.version, "path": str(binary.path), "source": binary.source, "why": None}


def _node(text: str) -> Node:
    allowed = "NAME=HOST:PORT[,tentacle=HOST:PORT] with ports from 1 to 65535"
    name, separator, addresses = text.partition("=")
    web, comma, polled = addresses.partition(",tentacle=")
    if not separator or not name:
        raise UsageError(f"--node: got {text!r}, allowed: {allowed}")
    try:
        dialled = _reached(name, f"tcp://{polled}") if comma else None
        return _reached(name, f"http://{web}", Polled(host=dialled.host, port=dialled.port) if dialled else None)
    except ValueError as exc:
        raise UsageError(f"--node: got {text!r}, allowed: {allowed}") from exc


def _polled(document: dict[str, Any] | None) -> Polled | None:
    return None if document is None else Polled(host=document["host"], port=document["port"])


def _reached(name: str, url: str, tentacle: Polled | None = None) -> Node:
    parts = urlsplit(url)
    # They become part of a configuration, where a brace or a new line would be syntax.
    good = NODE_NAME.fullmatch(name) and url.isprintable() and is_host(parts.hostname or "")
    if not good or not parts.hostname or not parts.port or parts.path:
        raise ValueError(f"{url} is not the address of a node")
    return Node(name=name, host=parts.hostname, port=parts.port, tentacle=tentacle)
