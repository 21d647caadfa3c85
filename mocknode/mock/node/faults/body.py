"""An answer of 200 whose body is not what it should be."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import BODY_END, Effect, Reply
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import TEXT, option, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Body(Fault):
    """Answer 200 with `text`, under a Content-Length that may be wrong."""

    kind: ClassVar[str] = "body"

    text: str = option(TEXT, default="not what you expect", help="the body")
    content_length: int | None = option(
        whole(0, 1 << 40), default=None, help="Content-Length to declare; default the true one"
    )

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One reply; with a wrong length the connection cannot be used again and is half-closed."""
        wrong = self.content_length is not None
        return (
            Reply(
                at=BODY_END,
                status=200,
                headers=(("content-type", "text/plain; charset=utf-8"),),
                body=self.text.encode(),
                declared=self.content_length,
                then="fin" if wrong else "keep",
            ),
        )
