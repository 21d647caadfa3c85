"""A connection that the node resets (RST)."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import HEAD, Break, Effect, Place, Point
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import option, point


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Fault):
    """Reset the connection; at `answer` the request has been carried out and only its answer is lost."""

    kind: ClassVar[str] = "reset"
    on_tentacle: ClassVar[bool] = True

    at: Point = option(point(*Place), default=HEAD, help="where in the request")  # noqa: RUF009

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One break by RST."""
        return (Break(at=self.at, how="reset"),)
