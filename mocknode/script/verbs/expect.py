"""`expect`: a condition must hold now, within a time, or for a time. If it does not, the run goes on, and has failed."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import NotSeenError, Stage, StepFailedError
from mocknode.script.declared import Field, Verb
from mocknode.script.values import DURATION, WITHIN


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Look, once or for as long as asked."""
    condition = args["condition"]
    if args["within"] is not None:
        return (await stage.until(condition, args["within"])).saw
    look = await stage.held(condition, args["for"] or 0.0)
    if look.holds is None:
        raise NotSeenError(look.saw)
    if not look.holds:
        raise StepFailedError(look.saw)
    return look.saw


def _check(args: Mapping[str, Any]) -> str | None:
    both = args["within"] is not None and args["for"] is not None
    return "got both `within` and `for`, allowed: one of them, or none for now" if both else None


VERB = Verb(
    word="expect",
    about="A condition must hold: now, `within` a time, or `for` a time.",
    fields=(
        Field(name="condition", about="What must hold.", kind=None, required=True),
        Field(name="within", about="It must hold once within this time.", kind=WITHIN),
        Field(name="for", about="It must hold all this time.", kind=DURATION),
    ),
    short="condition",
    run=run,
    check=_check,
)
