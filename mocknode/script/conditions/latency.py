"""`latency`: how long a stream's successful attempts take."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.record import Record
from mocknode.script.values import BOUND, DURATION, STREAM
from mocknode.text.units import format_duration

PERCENTILES = ("p50", "p90", "p99", "max")


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at the attempts that ended in the last seconds."""
    recent = evidence.streams[args["stream"]].since(evidence.now_ns - round(args["in-the-last"] * 1e9))
    took = sorted(ended.took_s for ended in recent if ended.told == "acknowledged")
    return _compare(args, {name: at(took, name) for name in PERCENTILES} if took else {})


def judge(args: Mapping[str, Any], record: Record) -> Look:
    """Look at all successful attempts of the run."""
    return _compare(args, record.streams[args["stream"]].latency_s)


def at(ordered: list[float], name: str) -> float:
    """Return a percentile of sorted values: the smallest that so many of them do not exceed."""
    share = 1.0 if name == "max" else int(name[1:]) / 100
    return ordered[max(0, -(-int(share * 100 * len(ordered)) // 100) - 1)]


def _compare(args: Mapping[str, Any], found: Mapping[str, float]) -> Look:
    asked = {name: args[name] for name in PERCENTILES if args[name] is not None}
    if not found:
        return Look(holds=None, saw=f"{args['stream']}: no attempt succeeded")
    shown = ", ".join(f"{name} {format_duration(found[name])} (limit {format_duration(asked[name])})" for name in asked)
    return Look(holds=all(found[name] < asked[name] for name in asked), saw=f"{args['stream']}: {shown}")


def _check(args: Mapping[str, Any]) -> str | None:
    return (
        None
        if any(args[name] is not None for name in PERCENTILES)
        else f"got no limit, allowed: {', '.join(PERCENTILES)}"
    )


CONDITION = ConditionShape(
    word="latency",
    about="The stream's successful attempts are faster than a limit.",
    fields=(
        Field(name="stream", about="The stream.", kind=STREAM, required=True),
        *(Field(name=name, about=f"Limit of {name}.", kind=BOUND) for name in PERCENTILES),
        Field(name="in-the-last", about="In a schedule: how far back to look.", kind=DURATION, default=10.0),
    ),
    short="stream",
    look=look,
    judge=judge,
    check=_check,
)
