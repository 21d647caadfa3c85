"""`mocknode snapshot`, `restore` and `snapshots`."""

import json

import click

from mocknode.cli.connection import ClusterFlags, cluster_options
from mocknode.cli.tables import snapshot_table


@click.command()
@click.argument("name")
@cluster_options
def snapshot(cluster: ClusterFlags, name: str) -> None:
    """Save the data under NAME: packages, spaces, users, keys, feeds, tasks, Tentacles and id counters.

    A snapshot of that name is replaced. The states and faults of the nodes are not saved.
    """
    taken = cluster.ask(lambda client: client.snapshot(name))
    click.echo(json.dumps(taken) if cluster.as_json else f"saved {name}, packages: {taken['packages']}")


@click.command()
@click.argument("name")
@cluster_options
def restore(cluster: ClusterFlags, name: str) -> None:
    """Restore the data to what they were when the snapshot NAME was taken.

    `fixtures` is the snapshot of what `up --fixtures` loaded. Uploads in progress are refused (503) when they end. Tasks that
    were running are queued again. The states and faults of the nodes do not change.
    """
    cluster.ask(lambda client: client.restore(name))
    click.echo(json.dumps({"name": name}) if cluster.as_json else f"restored the data of {name}")


@click.command()
@click.option("--delete", "unwanted", metavar="NAME", help="Delete this snapshot instead of listing them.")
@cluster_options
def snapshots(cluster: ClusterFlags, unwanted: str | None) -> None:
    """List the snapshots, or delete one."""
    if unwanted is not None:
        cluster.ask(lambda client: client.delete_snapshot(unwanted))
        click.echo(json.dumps({"name": unwanted}) if cluster.as_json else f"deleted {unwanted}")
        return
    found = cluster.ask(lambda client: client.snapshots())
    if cluster.as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(snapshot_table(found) if found else "no snapshots\n", nl=False)
