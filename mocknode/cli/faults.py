"""`mocknode fault` and `faults`."""

import json
from typing import Any, Final

import click

from mocknode.cli.connection import ClusterFlags, cluster_options
from mocknode.cli.errors import UsageError, Whole
from mocknode.cli.tables import fault_table
from mocknode.mock.node.refusals import RefusedError
from mocknode.text.suggestions import did_you_mean

_COMMON: Final = ("on", "first", "every", "after", "ttl", "attempt")
"""Options that every kind of fault has."""


class FaultCommand(click.Command):
    """The command, whose help ends with every kind of fault and its options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the kinds, from the registry."""
        from mocknode.mock.node.faults import FAULTS, describe

        with formatter.section("Kinds and their options"):
            for kind in FAULTS:
                for line in describe(kind).splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


@click.command(cls=FaultCommand, context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("kind")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[--OPTION VALUE]...")
@click.option(
    "--on",
    default="all",
    show_default=True,
    metavar="SCOPE",
    help="Which requests it acts on: ping, api or all; or tentacle for Tentacle connections.",
)
@click.option("--first", type=Whole(1), help="Act on this many requests, then stop.")
@click.option("--every", type=Whole(1), help="Act on every N-th matching request only.")
@click.option(
    "--after", metavar="WHEN", help="When to start: after `5s`, `3 pings`, `30% of an upload` or `64KiB`. Default: now."
)
@click.option("--ttl", metavar="DURATION", help="Remove the fault after this time.")
@click.option(
    "--attempt", metavar="ID", help="Act only on the request with this value of the X-Mocknode-Attempt header."
)
@cluster_options
def fault(
    cluster: ClusterFlags,
    node: str,
    kind: str,
    options: tuple[str, ...],
    on: str,
    first: int | None,
    every: int | None,
    after: str | None,
    ttl: str | None,
    attempt: str | None,
) -> None:
    """Make NODE misbehave in one way: set a fault of this KIND.

    If the node is down, the fault acts from the first connection after its next start.
    """
    from mocknode.mock.node.faults import parse_fault

    # Click passes unknown options on as arguments, as each kind has options of its own.
    if unknown := next((word for word in (node, kind) if word.startswith("-")), None):
        raise UsageError(f"fault has no {unknown}; `mocknode fault --help` lists the kinds and their options")
    wanted: dict[str, Any] = {
        "kind": kind,
        "options": _options(kind, options),
        "on": on,
        "first": first,
        "every": every,
        "after": after,
        "ttl": ttl,
        "attempt": attempt,
    }
    try:
        parse_fault(wanted)
    except RefusedError as exc:
        raise UsageError(_with_hint(exc)) from exc
    number = cluster.ask(lambda client: client.add_fault(node, **wanted))
    click.echo(json.dumps({"node": node, "id": number}) if cluster.as_json else f"set fault {number} on {node}: {kind}")


@click.command()
@cluster_options
def faults(cluster: ClusterFlags) -> None:
    """List the faults of every node."""
    nodes = cluster.ask(lambda client: client.nodes())
    found = [(node["name"], item) for node in nodes for item in node["faults"]]
    if cluster.as_json:
        click.echo(json.dumps([{"node": node, **item} for node, item in found]))
    else:
        click.echo(fault_table(found) if found else "no faults\n", nl=False)


def _options(kind: str, words: tuple[str, ...]) -> dict[str, str]:
    """Read `--code 503 --body=x` into a mapping."""
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, separator, value = word.partition("=")
        if not word.startswith("--") or (not separator and not rest):
            raise UsageError(
                f"fault {kind}: got {word!r}, allowed: --OPTION VALUE; `mocknode fault --help` lists the options"
            )
        options[name.removeprefix("--")] = value if separator else rest.pop(0)
    return options


def _with_hint(exc: RefusedError) -> str:
    """The refusal, with the option that the user probably meant: one of this kind, or one that all kinds have."""
    return exc.detail + (did_you_mean(exc.got, [*exc.allowed, *_COMMON]) if isinstance(exc.got, str) else "")
