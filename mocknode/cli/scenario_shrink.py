"""`mocknode scenario shrink`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.errors import DURATION, ENVIRONMENT
from mocknode.cli.progress import Progress
from mocknode.cli.running import cancel_on_signals, complain, refused_options, run_loop
from mocknode.cli.target import target_options

if TYPE_CHECKING:
    from mocknode.script.run_session import ScenarioOptions
    from mocknode.script.shrinking import Shrunk

BUDGET: Final = "30m"


@click.command(context_settings={"auto_envvar_prefix": "MOCKNODE_SCENARIO_SHRINK"})
@click.argument("failed_run", metavar="RUN_DIR", type=click.Path(path_type=Path, file_okay=False))
@target_options
@click.option("--budget", type=DURATION, default=BUDGET, show_default=True, help="Stop after this time.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the scenario (default: shrunk.yaml in RUN_DIR).",
)
def shrink(failed_run: Path, budget: float, output: Path | None, **flags: Any) -> None:
    """Find the smallest scenario that fails as a saved run did.

    Steps are dropped, then streams, then times and users are halved. Each candidate is run through the balancer, which is given as for
    `scenario run`, and counts if it fails in the same way in two of three runs. What is left needs no seed.
    """
    from mocknode.script.run_session import ScenarioOptions
    from mocknode.script.shrink_session import OUTPUT_FILE

    file = output or failed_run / OUTPUT_FILE
    with refused_options():
        options = ScenarioOptions(**flags, scenario=str(failed_run))
        sys.exit(_shrink(failed_run, options, budget, file))


def _shrink(failed_run: Path, options: "ScenarioOptions", budget_s: float, output: Path) -> int:
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.load.generator import GeneratorError

    try:
        with Progress() as progress:
            found = run_loop(_search(failed_run, options, budget_s, output, progress))
    except (LaneError, GeneratorError) as exc:
        complain(str(exc))
        return ENVIRONMENT
    left = f"{len(found.scenario.schedule)} steps and {len(found.scenario.workload)} streams are left"
    end = "" if found.finished else "; the budget ran out before everything was tried"
    click.echo(f"{left} after {found.runs} runs{end}: {output}")
    return 0


async def _search(
    failed_run: Path, options: "ScenarioOptions", budget_s: float, output: Path, progress: Progress
) -> "Shrunk":
    from mocknode.script.shrink_session import shrink_run

    # A second signal must not break off the restoring.
    cancel_on_signals(once=True)
    return await shrink_run(failed_run, options, budget_s=budget_s, output=output, say=progress.say)
