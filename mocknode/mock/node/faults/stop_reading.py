"""A node whose receiver stalls in the middle of a body."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import Effect, Place, Point, StopReading
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import option, point


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReadingFault(Fault):
    """Read nothing more after `at`; buffers below the node still take several MiB before the sender stalls."""

    kind: ClassVar[str] = "stop-reading"

    at: Point = option(point(Place.BYTES, Place.SHARE), default=Point(Place.BYTES, 0), help="body bytes read before")  # noqa: RUF009

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One stop."""
        return (StopReading(at=self.at),)
