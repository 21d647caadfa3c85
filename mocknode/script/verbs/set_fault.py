"""`fault`: makes one thing go wrong at a node, until `heal` or the end of the run."""

from collections.abc import Mapping
from typing import Any

from mocknode.mock.node.faults.kinds import FAULTS
from mocknode.script.context import Stage
from mocknode.script.declared import Field, Verb
from mocknode.script.values import NODE, OPTION, TEXT, WORD, choice


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Set the fault."""
    options = dict(option.split("=", 1) for option in args["options"])
    fault = await stage.nodes.add_fault(args["node"], args["kind"], options=options, on=args["on"])
    if args["as"] is not None:
        stage.faults[args["as"]] = (args["node"], fault)
    return f"{args['kind']} at {args['node']} on {args['on']}"


VERB = Verb(
    word="fault",
    about="Make one thing go wrong at a node.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(
            name="kind",
            about="What goes wrong; see `mocknode fault --help`.",
            kind=choice("fault", *FAULTS),
            required=True,
        ),
        Field(name="on", about="Which requests: all, ping, upload, or a path.", kind=TEXT, default="all"),
        Field(name="options", about="Options of the fault, such as for=45s.", kind=OPTION, many=True, default=()),
        Field(name="as", about="Name by which `heal` finds it.", kind=WORD),
    ),
    short=None,
    run=run,
)
