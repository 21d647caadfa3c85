"""`mocknode check` and `mocknode checks`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.errors import DURATION, ENVIRONMENT, INTERRUPTED
from mocknode.cli.output import looks
from mocknode.cli.progress import Progress
from mocknode.cli.running import cancel_on_signals, complain, refused_options, run_loop
from mocknode.cli.target import FILE_TO_WRITE, SIZE, target_options

if TYPE_CHECKING:
    from mocknode.judge.report import Report
    from mocknode.judge.run.session import CheckOptions

_INTERRUPTED: Final = (
    "interrupted; everything that was started has been stopped, and the report holds what was judged so far"
)


@click.command(context_settings={"auto_envvar_prefix": "MOCKNODE_CHECK"})
@target_options
@click.option(
    "--standby",
    metavar="URL",
    help="Control API of a second cluster behind --lb, which takes over when no node of the first is healthy. Needed for profile "
    "region. It must accept the token and CA of --control.",
)
@click.option("--balancer-file", type=FILE_TO_WRITE, help="YAML file that declares facts about the balancer.")
@click.option("--shipped-interval", is_flag=True, help="Keep the vendor's default probe interval in --with.")
@click.option(
    "--profile",
    "profiles",
    help="Profiles to judge, separated by commas: web, upload, polling. Default: all that the balancer offers. Or region, on its "
    "own, which needs two clusters.",
)
@click.option("--only", help="Checks to run: ids separated by commas.")
@click.option("--core", is_flag=True, help="Report core claims only; the exit code covers only them.")
@click.option("--quick", is_flag=True, help="Judge the short form of each claim.")
@click.option(
    "--patience",
    type=DURATION,
    default="75s",
    show_default=True,
    help="Longest silence that the balancer must tolerate on a connection.",
)
@click.option("--max-upload", type=SIZE, help="Largest request body to send. It does not declare a limit.")
@click.option("--public-name", help="Name that users ask for. Default: the name in --host or --lb.")
@click.option(
    "--tentacle",
    "tentacles",
    multiple=True,
    metavar="NODE=HOST:PORT",
    help="Address at --lb where Tentacles poll this node. Give one for each node, separated by commas.",
)
@click.option("--json", type=FILE_TO_WRITE, help="Write the report as JSON.")
@click.option("--html", type=FILE_TO_WRITE, help="Write the report as one HTML file.")
@click.option("--junit", type=FILE_TO_WRITE, help="Write the report as JUnit XML.")
@click.option("--markdown", type=FILE_TO_WRITE, help="Write the report as Markdown.")
def check(**flags: Any) -> None:
    """Judge the load balancer in front of a mock cluster."""
    from mocknode.judge.run.session import CheckOptions

    with refused_options():
        sys.exit(_check(CheckOptions(**flags, reproduce=shlex.join(["mocknode", *sys.argv[1:]]))))


@click.command()
def checks() -> None:
    """List the checks."""
    from mocknode.judge.catalogue.registry import CHECKS

    for item in CHECKS.values():
        click.echo(f"{item.id}  {item.name:<28} {item.profile:<7} {item.claim}")


def _check(options: "CheckOptions") -> int:
    from mocknode.judge.lab.lanes import LaneError

    try:
        with Progress() as progress:
            code, document = run_loop(_run(options, progress))
    except LaneError as exc:
        complain(str(exc))
        return ENVIRONMENT
    if document is not None:
        show(document, list(options.files.values()))
    if code == INTERRUPTED:
        complain(_INTERRUPTED)
    return code


async def _run(options: "CheckOptions", progress: Progress) -> "tuple[int, Report | None]":
    from mocknode.judge.run.session import run_check

    interruption = cancel_on_signals()
    return await run_check(options, progress, complain, lambda: interruption.requested)


def show(document: "Report", files: Sequence[Path]) -> None:
    """Print the first screen, as wide and as colourful as standard output can show."""
    from mocknode.judge.report import terminal

    colour, unicode = looks()
    screen = terminal.render(document, colour=colour, unicode=unicode, files=[str(path) for path in files])
    click.echo(screen, nl=False, color=colour)
