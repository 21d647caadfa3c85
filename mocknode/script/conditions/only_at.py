"""`only-at`: requests reach these nodes and no other."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import DURATION, NODE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at the requests of the last seconds."""
    since_ns = evidence.now_ns - round(args["in-the-last"] * 1e9)
    reached = {name for at_ns, name in evidence.arrivals if at_ns >= since_ns}
    shown = ", ".join(sorted(reached)) or "none"
    saw = f"nodes that got requests in the last {args['in-the-last']:g} s: {shown}"
    return Look(holds=bool(reached) and reached <= set(args["nodes"]), saw=saw)


CONDITION = ConditionShape(
    word="only-at",
    about="Requests reach these nodes and no other.",
    fields=(
        Field(name="nodes", about="The nodes.", kind=NODE, required=True, many=True),
        Field(name="in-the-last", about="How far back to look.", kind=DURATION, default=5.0),
    ),
    short="nodes",
    look=look,
)
