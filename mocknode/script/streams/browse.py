"""`browse`: people who read the portal."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.declared import Field, StreamShape
from mocknode.script.values import COUNT


def workload(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the people."""
    return {"browsers": args["users"]}


STREAM = StreamShape(
    word="browse",
    about="People who read the portal.",
    fields=(Field(name="users", about="How many.", kind=COUNT, default=5),),
    short="users",
    workload=workload,
)
