"""`mark`: a line in the timeline."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import Field, Verb
from mocknode.script.values import TEXT


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Note the text."""
    stage.evidence.note(stage.evidence.now_ns, args["text"])
    return str(args["text"])


VERB = Verb(
    word="mark",
    about="Write a line into the timeline.",
    fields=(Field(name="text", about="The line.", kind=TEXT, required=True),),
    short="text",
    run=run,
)
