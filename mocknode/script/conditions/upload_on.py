"""`upload-on`: a node receives an upload, and has this share of it."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import NODE, SHARE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at the node's furthest upload."""
    node, progress = args["node"], evidence.nodes[args["node"]].progress
    if progress is None:
        return Look(holds=False, saw=f"{node} receives no upload of known length")
    return Look(holds=progress >= args["at"], saw=f"{node} has {progress:.0%} of an upload")


CONDITION = ConditionShape(
    word="upload-on",
    about="The node is receiving an upload and has this share of it. Uploads in chunks have no known length.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(name="at", about="The share of the body.", kind=SHARE, default=0.0),
    ),
    short="node",
    look=look,
)
