"""`offline`: takes a node away without a word, as a crash or a lost network does."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import DRAINING, OFFLINE, ONLINE, Field, Verb
from mocknode.script.values import NODE, choice

FORMS = ("refuse", "stop", "crash", "freeze", "blackhole", "garbage")


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Take the node away."""
    # Before it happens, so that no failure comes before its excuse.
    stage.left(args["node"])
    await stage.nodes.set_state(args["node"], "offline", args["how"])
    return f"{args['node']} offline ({args['how']})"


VERB = Verb(
    word="offline",
    about="Take a node away: refuse connections, crash, freeze, lose packets or answer garbage.",
    fields=(
        Field(name="node", about="The node.", kind=NODE, required=True),
        Field(name="how", about="How it goes away.", kind=choice("form", *FORMS), default="refuse"),
    ),
    short="node",
    run=run,
    # Drained, stopped, patched, started: the documented order takes a draining node offline.
    before=(ONLINE, DRAINING),
    after=lambda args: OFFLINE,
)
