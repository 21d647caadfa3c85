"""`ping`: monitors that ping through the balancer."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.declared import Field, StreamShape
from mocknode.script.values import COUNT


def workload(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the monitors."""
    return {"monitors": args["monitors"]}


STREAM = StreamShape(
    word="ping",
    about="Monitors that ping through the balancer, each once a second.",
    fields=(Field(name="monitors", about="How many.", kind=COUNT, default=1),),
    short="monitors",
    workload=workload,
)
