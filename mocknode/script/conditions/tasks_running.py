"""`tasks-running`: how many tasks a node runs."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import COUNT, NODE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at the node's counter."""
    tasks = evidence.nodes[args["node"]].tasks
    if tasks is None:
        return Look(holds=None, saw=f"{args['node']} does not tell how many tasks it runs")
    low, high = args["at-least"], args["at-most"]
    holds = (low is None or tasks >= low) and (high is None or tasks <= high)
    return Look(holds=holds, saw=f"{args['node']} runs {tasks} tasks")


def _check(args: Mapping[str, Any]) -> str | None:
    return "got no limit, allowed: at-least, at-most or both" if args["at-least"] is args["at-most"] is None else None


CONDITION = ConditionShape(
    word="tasks-running",
    about="The node runs so many tasks.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(name="at-least", about="The fewest.", kind=COUNT),
        Field(name="at-most", about="The most.", kind=COUNT),
    ),
    short="node",
    look=look,
    check=_check,
)
