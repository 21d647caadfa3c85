"""`answers`: the balancer itself answers with a status."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import STATUS


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Count the balancer's own answers."""
    count = evidence.answers[args["status"]]
    shown = ", ".join(f"{status}: {times}" for status, times in sorted(evidence.answers.items())) or "none"
    return Look(holds=count > 0, saw=f"own answers of the balancer so far: {shown}")


CONDITION = ConditionShape(
    word="answers",
    about="The balancer itself has answered with this status.",
    fields=(Field(name="status", about="The status.", kind=STATUS, required=True),),
    short="status",
    look=look,
)
