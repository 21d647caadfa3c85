"""`sleep`: lets time pass. For an event, `wait` is the better verb."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import Field, Verb
from mocknode.script.values import DURATION


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Let time pass."""
    await stage.pause(args["for"])
    return f"{args['for']:g} s passed"


VERB = Verb(
    word="sleep",
    about="Let time pass.",
    fields=(Field(name="for", about="How long.", kind=DURATION, required=True),),
    short="for",
    run=run,
)
