"""`tasks`: deployments that the nodes run, queued at an even pace."""

from mocknode.script.declared import Field, StreamShape
from mocknode.script.values import DURATION

STREAM = StreamShape(
    word="tasks",
    about="Deployments that the nodes run, queued at an even pace.",
    fields=(
        Field(name="every", about="Time between two.", kind=DURATION, default=10.0),
        Field(name="duration", about="How long each takes.", kind=DURATION, default=30.0),
    ),
    short=None,
)
