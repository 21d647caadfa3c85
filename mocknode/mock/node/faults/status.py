"""A node that reads the request and answers with another status."""

import random
from dataclasses import dataclass
from typing import ClassVar

from mocknode.mock.node.faults.effects import BODY_END, Effect, Reply
from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.options import HEADER, TEXT, option, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Fault):
    """Read the whole request, do nothing about it, answer with `code`."""

    kind: ClassVar[str] = "status"

    code: int = option(whole(200, 599), help="status of the answer")
    body: str | None = option(TEXT, default=None, help="text of the answer; default Octopus' error document")
    location: str | None = option(HEADER, default=None, help="Location header, for redirects")

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """One reply at the end of the body."""
        headers = () if self.location is None else (("location", self.location),)
        body = None if self.body is None else self.body.encode()
        return (Reply(at=BODY_END, status=self.code, headers=headers, body=body),)
