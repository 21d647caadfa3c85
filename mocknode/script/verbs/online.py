"""`online`: brings a node back from any state."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import DRAINING, OFFLINE, Field, Verb
from mocknode.script.values import NODE, choice


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Bring the node back."""
    await stage.nodes.set_state(args["node"], args["as"])
    stage.returned(args["node"])
    return f"{args['node']} {args['as']}"


VERB = Verb(
    word="online",
    about="Bring a node back, into service or draining.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(
            name="as",
            about="The state that it returns in.",
            kind=choice("state", "online", "draining"),
            default="online",
        ),
    ),
    short="node",
    run=run,
    before=(OFFLINE, DRAINING),
    after=lambda args: str(args["as"]),
)
