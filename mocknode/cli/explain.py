"""`mocknode explain ID [REPORT]`: one check, from a saved report or from the catalogue. It needs no network."""

from collections.abc import Sequence
from pathlib import Path

import click

from mocknode.cli.output import looks
from mocknode.judge import balancers
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.report import ReportError, load
from mocknode.judge.report.explain import explain as explain_check
from mocknode.text.suggestions import did_you_mean


@click.command()
@click.argument("check_id", metavar="ID")
@click.argument("report", required=False, type=click.Path(path_type=Path))
def explain(check_id: str, report: Path | None) -> None:
    """Explain the check ID, such as UP-04.

    With REPORT (a file that `mocknode check --json` wrote, or the directory of a run): what happened, what caused it, what did not, and
    how to fix it. Without REPORT: what the check claims, which products are known to break it, and the fix for each balancer.
    """
    id_ = check_id.upper()
    colour, unicode = looks()
    try:
        if report is None:
            _refuse_unknown(check_id, list(CHECKS))
            check = CHECKS[id_]
            fixes, limits = balancers.fixes_of(check.causes), balancers.limitations_of(check.causes)
            screen = explain_check(id_, entry=check, fixes=fixes, limits=limits, colour=colour, unicode=unicode)
        else:
            document = load(report)
            _refuse_unknown(check_id, [check["id"] for check in document["checks"]] + document["unfinished"])
            screen = explain_check(id_, document, colour=colour, unicode=unicode)
    except ReportError as exc:
        raise click.UsageError(str(exc)) from exc
    click.echo(screen, nl=False, color=colour)


def _refuse_unknown(check_id: str, known: Sequence[str]) -> None:
    if check_id.upper() not in known:
        hint = did_you_mean(check_id.upper(), known)
        raise click.UsageError(f"ID: got {check_id!r}, allowed: {', '.join(known) or 'none'}{hint}")
