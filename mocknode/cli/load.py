"""`mocknode load`."""

import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.errors import DURATION, ENVIRONMENT, INTERRUPTED, Whole
from mocknode.cli.output import looks
from mocknode.cli.progress import Progress
from mocknode.cli.running import cancel_on_signals, complain, refused_options, run_loop
from mocknode.cli.target import FILE_TO_WRITE, SIZE, target_options

if TYPE_CHECKING:
    from mocknode.load.options import LoadOptions
    from mocknode.load.session import LoadOutcome

USERS_MAX: Final = 10_000
"""Each user needs a socket, and most systems let a process open fewer than this."""
WORKERS_MAX: Final = 64
UPLOADS_MAX: Final = 10_000_000
"""The ledger of so many uploads takes some gigabytes."""
WEB_UI: Final = "127.0.0.1:8089"
_INTERRUPTED: Final = (
    "interrupted; everything that was started has been stopped, and the report holds what was measured so far"
)


@click.command(context_settings={"auto_envvar_prefix": "MOCKNODE_LOAD"})
@target_options
@click.option("--tls", is_flag=True, help="Upload over HTTPS through --with, and verify its certificate.")
@click.option(
    "--users", type=Whole(0, USERS_MAX), default="20", show_default=True, help="Builds that push at the same time."
)
@click.option(
    "--actions",
    type=Whole(0, USERS_MAX),
    default="0",
    help="Runs of the GitHub Action; each pushes 3 packages in parallel.",
)
@click.option(
    "--deltas",
    type=Whole(0, USERS_MAX),
    default="0",
    help="Builds that push only what changed since their last push (Octodiff).",
)
@click.option(
    "--shape",
    default="steady",
    show_default=True,
    help="How many users are active over time. steady: all of them. soak: all of them, for an hour unless --duration is given. "
    "ramp[:TIME]: rising to all of them. spike[:FROM..TO]: all of them in between, a tenth outside. storm[:FROM..TO]: nobody during an "
    "outage, then all at once when the balancer answers again; without times it follows the first outage in --schedule (default: "
    "'refuse all').",
)
@click.option(
    "--rate",
    metavar="N/s",
    help="Start this many uploads a second, made by whichever of --users are free (open loop). Latency counts from the moment at "
    "which an upload was due.",
)
@click.option("--browsers", type=Whole(0, USERS_MAX), default="0", help="People who browse the portal meanwhile.")
@click.option(
    "--monitors", type=Whole(0, USERS_MAX), default="0", help="Monitors that ping through the balancer meanwhile."
)
@click.option(
    "--workers", type=Whole(1, WORKERS_MAX), default="1", show_default=True, help="Processes that generate the load."
)
@click.option("--duration", type=DURATION, help="How long to start uploads (default: 60s).")
@click.option(
    "--uploads",
    type=Whole(0, UPLOADS_MAX),
    default="0",
    help="Stop after this many uploads. They are the same ones for the same --seed.",
)
@click.option(
    "--sizes",
    default="64KiB..16MiB",
    show_default=True,
    help="Package sizes: SIZE, or LOW..HIGH (log-uniform), or several of these as SIZES:WEIGHT, separated by commas.",
)
@click.option(
    "--forms",
    default="chunked,length",
    show_default=True,
    help="Framing of uploads: chunked, as the Go CLI sends them; length (Content-Length), as the TypeScript client does.",
)
@click.option(
    "--link",
    type=SIZE,
    default="8MiB",
    show_default=True,
    help="Bytes a second that each build can send; 0 means no limit.",
)
@click.option(
    "--schedule",
    metavar="EVENTS",
    help="What to do to the nodes meanwhile, such as 'drain each', 'crash node-2 at 20s for 5s; drain node-1' or 'freeze all'. Events "
    "without times share the run equally; each lasts for the middle half of its share.",
)
@click.option(
    "--fail-if",
    multiple=True,
    metavar="CONDITION",
    help="Also fail the run if this holds, such as 'p99>2s' or 'error_rate>1%'. May be given several times. Metrics of acknowledged "
    "uploads: p50 p90 p95 p99 p99.9 min mean max. Time until a draining node gets no new upload: drain_reaction. Counts: attempts lost "
    "doubled corrupted failed failed_undisturbed refused broken_off stored_but_reported_failed unresolved reads_failed. Rates: "
    "error_rate per_second drift.",
)
@click.option(
    "--abort-on-fail",
    is_flag=True,
    help="Stop as soon as the run is certain to fail, for example when an upload is lost.",
)
@click.option(
    "--web-ui",
    metavar="[HOST:PORT]",
    is_flag=False,
    flag_value=WEB_UI,
    help=f"Serve locust's web UI during the run (default address: {WEB_UI}).",
)
@click.option(
    "--unverified",
    is_flag=True,
    help="The servers behind --lb are not mock nodes, so there is no ledger. The packages (mocknode-*) stay on these servers.",
)
@click.option("--api-key", help="API key for --unverified. MOCKNODE_LOAD_API_KEY is safer: other users cannot see it.")
@click.option("--space", default="Spaces-1", show_default=True, help="Space to push to with --unverified.")
@click.option(
    "--space-name", default="Default", show_default=True, help="Name of that space, which --actions look it up by."
)
@click.option(
    "--find-limit",
    metavar="DEMAND",
    help="Search for the highest upload rate that still meets DEMAND, such as 'p99<5s and lost==0'. Each probe is a run of "
    "--duration.",
)
@click.option(
    "--limit-of",
    type=click.Choice(("rate", "uploads")),
    default="rate",
    show_default=True,
    help="What --find-limit raises: uploads started a second, or uploads in progress at once (of 1GiB, unless --sizes is given).",
)
@click.option("--json", type=FILE_TO_WRITE, help="Write the report as JSON.")
@click.option("--html", type=FILE_TO_WRITE, help="Write the report as one HTML file.")
@click.option("--csv", type=FILE_TO_WRITE, help="Write one line of CSV for each attempt.")
def load(**flags: Any) -> None:
    """Push packages through a load balancer and account for every upload.

    Exit codes: 0 held; 1 an upload was lost, doubled, corrupted or failed, or a --fail-if condition holds; 2 wrong usage; 3 a
    problem of the environment; 4 the outcome of some uploads is unknown; 5 the load generator's figures cannot be trusted; 130
    interrupted.
    """
    from mocknode.load.options import LoadOptions

    source = click.get_current_context().get_parameter_source
    given = frozenset(name for name in flags if source(name) is not click.core.ParameterSource.DEFAULT)
    with refused_options():
        sys.exit(_load(LoadOptions(**flags, given=given, reproduce=_command(flags["api_key"]))))


