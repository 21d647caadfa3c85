"""`quiet`: a node gets no new request."""

from collections.abc import Mapping
from typing import Any

from mocknode.judge.verdict.calibration import requests_to_confirm_out
from mocknode.script.context import Look
from mocknode.script.declared import ConditionShape, Field
from mocknode.script.evidence import Evidence
from mocknode.script.values import NODE


def look(args: Mapping[str, Any], evidence: Evidence) -> Look:
    """Look at whether the latest requests, as many as chance cannot explain, all went to other nodes."""
    name = args["node"]
    node = evidence.nodes[name]
    others = sum(1 for at_ns, other in evidence.arrivals if other != name and at_ns > node.last_ns)
    enough = requests_to_confirm_out(len(evidence.nodes))
    ago_s = (evidence.now_ns - node.last_ns) / 1e9 if node.last_ns else None
    last = "none yet" if ago_s is None else f"the last {ago_s:.1f} s ago"
    if evidence.since_ns:
        return _since(name, evidence)
    return Look(holds=others >= enough, saw=f"{name}: {last}, {others} of {enough} requests went elsewhere since")


def _since(name: str, evidence: Evidence) -> Look:
    """Look at the time that the node must stay quiet for. Without a request anywhere, it says nothing."""
    node = evidence.nodes[name]
    if node.last_ns > evidence.since_ns:
        after_s = (node.last_ns - evidence.since_ns) / 1e9
        return Look(holds=False, saw=f"{name} got a request {after_s:.1f} s after the expectation began")
    others = sum(at_ns > evidence.since_ns for at_ns, _ in evidence.arrivals)
    return Look(holds=True if others else None, saw=f"{name} got no request, the others got {others}")


CONDITION = ConditionShape(
    word="quiet",
    about="The node gets no new request, while others get so many that this is no chance.",
    fields=(Field(name="node", about="The node.", kind=NODE, required=True),),
    short="node",
    look=look,
)
