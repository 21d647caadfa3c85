"""An answer that is no HTTP."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import BODY_END, Effect, Raw
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import option, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(Fault):
    """Read the request, write seeded random bytes that cannot be taken for HTTP, half-close."""

    kind: ClassVar[str] = "garbage"

    length: int = option(whole(1, 65536), default=64, help="bytes of garbage")

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One burst; its first byte is never `H`."""
        return (Raw(at=BODY_END, data=b"\xff" + rng.randbytes(self.length - 1)),)
