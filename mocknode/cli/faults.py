"""`fault` and `faults`."""

import json
from pathlib import Path
from typing import Any, Final

import click

from mocknode.cli.connection import ask, cluster_options
from mocknode.cli.errors import UsageError, Whole
from mocknode.cli.tables import fault_table
from mocknode.mock.node.refusals import RefusedError
from mocknode.text.suggestions import did_you_mean

_COMMON: Final = ("on", "first", "every", "after", "ttl", "attempt")
"""Options that every kind of fault has."""


class FaultCommand(click.Command):
    """Its help lists every kind of fault with its options, from the registry."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the kinds."""
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
    "--on", default="all", show_default=True, metavar="SCOPE", help="Which requests: ping, api or all; or tentacle."
)
@click.option("--first", type=Whole(1), help="Act on so many requests, then end.")
@click.option("--every", type=Whole(1), help="Act on each k-th matching request only.")
@click.option("--after", metavar="WHEN", help="Not before: `5s`, `3 pings`, `30% of an upload`, `64KiB`.")
@click.option("--ttl", metavar="DURATION", help="End by itself after this long.")
@click.option("--attempt", metavar="ID", help="Act on the request with this X-Mocknode-Attempt only.")
@cluster_options
def fault(
    node: str,
    kind: str,
    options: tuple[str, ...],
    on: str,
    first: int | None,
    every: int | None,
    after: str | None,
    ttl: str | None,
    attempt: str | None,
    control: str,
    control_token_file: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Set a fault on NODE. On a node that is down it acts from its next start's first connection on."""
    from mocknode.mock.node.faults import parse_fault

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
    number = ask(control, control_token_file, ca, lambda client: client.add_fault(node, **wanted))
    click.echo(json.dumps({"node": node, "id": number}) if as_json else f"{node} has fault {number}: {kind}")


@click.command()
@cluster_options
def faults(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """List the faults that are set, node by node."""
    nodes = ask(control, control_token_file, ca, lambda client: client.nodes())
    found = [(node["name"], item) for node in nodes for item in node["faults"]]
    if as_json:
        click.echo(json.dumps([{"node": node, **item} for node, item in found]))
    else:
        click.echo(fault_table(found) if found else "no faults are set\n", nl=False)


def _options(kind: str, words: tuple[str, ...]) -> dict[str, str]:
    """`--code 503 --body=x` as a mapping."""
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, separator, value = word.partition("=")
        if not word.startswith("--") or (not separator and not rest):
            raise UsageError(f"fault {kind}: got {word!r}, allowed: --option value; see `mocknode fault --help`")
        options[name.removeprefix("--")] = value if separator else rest.pop(0)
    return options


def _with_hint(exc: RefusedError) -> str:
    """The refusal, with the option that was meant: one of this kind's, or one that all kinds have."""
    return exc.detail + (did_you_mean(exc.got, [*exc.allowed, *_COMMON]) if isinstance(exc.got, str) else "")
