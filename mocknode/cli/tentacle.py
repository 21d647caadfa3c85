"""`mocknode tentacle`: the Tentacles that are registered with a cluster, and calls to them over Halibut."""

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from mocknode.cli.connection import ClusterFlags, cluster_options
from mocknode.cli.errors import DURATION, FAILED, UsageError
from mocknode.cli.running import complain
from mocknode.cli.tables import render
from mocknode.text.foreign import plain

if TYPE_CHECKING:
    from mocknode.mock.cluster.client import ControlClient


@click.group()
def tentacle() -> None:
    """List, register and call Tentacles."""


@tentacle.command("list")
@cluster_options
def list_(cluster: ClusterFlags) -> None:
    """List the registered Tentacles and their open connections at each node."""
    found = cluster.ask(lambda client: client.tentacles())
    if cluster.as_json:
        click.echo(json.dumps(found))
        return
    nodes = list(found[0]["nodes"]) if found else []
    rows = [
        [
            t["name"],
            t["uri"],
            t["thumbprint"],
            *("-" if t["nodes"][node] is None else str(t["nodes"][node]) for node in nodes),
        ]
        for t in found
    ]
    click.echo(render(["Tentacle", "uri", "thumbprint", *nodes], rows), nl=False)


@tentacle.command()
@click.argument("name")
@click.argument("thumbprint")
@click.argument("uri")
@cluster_options
def register(cluster: ClusterFlags, name: str, thumbprint: str, uri: str) -> None:
    """Make every node trust the Tentacle NAME with this THUMBPRINT.

    URI is its queue, such as poll://abc/, or the address where it listens, such as https://host:10933/.
    """
    found = cluster.ask(lambda client: client.register_tentacle(name, thumbprint, uri))
    click.echo(json.dumps(found) if cluster.as_json else f"every node trusts {name}")


@tentacle.command()
@click.argument("name")
@cluster_options
def unregister(cluster: ClusterFlags, name: str) -> None:
    """Stop trusting the Tentacle NAME on every node, and reset its connections."""
    cluster.ask(lambda client: client.unregister_tentacle(name))
    click.echo(json.dumps({"unregistered": name}) if cluster.as_json else f"no node trusts {name} any more")


@tentacle.command()
@click.argument("name")
@click.argument("what", default="health")
@click.option("--node", "node", default="node-1", show_default=True, help="Node that makes the call.")
@click.option("--body", help="Text of the script, for `script`.")
@click.option(
    "--collect", type=DURATION, help="How long a polling Tentacle may take to collect the call. Default: two minutes."
)
@cluster_options
def call(cluster: ClusterFlags, name: str, what: str, node: str, body: str | None, collect: float | None) -> None:
    """Call a Tentacle over Halibut. WHAT is health (default), capabilities or script.

    A node makes the call. It reaches a polling Tentacle through the connection that the Tentacle polls on, which goes through the
    balancer if the Tentacle polls there; it connects to a listening Tentacle directly. Exit code 1: the call failed.

    The first call after a polling Tentacle left or restarted may fail, as it may with a real server. A server does not read while
    it waits for work, so it may put the call on a connection that is already dead, and that call is lost. The next call uses a
    live connection.
    """
    if (what == "script") != bool(body):
        raise UsageError(
            "--body: got none, allowed for `script`: the text of the script"
            if what == "script"
            else f"--body: got {body!r}, allowed: a text with `script` only"
        )

    async def conversation(client: "ControlClient") -> dict[str, Any]:
        from mocknode.mock.cluster.client import CALL_FAILED, ControlError

        try:
            return {"ok": True, **await client.call_tentacle(node, name, what, body=body or "", collect_s=collect)}
        except ControlError as exc:
            if exc.status != CALL_FAILED:
                raise
            return {"ok": False, "error": exc.detail}

    answer = cluster.ask(conversation)
    if cluster.as_json:
        click.echo(json.dumps(answer))
    else:
        _show_answer(name, what, answer)
    if not answer["ok"]:
        sys.exit(FAILED)


def _show_answer(name: str, what: str, answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        complain(f"{what} of {name} failed: {answer['error']}")
        return
    with contextlib.suppress(KeyError):
        click.echo(f"{name} is {'healthy' if answer['healthy'] else 'not healthy'}, version {plain(answer['version'])}")
    for title in ("capabilities", "output"):
        if answer.get(title):
            click.echo(f"{title:13} {', '.join(map(plain, answer[title]))}")
    if "exit_code" in answer:
        click.echo(f"{'exit code':13} {answer['exit_code']}")
