"""`heal`: removes a fault that the scenario has named."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage, StepFailedError
from mocknode.script.declared import Field, Verb
from mocknode.script.values import WORD


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Remove the fault."""
    if args["fault"] not in stage.faults:
        known = ", ".join(stage.faults) or "none is set"
        raise StepFailedError(f"heal: got {args['fault']!r}, allowed: faults that were named with `as`: {known}")
    node, fault = stage.faults.pop(args["fault"])
    await stage.nodes.remove_fault(node, fault)
    return f"{args['fault']} healed at {node}"


VERB = Verb(
    word="heal",
    about="Remove a fault that was named with `as`.",
    fields=(Field(name="fault", about="Its name.", kind=WORD, required=True),),
    short="fault",
    run=run,
)
