"""`served-by`: the latest answers of a stream came from one node."""

from collections.abc import Mapping
from typing import Any, Final

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import NODE, STREAM

LATEST: Final = 5
"""Answers that must come from the node; a balancer that prefers one node sends it all of them."""


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at who gave the latest answers."""
    latest = [ended.node for ended in evidence.streams[args["stream"]].recent][-LATEST:]
    shown = ", ".join(node or "the balancer" for node in latest) or "none yet"
    holds = len(latest) == LATEST and set(latest) == {args["node"]}
    return Look(holds=holds, saw=f"the latest answers to {args['stream']} came from: {shown}")


CONDITION = ConditionShape(
    word="served-by",
    about="The latest answers of the stream all came from this node.",
    fields=(
        Field(name="stream", about="The stream.", kind=STREAM, required=True),
        Field(name="node", about="The node.", kind=NODE, required=True),
    ),
    short="stream",
    look=look,
)
