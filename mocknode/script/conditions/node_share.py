"""`share`: the part of all requests that a node gets."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import DURATION, NODE, SHARE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at the requests of the last seconds."""
    since_ns = evidence.now_ns - round(args["in-the-last"] * 1e9)
    recent = [name for at_ns, name in evidence.arrivals if at_ns >= since_ns]
    saw = f"{args['node']} got {recent.count(args['node'])} of the {len(recent)} requests in the last {args['in-the-last']:g} s"
    if not recent:
        return Look(holds=None, saw=saw)
    share = recent.count(args["node"]) / len(recent)
    low, high = args["at-least"], args["at-most"]
    return Look(holds=(low is None or share >= low) and (high is None or share <= high), saw=saw)


def _check(args: Mapping[str, Any]) -> str | None:
    return "got no limit, allowed: at-least, at-most or both" if args["at-least"] is args["at-most"] is None else None


CONDITION = ConditionShape(
    word="share",
    about="The node gets such a part of all requests.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(name="at-least", about="The smallest part, such as 20%.", kind=SHARE),
        Field(name="at-most", about="The largest part.", kind=SHARE),
        Field(name="in-the-last", about="How far back to look.", kind=DURATION, default=10.0),
    ),
    short="node",
    look=look,
    check=_check,
)
