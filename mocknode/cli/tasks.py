"""`mocknode task` and `tasks`."""

import json
from collections import Counter

import click

from mocknode.cli.connection import ClusterFlags, cluster_options
from mocknode.cli.errors import UsageError, Whole
from mocknode.cli.tables import task_table


@click.command()
@click.argument("duration", required=False)
@click.option("--count", type=Whole(1, 1000), default=1, show_default=True, help="How many tasks to queue.")
@click.option(
    "--description", default="A task", show_default=True, help="Description that the node's details show for it."
)
@click.option("--cancel", metavar="ID", help="Cancel this task instead of queueing one.")
@cluster_options
def task(cluster: ClusterFlags, duration: str | None, count: int, description: str, cancel: str | None) -> None:
    """Queue tasks that run for DURATION, such as 30s.

    A node that has room for a task takes it the next time it looks: every 20 s, as real nodes do, or as `up --task-poll` says.
    """
    if (duration is None) == (cancel is None):
        raise UsageError("task: give either a DURATION such as 30s, or --cancel ID")
    if cancel is not None:
        cluster.ask(lambda client: client.cancel_task(cancel))
        click.echo(json.dumps({"id": cancel}) if cluster.as_json else f"cancelled {cancel}")
        return
    added = cluster.ask(lambda client: client.add_tasks(str(duration), count, description))
    click.echo(json.dumps(added) if cluster.as_json else "queued: " + ", ".join(item["id"] for item in added))


@click.command()
@cluster_options
def tasks(cluster: ClusterFlags) -> None:
    """List the tasks: which node runs each of them, and which wait."""
    found = cluster.ask(lambda client: client.tasks())
    if cluster.as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("no tasks")
    else:
        counts = Counter(item["state"].lower() for item in found)
        click.echo(task_table(found), nl=False)
        click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
