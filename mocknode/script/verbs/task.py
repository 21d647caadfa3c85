"""`task`: queues deployments that the nodes run."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.context import Stage
from mocknode.script.declared import Field, Verb
from mocknode.script.values import COUNT, DURATION, short


async def run(args: Mapping[str, Any], stage: Stage) -> str:
    """Queue the tasks."""
    await stage.nodes.add_tasks(short(args["duration"]), args["count"])
    return f"{args['count']} tasks of {args['duration']:g} s queued"


VERB = Verb(
    word="task",
    about="Queue tasks, which the nodes pick up and run.",
    fields=(
        Field(name="duration", about="How long each takes.", kind=DURATION, required=True),
        Field(name="count", about="How many.", kind=COUNT, default=1),
    ),
    short="duration",
    run=run,
)
