"""`mocknode explain ID [REPORT]`: one check, from a saved report or from the catalogue; offline."""

from collections.abc import Sequence
from pathlib import Path

import click

from mocknode.cli.output import looks
from mocknode.judge import balancers
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.report import ReportError, load
from mocknode.judge.report.causes import CAUSES
from mocknode.judge.report.explain import explain as explain_check
from mocknode.judge.report.wording import PRODUCTS
from mocknode.judge.verdict.outcome import Fix
from mocknode.text.suggestions import did_you_mean


@click.command()
@click.argument("check_id", metavar="ID")
@click.argument("report", required=False, type=click.Path(path_type=Path))
def explain(check_id: str, report: Path | None) -> None:
    """Explain the check ID, such as UP-04.

    With REPORT, a file that `mocknode check --json` wrote or the directory of a run: what happened, what caused it, what it is not, and what
    mends it. Without: what the check claims, who is known to break it, and the fix for each balancer.
    """
    id_ = check_id.upper()
    colour, unicode = looks()
    try:
        if report is None:
            _refuse_unknown(check_id, list(CHECKS))
            fixes, limits = _fixes(id_), _limits(id_)
            screen = explain_check(id_, entry=CHECKS[id_], fixes=fixes, limits=limits, colour=colour, unicode=unicode)
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


def _fixes(check_id: str) -> list[tuple[str, Fix]]:
    """What mends the causes that a check can name, a balancer after the other, each fix once; at last for any other."""
    causes = CAUSES.get(check_id, ())
    found: dict[Fix, list[str]] = {}
    for kind in balancers.KINDS:
        for cause in causes:
            if (mended := balancers.fix(kind, cause)) is not None:
                found.setdefault(mended, []).append(cause)
    for cause in causes:
        found.setdefault(balancers.generic_fix(cause), []).append(cause)
    return [(", ".join(named), mended) for mended, named in found.items()]


def _limits(check_id: str) -> list[str]:
    """Why some balancer can't be mended, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for kind in balancers.KINDS:
        for cause in CAUSES.get(check_id, ()):
            if (reason := balancers.limitation(kind, cause)) is not None:
                found.setdefault((kind, reason), []).append(cause)
    return [f"{PRODUCTS.get(kind, kind)} ({', '.join(causes)}): {reason}" for (kind, reason), causes in found.items()]
