"""`resume`: ends a node's drain."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import DRAINING, ONLINE, Field, Verb
from mocknode.script.values import NODE


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Change the state."""
    await stage.nodes.set_state(args["node"], "online")
    stage.returned(args["node"])
    return f"{args['node']} resumed"


VERB = Verb(
    word="resume",
    about="End a drain.",
    fields=(Field(name="node", about="The node.", kind=NODE, required=True),),
    short="node",
    run=run,
    before=(DRAINING,),
    after=lambda args: ONLINE,
)