def _command(secret: str | None) -> str:
    """The command line for the report, without the API key."""
    words = sys.argv[1:] if secret is None else [word.replace(secret, "API-...") for word in sys.argv[1:]]
    return shlex.join(["mocknode", *words])


def _load(options: "LoadOptions") -> int:
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.load.generator import GeneratorError

    try:
        with Progress() as progress:
            outcome = run_loop(_run(options, progress))
    except (LaneError, GeneratorError) as exc:
        complain(str(exc))
        return ENVIRONMENT
    _show(outcome)
    if outcome.exit_code == INTERRUPTED:
        complain(_INTERRUPTED)
    return outcome.exit_code


async def _run(options: "LoadOptions", progress: Progress) -> "LoadOutcome":
    from mocknode.load.session import run_load

    cancel_on_signals(once=True)
    return await run_load(options, progress.say, complain)


def _show(outcome: "LoadOutcome") -> None:
    """Print the screen of a run or of a search, and which report files could not be written."""
    from mocknode.load import limit, terminal

    files = [str(path) for path in outcome.written]
    if outcome.search is not None:
        for line in [*limit.lines(outcome.search), *(f" written: {file}" for file in files)]:
            click.echo(line)
    if outcome.report is not None:
        colour, unicode = looks()
        screen = terminal.render(outcome.report, colour=colour, unicode=unicode, files=files)
        click.echo(screen, nl=False, color=colour)
    for text in outcome.unwritten:
        complain(text)
