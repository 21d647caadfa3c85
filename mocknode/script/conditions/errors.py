"""`errors`: how many attempts of a stream failed."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.record import Record
from mocknode.script.values import COUNT, DURATION, STREAM


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Count the failures of the last seconds."""
    view = evidence.streams[args["stream"]]
    recent = view.since(evidence.now_ns - round(args["in-the-last"] * 1e9))
    failed = sum(ended.told != "acknowledged" for ended in recent)
    saw = f"{args['stream']}: {failed} of {len(recent)} attempts failed in the last {args['in-the-last']:g} s"
    return Look(holds=bool(recent) and _fits(args, failed), saw=saw)


def judge(args: Mapping[str, Any], record: Record) -> Look:
    """Count the failures of the run that no outage excuses."""
    figures = record.streams[args["stream"]]
    saw = (
        f"{args['stream']}: {figures.failed_undisturbed} of {figures.attempts} attempts failed while a node could serve"
    )
    if figures.failed > figures.failed_undisturbed:
        saw += f", and {figures.failed - figures.failed_undisturbed} in outages that the schedule made"
    return Look(holds=_fits(args, figures.failed_undisturbed) if figures.attempts else None, saw=saw)


def _fits(args: Mapping[str, Any], failed: int) -> bool:
    most = args["at-most"] if args["is"] is None else args["is"]
    return failed <= (most or 0) and (args["is"] is None or failed == args["is"])


def _check(args: Mapping[str, Any]) -> str | None:
    return "got both `is` and `at-most`, allowed: one of them" if None not in (args["is"], args["at-most"]) else None


CONDITION = ConditionShape(
    word="errors",
    about="So many attempts of the stream failed. An outage that the schedule made excuses a failure that the client was told.",
    fields=(
        Field(name="stream", about="The stream.", kind=STREAM, required=True),
        Field(name="is", about="Exactly so many.", kind=COUNT),
        Field(name="at-most", about="The most.", kind=COUNT),
        Field(name="in-the-last", about="In a schedule: how far back to look.", kind=DURATION, default=5.0),
    ),
    short="stream",
    look=look,
    judge=judge,
    check=_check,
)
