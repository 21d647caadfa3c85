"""`status`, `drain`, `resume`, `offline`, `online`, `reset`."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.connection import ask, cluster_options
from mocknode.cli.errors import DURATION, EnvironmentFailureError, UsageError
from mocknode.cli.tables import node_table

if TYPE_CHECKING:
    from mocknode.mock.cluster.client import ControlClient

_LOOK_S: Final = 0.1
_AFTER = click.option(
    "--after", metavar="WHEN", help="When: a time `5s`, probes `3 pings`, or a share `30% of an upload`. Default: now."
)


@click.command()
@cluster_options
def status(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Show every node: state, addresses, faults, counters."""
    nodes = ask(control, control_token_file, ca, lambda client: client.nodes())
    click.echo(json.dumps(nodes) if as_json else node_table(nodes), nl=as_json)


_LEFT: Final = {"data": "data as they were", "fixtures": "data as the fixtures have them", "nothing": "no packages"}


@click.command()
@click.option(
    "--keep",
    type=click.Choice(["data", "fixtures"]),
    help="data: packages, users and all else stay; fixtures: they are again as `up --fixtures` loaded them. Default: they are "
    "again as in a fresh server. Snapshots stay.",
)
@cluster_options
def reset(keep: str | None, control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Bring every node online, remove all faults, triggers, tasks and data."""
    kept = keep or "nothing"
    nodes = ask(control, control_token_file, ca, lambda client: client.reset(kept))
    click.echo(json.dumps(nodes) if as_json else f"{len(nodes)} nodes online, no faults, {_LEFT[kept]}")


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


resume = _change("resume", "online", "End a node's drain: it is online again.")
online = _change("online", "online", "Bring a node online, whatever it was; a crashed one is started again.")


@click.command()
@click.argument("node")
@_AFTER
@click.option("--cancel-tasks", is_flag=True, help="Cancel what the node runs; without it, tasks are finished.")
@click.option(
    "--wait",
    type=DURATION,
    metavar="DURATION",
    help="Wait so long until the node runs no task; exit code 3 if it still does.",
)
@cluster_options
def drain(
    node: str,
    after: str | None,
    cancel_tasks: bool,
    wait: float | None,
    control: str,
    control_token_file: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Drain a node: 418 on ping, no new tasks, everything else is served."""

    async def conversation(client: "ControlClient") -> tuple[dict[str, Any], dict[str, Any], int]:
        before = await client.node(node)
        document = await client.set_state(node, "draining", None, after, cancel_tasks=cancel_tasks)
        return before, document, 0 if wait is None else await _tasks_left(client, node, wait)

    before, document, left = ask(control, control_token_file, ca, conversation)
    aside = "" if before["alive"] else "; it was dead and was started again"
    if wait is not None and not left:
        aside += "; it runs no task"
    _say(document, after, as_json, aside)
    if left:
        raise EnvironmentFailureError(f"{node} still runs {left} tasks; --cancel-tasks ends them")


async def _tasks_left(client: "ControlClient", node: str, wait_s: float) -> int:
    """How many tasks a node still runs when it has had so long."""
    deadline = time.monotonic() + wait_s
    while True:
        tasks = await client.tasks()
        left = len([task for task in tasks if task["node"] == node and task["state"] == "Executing"])
        if not left or time.monotonic() >= deadline:
            return left
        await asyncio.sleep(_LOOK_S)


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
