"""`mocknode judge RUN_DIR`."""

import sys
from pathlib import Path

import click

from mocknode.cli.check import show
from mocknode.cli.errors import USAGE
from mocknode.cli.running import complain
from mocknode.cli.target import FILE_TO_WRITE


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", type=FILE_TO_WRITE, help="Write the report as JSON.")
@click.option("--html", type=FILE_TO_WRITE, help="Write the report as one HTML file.")
@click.option("--junit", type=FILE_TO_WRITE, help="Write the report as JUnit XML.")
@click.option("--markdown", type=FILE_TO_WRITE, help="Write the report as Markdown.")
def judge(run_dir: Path, json: Path | None, html: Path | None, junit: Path | None, markdown: Path | None) -> None:
    """Judge a saved run again, from its record alone.

    The exit code is the one that `mocknode check` would give for these verdicts.
    """
    from mocknode.judge.report import write
    from mocknode.judge.run.run_directory import SavedRunError
    from mocknode.judge.run.session import judge_again

    try:
        code, document = judge_again(run_dir)
    except SavedRunError as exc:
        complain(str(exc))
        sys.exit(USAGE)
    write(document, json=json, html=html, junit=junit, markdown=markdown)
    show(document, [path for path in (json, html, junit, markdown) if path])
    sys.exit(code)
