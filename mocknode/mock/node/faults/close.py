"""A connection that the node closes (FIN) without an answer."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import BODY_END, Break, Effect, Place, Point
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import option, point


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Fault):
    """Half-close the connection without an answer; what still arrives is read and thrown away."""

    kind: ClassVar[str] = "close"
    on_tentacle: ClassVar[bool] = True

    at: Point = option(point(*Place), default=BODY_END, help="where in the request")  # noqa: RUF009

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One break by FIN."""
        return (Break(at=self.at, how="fin"),)
