"""`rate`: how many attempts of a stream succeed in a second."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.record import Record
from mocknode.script.values import COUNT, DURATION, STREAM


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Count the successes of the last seconds."""
    recent = evidence.streams[args["stream"]].since(evidence.now_ns - round(args["in-the-last"] * 1e9))
    good = sum(ended.told == "acknowledged" for ended in recent)
    return _compare(args, good / args["in-the-last"])


def judge(args: Mapping[str, Any], record: Record) -> Look:
    """Count the successes of the run."""
    figures = record.streams[args["stream"]]
    return _compare(args, figures.acknowledged / record.duration_s if record.duration_s else 0.0)


def _compare(args: Mapping[str, Any], per_s: float) -> Look:
    return Look(holds=per_s >= args["at-least"], saw=f"{args['stream']}: {per_s:.2f} a second succeed")


CONDITION = ConditionShape(
    word="rate",
    about="At least so many attempts of the stream succeed in a second.",
    fields=(
        Field(name="stream", about="The stream.", kind=STREAM, required=True),
        Field(name="at-least", about="Attempts a second.", kind=COUNT, required=True),
        Field(name="in-the-last", about="In a schedule: how far back to look.", kind=DURATION, default=10.0),
    ),
    short="stream",
    look=look,
    judge=judge,
)
