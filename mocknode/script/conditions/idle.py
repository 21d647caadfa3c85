"""`idle`: a node has finished its requests and its tasks."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import NODE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Count what the node has under way."""
    name = args["node"]
    node = evidence.nodes[name]
    uploads = sum(node.open.values())
    saw = (
        f"{name} has {uploads} uploads, {len(node.open) - uploads} other requests and {node.tasks or 0} tasks under way"
    )
    return Look(holds=not node.open and not node.tasks, saw=saw)


CONDITION = ConditionShape(
    word="idle",
    about="The node has finished all requests and tasks.",
    fields=(Field(name="node", about="The node.", kind=NODE, required=True),),
    short="node",
    look=look,
)
