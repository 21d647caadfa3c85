"""A slow node: the answer is ready, its first byte comes later."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import ANSWER, Delay, Effect
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import DURATION, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Fault):
    """Delay the answer by `delay`, give or take `jitter`."""

    kind: ClassVar[str] = "latency"
    on_tentacle: ClassVar[bool] = True

    delay: float = option(DURATION, help="mean delay before the first byte of the answer")
    jitter: float = option(DURATION, default=0.0, help="half-width of the uniform spread about it; at most the delay")

    def __post_init__(self) -> None:
        if self.jitter > self.delay:
            raise ValueError(f"jitter must be at most the delay ({self.delay:g} s), got {self.jitter:g} s")

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One delay, drawn from the spread."""
        return (Delay(at=ANSWER, seconds=self.delay + rng.uniform(-self.jitter, self.jitter)),)
