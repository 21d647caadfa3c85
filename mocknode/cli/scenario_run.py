"""`mocknode scenario run` and `mocknode scenario judge`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.errors import ENVIRONMENT, UsageError
from mocknode.cli.progress import Progress
from mocknode.cli.running import cancel_on_signals, complain, refused_options, run_loop
from mocknode.cli.target import FILE_TO_WRITE, target_options

if TYPE_CHECKING:
    from mocknode.script.run_session import ScenarioOptions
    from mocknode.script.script_report import ScenarioReport

NOT_JUDGED: Final = 4
"""The balancer lacks what the scenario needs, so nothing could be judged."""


def settings_of(words: Sequence[str]) -> dict[str, str]:
    """Return the values of parameters that `--set NAME=VALUE` gives.

    Raises:
        UsageError: a word without `=`.
    """
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise UsageError(f"--set: got {word!r}, allowed: NAME=VALUE, such as --set away=10s")
        found[name] = value
    return found


@click.command(context_settings={"auto_envvar_prefix": "MOCKNODE_SCENARIO_RUN"})
@click.argument("scenario", metavar="FILE|NAME")
@target_options
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give a parameter this value.")
@click.option(
    "--rehearse", is_flag=True, help="Do everything but the disturbances, to see that the expectations can hold."
)
@click.option("--json", type=FILE_TO_WRITE, help="Write the report as JSON.")
@click.option("--html", type=FILE_TO_WRITE, help="Write the report as one HTML file.")
@click.option("--junit", type=FILE_TO_WRITE, help="Write the report as JUnit XML.")
@click.option("--markdown", type=FILE_TO_WRITE, help="Write the report as Markdown.")
def run(settings: Sequence[str], **flags: Any) -> None:
    """Run a scenario through a load balancer, and judge what happened.

    Exit codes: 0 held; 1 an expectation did not hold; 2 wrong usage or a mistake in the file; 3 a problem of the environment, or a
    cluster that could not be restored; 4 something could not be judged; 5 the figures cannot be trusted; 130 interrupted.
    """
    from mocknode.script.run_session import ScenarioOptions

    with refused_options():
        reproduce = shlex.join(["mocknode", *sys.argv[1:]])
        sys.exit(_run(ScenarioOptions(**flags, settings=settings_of(settings), reproduce=reproduce)))


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", type=FILE_TO_WRITE, help="Write the report as JSON.")
@click.option("--html", type=FILE_TO_WRITE, help="Write the report as one HTML file.")
@click.option("--junit", type=FILE_TO_WRITE, help="Write the report as JUnit XML.")
@click.option("--markdown", type=FILE_TO_WRITE, help="Write the report as Markdown.")
def judge(run_dir: Path, **files: Path | None) -> None:
    """Judge a saved run of a scenario again, from its record alone."""
    from mocknode.judge.run.outputs import refuse_unwritable
    from mocknode.script.run_session import judge_again, write

    given = {name: path for name, path in files.items() if path is not None}
    with refused_options():
        refuse_unwritable(given)
        report = judge_again(run_dir)
    write(report, given)
    _show(report, list(given.values()))
    sys.exit(report["exit_code"])


def _run(options: "ScenarioOptions") -> int:
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.load.generator import GeneratorError
    from mocknode.script.engine import SkippedError
    from mocknode.script.reading import ScenarioError

    try:
        with Progress() as progress:
            report = run_loop(_report(options, progress))
    except ScenarioError as exc:
        raise UsageError(str(exc)) from exc
    except SkippedError as exc:
        complain(f"skipped: {exc}")
        return NOT_JUDGED
    except (LaneError, GeneratorError) as exc:
        complain(str(exc))
        return ENVIRONMENT
    _show(report, list(options.files.values()))
    return report["exit_code"]


async def _report(options: "ScenarioOptions", progress: Progress) -> "ScenarioReport":
    from mocknode.script.run_session import run_scenario

    # A second signal must not break off the restoring.
    cancel_on_signals(once=True)
    return await run_scenario(options, progress.say)


def _show(report: "ScenarioReport", files: Sequence[Path]) -> None:
    from mocknode.script.script_report import screen

    click.echo(screen(report, [str(file) for file in files]), nl=False)
