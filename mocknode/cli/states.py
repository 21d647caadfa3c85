"""`mocknode status`, `drain`, `resume`, `offline`, `online` and `reset`."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.connection import ClusterFlags, cluster_options
from mocknode.cli.errors import DURATION, EnvironmentFailureError, UsageError
from mocknode.cli.tables import node_table

if TYPE_CHECKING:
    from mocknode.mock.cluster.client import ControlClient

_LOOK_S: Final = 0.1
_RESTARTED: Final = "; its process had ended and was started again"
_AFTER = click.option(
    "--after",
    metavar="WHEN",
    help="When to do it: after a time (`5s`), a number of probes (`3 pings`) or a share of an upload (`30% of an upload`). "
    "Default: now.",
)


@click.command()
@cluster_options
def status(cluster: ClusterFlags) -> None:
    """Show every node's state, addresses, faults and counters."""
    nodes = cluster.ask(lambda client: client.nodes())
    click.echo(json.dumps(nodes) if cluster.as_json else node_table(nodes), nl=cluster.as_json)


_DATA_LEFT: Final = {"data": "data kept", "fixtures": "data as in the fixtures", "nothing": "no packages"}


@click.command()
@click.option(
    "--keep",
    type=click.Choice(["data", "fixtures"]),
    help="data: keep packages, users and all other data. fixtures: restore what `up --fixtures` loaded. Default: the data of a fresh "
    "server. Snapshots are kept in any case.",
)
@cluster_options
def reset(cluster: ClusterFlags, keep: str | None) -> None:
    """Bring every node online and remove all faults, triggers, tasks and data."""
    kept = keep or "nothing"
    nodes = cluster.ask(lambda client: client.reset(kept))
    click.echo(json.dumps(nodes) if cluster.as_json else f"{len(nodes)} nodes online, no faults, {_DATA_LEFT[kept]}")


def _change(name: str, state: str, summary: str) -> Callable[..., Any]:
    @click.command(name, help=summary)
    @click.argument("node")
    @_AFTER
    @cluster_options
    def command(cluster: ClusterFlags, node: str, after: str | None) -> None:
        async def conversation(client: "ControlClient") -> tuple[dict[str, Any], dict[str, Any]]:
            before = await client.node(node)
            if name == "resume" and before["state"] == "offline":
                raise UsageError(
                    f"{node} is offline ({before['how']}), not draining; `mocknode online {node}` brings it back"
                )
            return before, await client.set_state(node, state, None, after)

        before, document = cluster.ask(conversation)
        _show(cluster, document, after, "" if before["alive"] else _RESTARTED)

    return command


resume = _change("resume", "online", "End a node's drain, so that it is online again.")
online = _change("online", "online", "Bring a node back from any state; a crashed node is started again.")


@click.command()
@click.argument("node")
@_AFTER
@click.option("--cancel-tasks", is_flag=True, help="Cancel the tasks that the node runs. Without it they finish.")
@click.option(
    "--wait",
    type=DURATION,
    metavar="DURATION",
    help="Wait until the node runs no task, at most this long; exit code 3 if it still runs one then.",
)
@cluster_options
def drain(cluster: ClusterFlags, node: str, after: str | None, cancel_tasks: bool, wait: float | None) -> None:
    """Drain a node: it answers 418 to the ping, takes no new tasks, and serves everything else."""

    async def conversation(client: "ControlClient") -> tuple[dict[str, Any], dict[str, Any], int]:
        before = await client.node(node)
        document = await client.set_state(node, "draining", None, after, cancel_tasks=cancel_tasks)
        return before, document, 0 if wait is None else await _tasks_left(client, node, wait)

    before, document, left = cluster.ask(conversation)
    aside = "" if before["alive"] else _RESTARTED
    if wait is not None and not left:
        aside += "; it runs no task"
    _show(cluster, document, after, aside)
    if left:
        raise EnvironmentFailureError(f"{node} still runs {left} tasks; --cancel-tasks cancels them")


async def _tasks_left(client: "ControlClient", node: str, wait_s: float) -> int:
    """How many tasks a node still runs after waiting for them."""
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
    help="refuse (close the listeners), stop (the same, and reset what is not done after 30 s, as a stopped service does), "
    "crash (SIGKILL), freeze (SIGSTOP), blackhole (accept connections and never answer), "
    "status:NNN (answer everything with this status) or garbage (answer with bytes that are not HTTP).",
)
@_AFTER
@cluster_options
def offline(cluster: ClusterFlags, node: str, how: str, after: str | None) -> None:
    """Take a node offline, in one of several ways."""
    document = cluster.ask(lambda client: client.set_state(node, "offline", how, after))
    _show(cluster, document, after)


def _show(cluster: ClusterFlags, document: dict[str, Any], after: str | None, aside: str = "") -> None:
    if cluster.as_json:
        click.echo(json.dumps(document))
        return
    how = f" ({document['how']})" if document["how"] else ""
    later = f"; the change takes effect after {after}" if after else ""
    click.echo(f"{document['name']} is {document['state']}{how}{later}{aside}")
