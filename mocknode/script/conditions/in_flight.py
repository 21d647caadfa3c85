"""`in-flight`: how many uploads a node has under way."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import COUNT, NODE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Count the node's uploads under way."""
    count = sum(evidence.nodes[args["node"]].open.values())
    low, high = args["at-least"], args["at-most"]
    holds = (low is None or count >= low) and (high is None or count <= high)
    return Look(holds=holds, saw=f"{args['node']} has {count} uploads under way")


def _check(args: Mapping[str, Any]) -> str | None:
    return "got no limit, allowed: at-least, at-most or both" if args["at-least"] is args["at-most"] is None else None


CONDITION = ConditionShape(
    word="in-flight",
    about="So many uploads are under way at the node.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(name="at-least", about="The fewest.", kind=COUNT),
        Field(name="at-most", about="The most.", kind=COUNT),
    ),
    short="node",
    look=look,
    check=_check,
)
