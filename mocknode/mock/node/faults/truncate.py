"""An answer that ends too soon."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import ANSWER, Cut, CutAnswer, Effect
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import SIZE, choice, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(Fault):
    """Carry the request out, declare the whole answer, and end the connection within its body."""

    kind: ClassVar[str] = "truncate"

    at: int | None = option(SIZE, default=None, help="bytes of the answer's body to send; default half of it")
    how: Cut = option(choice("fin", "reset"), default="fin", help="how the connection ends")  # noqa: RUF009
    framing: str = option(choice("length", "chunked"), default="length", help="full Content-Length, or no last chunk")

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One cut."""
        return (CutAnswer(at=ANSWER, body_bytes=self.at, how=self.how, chunked=self.framing == "chunked"),)
