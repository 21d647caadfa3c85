"""`probed`: the balancer has asked a node for its ping."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import DURATION, NODE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at the node's last probe."""
    node = evidence.nodes[args["node"]]
    if not node.last_probe_ns:
        return Look(holds=False, saw=f"{args['node']} was never probed")
    ago_s = (evidence.now_ns - node.last_probe_ns) / 1e9
    return Look(holds=ago_s <= args["in-the-last"], saw=f"{args['node']} was probed {ago_s:.1f} s ago")


CONDITION = ConditionShape(
    word="probed",
    about="The node's ping was asked for lately.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(name="in-the-last", about="How long ago at most.", kind=DURATION, default=5.0),
    ),
    short="node",
    look=look,
)
