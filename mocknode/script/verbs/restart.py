"""`restart`: kills a node and starts it again after a time."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import DRAINING, ONLINE, Field, Verb
from mocknode.script.values import DURATION, NODE


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Kill the node, wait, and start it."""
    node = args["node"]
    stage.left(node)
    await stage.nodes.set_state(node, "offline", "crash")
    await stage.pause(args["away"])
    await stage.nodes.set_state(node, "online")
    stage.returned(node)
    return f"{node} killed and started again after {args['away']:g} s"


VERB = Verb(
    word="restart",
    about="Kill a node and start it again.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(name="away", about="How long it is gone.", kind=DURATION, default=5.0),
    ),
    short="node",
    run=run,
    before=(ONLINE, DRAINING),
    after=lambda args: ONLINE,
)
