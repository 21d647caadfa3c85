"""`fault`: makes one thing go wrong at a node, until `heal` or the end of the run."""

from collections.abc import Mapping
from typing import Any

from mocknode.mock.node.faults.kinds import FAULTS
from mocknode.mock.node.faults.spec import SCOPES, parse_fault
from mocknode.mock.node.refusals import RefusedError
from mocknode.script.context import Stage
from mocknode.script.declared import Field, Verb
from mocknode.script.values import COUNT, NODE, OPTION, TEXT, WORD, choice


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Set the fault."""
    limits = {name: args[name] for name in ("first", "every", "after", "ttl")}
    fault = await stage.nodes.add_fault(args["node"], args["kind"], options=_options(args), on=args["on"], **limits)
    if args["as"] is not None:
        stage.faults[args["as"]] = (args["node"], fault)
    return f"{args['kind']} at {args['node']} on {args['on']}"


def _options(args: Mapping[str, Any]) -> dict[str, str]:
    return dict(option.split("=", 1) for option in args["options"])


def _check(args: Mapping[str, Any]) -> str | None:
    limits = {name: args[name] for name in ("on", "first", "every", "after", "ttl")}
    try:
        parse_fault({"kind": args["kind"], "options": _options(args), **limits})
    except RefusedError as exc:
        return exc.detail.removeprefix("fault ")
    return None


VERB = Verb(
    word="fault",
    about="Make one thing go wrong at a node, until `heal` or the end of the run.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(
            name="kind",
            about="What goes wrong; `mocknode fault --help` describes each kind.",
            kind=choice("fault", *FAULTS),
            required=True,
        ),
        Field(name="options", about="Options of the kind, such as for=45s.", kind=OPTION, many=True, default=()),
        Field(
            name="on",
            about="Whom it hits: pings, other requests, both, or connections at the Tentacle port.",
            kind=choice("scope", *SCOPES),
            default="all",
        ),
        Field(name="first", about="It acts on so many requests, then ends.", kind=COUNT),
        Field(name="every", about="It acts on each n-th request only.", kind=COUNT),
        Field(name="after", about="It waits: 5s, 3 pings, 30% of an upload, 64KiB.", kind=TEXT),
        Field(name="ttl", about="It ends by itself this long after it began to act.", kind=TEXT),
        Field(name="as", about="Name by which `heal` finds it.", kind=WORD),
    ),
    short=None,
    run=run,
    check=_check,
)
