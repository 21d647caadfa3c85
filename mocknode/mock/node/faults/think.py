"""A node that thinks between the end of the request and its answer."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import BODY_END, Delay, Effect
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import DURATION, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Think(Fault):
    """Read the whole request, wait, then carry it out and answer as usual."""

    kind: ClassVar[str] = "think"

    for_: float = option(DURATION, help="time between the last body byte and the answer")

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One delay at the end of the body."""
        return (Delay(at=BODY_END, seconds=self.for_),)
