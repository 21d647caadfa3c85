"""A node that answers before it has read the request."""

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

from mocknode.mock.node.faults.effects import HEAD, Effect, Place, Point, Reply
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import choice, option, point, whole

_THEN: dict[str, Literal["keep", "fin", "reset"]] = {"read": "keep", "close": "fin", "reset": "reset"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyResponse(Fault):
    """Answer with `code` at `at`, then read on, half-close or reset."""

    kind: ClassVar[str] = "early-response"

    code: int = option(whole(200, 599), help="status of the answer")
    then: str = option(choice("read", "close", "reset"), default="read", help="what becomes of the rest of the body")
    at: Point = option(point(Place.HEAD, Place.BYTES), default=HEAD, help="how much of the request is read before")  # noqa: RUF009

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One reply."""
        return (Reply(at=self.at, status=self.code, then=_THEN[self.then]),)
