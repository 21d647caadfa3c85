"""`snapshot`, `restore`, `snapshots`."""

import json
from pathlib import Path

import click

from mocknode.cli.connection import ask, cluster_options
from mocknode.cli.tables import snapshot_table


@click.command()
@click.argument("name")
@cluster_options
def snapshot(name: str, control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Put the data aside as NAME: packages, spaces, users, keys, feeds, tasks, Tentacles and counters of ids.

    A snapshot of that name is replaced. The states and faults of nodes are no part of it.
    """
    taken = ask(control, control_token_file, ca, lambda client: client.snapshot(name))
    click.echo(json.dumps(taken) if as_json else f"{name} has {taken['packages']} packages")


@click.command()
@click.argument("name")
@cluster_options
def restore(name: str, control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Have the data as they were when NAME was taken; `fixtures` is what `up --fixtures` loaded.

    Uploads that are on their way are refused (503) when they end. Tasks that ran wait again. Nodes stay what they are.
    """
    ask(control, control_token_file, ca, lambda client: client.restore(name))
    click.echo(json.dumps({"name": name}) if as_json else f"the data are those of {name}")


@click.command()
@click.option("--delete", "unwanted", metavar="NAME", help="Delete this one instead of listing them.")
@cluster_options
def snapshots(
    unwanted: str | None, control: str, control_token_file: Path | None, ca: Path | None, as_json: bool
) -> None:
    """List the snapshots."""
    if unwanted is not None:
        ask(control, control_token_file, ca, lambda client: client.delete_snapshot(unwanted))
        click.echo(json.dumps({"name": unwanted}) if as_json else f"{unwanted} is deleted")
        return
    found = ask(control, control_token_file, ca, lambda client: client.snapshots())
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(snapshot_table(found) if found else "no snapshots\n", nl=False)
