"""`status`, `drain`, `resume`, `offline`, `online`, `reset`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mocknode.cli.connection import ask, cluster_options
from mocknode.cli.errors import UsageError
from mocknode.cli.tables import node_table

if TYPE_CHECKING:
    from mocknode.cluster.client import ControlClient

_AFTER = click.option(
    "--after", metavar="WHEN", help="When: a time `5s`, probes `3 pings`, or a share `30% of an upload`. Default: now."
)


@click.command()
@cluster_options
def status(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Show every node: state, addresses, faults, counters."""
    nodes = ask(control, control_token_file, ca, lambda client: client.nodes())
    click.echo(json.dumps(nodes) if as_json else node_table(nodes), nl=as_json)


@click.command()
@cluster_options
def reset(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Bring every node online and remove all faults and triggers."""
    nodes = ask(control, control_token_file, ca, lambda client: client.reset())
    click.echo(json.dumps(nodes) if as_json else f"{len(nodes)} nodes online, no faults")


def _change(name: str, state: str, summary: str) -> Callable[..., Any]:
    @click.command(name, help=summary)
    @click.argument("node")
    @_AFTER
    @cluster_options
    def command(
        node: str, after: str | None, control: str, control_token_file: Path | None, ca: Path | None, as_json: bool
    ) -> None:
        async def conversation(client: "ControlClient") -> tuple[dict[str, Any], dict[str, Any]]:
            before = await client.node(node)
            if name == "resume" and before["state"] == "offline":
                raise UsageError(
                    f"{node} is offline ({before['how']}), not draining; `mocknode online {node}` brings it back"
                )
            return before, await client.set_state(node, state, None, after)

        before, document = ask(control, control_token_file, ca, conversation)
        _say(document, after, as_json, "" if before["alive"] else "; it was dead and was started again")

    return command


drain = _change("drain", "draining", "Drain a node: 418 on ping, everything else is served.")
resume = _change("resume", "online", "End a node's drain: it is online again.")
online = _change("online", "online", "Bring a node online, whatever it was; a crashed one is started again.")


@click.command()
@click.argument("node")
@click.option(
    "--how",
    default="refuse",
    show_default=True,
    metavar="FORM",
    help="refuse (listeners closed), crash (SIGKILL), freeze (SIGSTOP), blackhole (accepts, never answers), "
    "status:NNN (answers everything with it), garbage (answers that are no HTTP).",
)
@_AFTER
@cluster_options
def offline(
    node: str,
    how: str,
    after: str | None,
    control: str,
    control_token_file: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Take a node offline, in one of several forms."""
    document = ask(control, control_token_file, ca, lambda client: client.set_state(node, "offline", how, after))
    _say(document, after, as_json)


def _say(document: dict[str, Any], after: str | None, as_json: bool, aside: str = "") -> None:
    if as_json:
        click.echo(json.dumps(document))
        return
    how = f" ({document['how']})" if document["how"] else ""
    later = f"; the change waits for {after}" if after else ""
    click.echo(f"{document['name']} is {document['state']}{how}{later}{aside}")
