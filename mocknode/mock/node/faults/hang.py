"""A node that takes a request and never answers."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import BODY_END, Effect, Hang, Place, Point
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import option, point


@dataclass(frozen=True, slots=True, kw_only=True)
class HangFault(Fault):
    """Never answer; the connection stays open until the peer gives up or the fault ends, then it is reset."""

    kind: ClassVar[str] = "hang"
    on_tentacle: ClassVar[bool] = True

    at: Point = option(point(Place.HEAD, Place.BODY_END), default=BODY_END, help="before or after the body is read")  # noqa: RUF009

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One hang."""
        return (Hang(at=self.at),)
