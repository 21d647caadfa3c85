"""`task` and `tasks`."""

import json
from collections import Counter
from pathlib import Path

import click

from mocknode.cli.connection import ask, cluster_options
from mocknode.cli.errors import UsageError, Whole
from mocknode.cli.tables import task_table


@click.command()
@click.argument("duration", required=False)
@click.option("--count", type=Whole(1, 1000), default=1, show_default=True, help="How many equal ones.")
@click.option("--description", default="A task", show_default=True, help="What the details of a node call it.")
@click.option("--cancel", metavar="ID", help="Cancel this task instead of queueing one.")
@cluster_options
def task(
    duration: str | None,
    count: int,
    description: str,
    cancel: str | None,
    control: str,
    control_token_file: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Queue tasks that run for DURATION, such as 30s; nodes with room pick them up when they look next: every 20 s,
    as real ones do, or as `up --task-poll` says."""
    if (duration is None) == (cancel is None):
        raise UsageError("task: give either a DURATION such as 30s, or --cancel ID")
    if cancel is not None:
        ask(control, control_token_file, ca, lambda client: client.cancel_task(cancel))
        click.echo(json.dumps({"id": cancel}) if as_json else f"{cancel} is cancelled")
        return
    added = ask(control, control_token_file, ca, lambda client: client.add_tasks(str(duration), count, description))
    click.echo(json.dumps(added) if as_json else "queued: " + ", ".join(item["id"] for item in added))


@click.command()
@cluster_options
def tasks(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """List the tasks: who runs which, and what waits."""
    found = ask(control, control_token_file, ca, lambda client: client.tasks())
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("no tasks")
    else:
        counts = Counter(item["state"].lower() for item in found)
        click.echo(task_table(found), nl=False)
        click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
