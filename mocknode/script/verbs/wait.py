"""`wait`: goes on as soon as a condition holds. There is no wait without a bound."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import Field, Verb
from mocknode.script.values import WITHIN


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Wait."""
    return (await stage.until(args["condition"], args["within"])).saw


VERB = Verb(
    word="wait",
    about="Wait until a condition holds; a wait that runs out ends the run.",
    fields=(
        Field(name="condition", about="What is waited for.", kind=None, required=True),
        Field(name="within", about="The longest wait.", kind=WITHIN, required=True),
    ),
    short="condition",
    run=run,
)
