"""`fair-share`: a node, or every node that is online, gets its share of the requests."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import NODE

WINDOW: Final = 60
"""Requests that are looked at. A node that takes part gets fewer than half of its third of them once in 5000 times by chance."""
LEAST: Final = 0.5
"""Smallest part of an equal share that counts as taking part."""


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Count the latest requests by node."""
    serving = evidence.serving
    wanted = [args["node"]] if args["node"] is not None else serving
    since_ns = max((evidence.nodes[name].state_ns for name in wanted), default=0)
    recent = [name for at_ns, name in evidence.arrivals if at_ns >= since_ns][-WINDOW:]
    counts = Counter(recent)
    shown = ", ".join(f"{name} {counts[name]}" for name in evidence.nodes)
    saw = f"of the last {len(recent)} requests: {shown}"
    if not serving or any(name not in serving for name in wanted) or len(recent) < WINDOW:
        return Look(holds=False, saw=saw)
    return Look(holds=all(counts[name] >= LEAST * WINDOW / len(serving) for name in wanted), saw=saw)


CONDITION = ConditionShape(
    word="fair-share",
    about="The node, or without a name every node that is online, gets at least half of an equal share of the requests.",
    fields=(Field(name="node", about="The node.", kind=NODE),),
    short="node",
    look=look,
)
