"""`mocknode judge RUN_DIR`: the verdicts again, from the record."""

import datetime
import sys
from pathlib import Path

import click

from mocknode.cli.check import EXIT_USAGE, show


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "json_", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as one HTML file.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as JUnit XML.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as Markdown.")
def judge(run_dir: Path, json_: Path | None, html: Path | None, junit: Path | None, markdown: Path | None) -> None:
    """Judge a saved run again, from its record alone; the exit code is that of its verdicts."""
    from mocknode.judge.report import write
    from mocknode.judge.run import judging
    from mocknode.judge.run import run_directory as saved
    from mocknode.judge.run.runner import report_document, timeline_of
    from mocknode.judge.verdict.outcome import EXIT_CODES, overall

    try:
        run = saved.load(run_dir)
    except saved.SavedRunError as exc:
        click.echo(f"mocknode: {exc}", err=True)
        sys.exit(EXIT_USAGE)
    try:
        day = datetime.datetime.fromisoformat(run.report["started"]).date()
        results = judging.judge(run.done, run.facts, run.histories, run.calibration, day)
        timelines = {id_: timeline_of(id_, run.facts, run.histories) for id_ in run.done}
        document = report_document(run.report, run.facts, results, run.histories, run.calibration, run_dir, timelines)
        code = EXIT_CODES[overall(results, trusted=run.report["trusted"])]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        # Judges answer for themselves; what fails here is what `run.json` says about the run.
        click.echo(f"mocknode: {run_dir / saved.RUN_FILE} is not as this version writes it: {exc!r}", err=True)
        sys.exit(EXIT_USAGE)
    write(document, json=json_, html=html, junit=junit, markdown=markdown)
    show(document, [str(path) for path in (json_, html, junit, markdown) if path])
    sys.exit(code)
