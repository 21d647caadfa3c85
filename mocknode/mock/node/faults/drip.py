"""An answer that trickles."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import ANSWER, Effect, WriteRate
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import RATE, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip(Fault):
    """Write the answer, head included, no faster than `rate`."""

    kind: ClassVar[str] = "drip"

    rate: float = option(RATE, help="bytes of the answer per second, 1B per s for a byte at a time")

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One limit."""
        return (WriteRate(at=ANSWER, bytes_per_s=self.rate),)
