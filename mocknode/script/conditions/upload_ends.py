"""`ledger`: what became of every upload of a stream, from both ends."""

from collections.abc import Mapping
from typing import Any, Final

from mocknode.judge.record.ledger import CLASSES
from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.record import Record
from mocknode.script.values import COUNT, UPLOADS

NAMES: Final = {name.replace("_", "-"): name for name in CLASSES if name != "delivered_once"}


def judge(args: Mapping[str, Any], record: Record) -> Look:
    """Compare the classes with the most that is allowed of each."""
    counts = record.streams[args["stream"]].classes
    asked = {name: args[name] for name in NAMES if args[name] is not None}
    if not counts:
        return Look(holds=None, saw=f"{args['stream']}: no upload was made")
    shown = ", ".join(f"{counts.get(NAMES[name], 0)} {name}" for name in asked)
    saw = f"{args['stream']}: {sum(counts.values())} uploads, {counts.get('delivered_once', 0)} delivered once, {shown}"
    if counts.get("unresolved", 0) and "unresolved" not in asked:
        return Look(holds=None, saw=f"{saw}; {counts['unresolved']} unresolved")
    return Look(holds=all(counts.get(NAMES[name], 0) <= most for name, most in asked.items()), saw=saw)


def _check(args: Mapping[str, Any]) -> str | None:
    return None if any(args[name] is not None for name in NAMES) else f"got no limit, allowed: {', '.join(NAMES)}"


CONDITION = ConditionShape(
    word="ledger",
    about="At most so many uploads of the stream ended in each of these ways. Judged when the run is over.",
    fields=(
        Field(name="stream", about="A stream that uploads.", kind=UPLOADS, required=True),
        *(Field(name=name, about=f"The most uploads that are {name}.", kind=COUNT) for name in NAMES),
    ),
    short="stream",
    judge=judge,
    check=_check,
    claim="safety",
)
