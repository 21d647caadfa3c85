"""`drain`: drains a node, as Octopus does before a patch."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import DRAINING, ONLINE, Field, Verb
from mocknode.script.values import NODE


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Change the state."""
    await stage.nodes.set_state(args["node"], "draining")
    return f"{args['node']} drained"


VERB = Verb(
    word="drain",
    about="Answer pings with 418 and finish what is under way.",
    fields=(Field(name="node", about="The node.", kind=NODE, required=True),),
    short="node",
    run=run,
    before=(ONLINE,),
    after=lambda args: DRAINING,
)
