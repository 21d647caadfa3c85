"""A node that reads a body slowly."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import Effect, Place, Point, ReadRate
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import RATE, option


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowRead(Fault):
    """Read the body no faster than `rate`, in steps of up to 256 KiB."""

    kind: ClassVar[str] = "slow-read"

    rate: float = option(RATE, help="body bytes per second")

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One limit, from the first byte on."""
        return (ReadRate(at=Point(Place.BYTES, 0), bytes_per_s=self.rate),)
