"""How long the web server waits: for a head, for the bytes of a body, and for the next request. Pure; the caller has the clock.

One look a second at each connection is enough, as Kestrel's own heartbeat is one second; an upload costs no timer.
"""

import enum
from typing import Final

from mocknode.mock.node.http.request_head import Refusal
from mocknode.mock.node.web_server import WebServerLimits

LOOK_S: Final = 1.0


class Phase(enum.Enum):
    """What a connection is doing."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()  # the application waits for bytes
    SERVED = enum.auto()  # nothing is awaited from the client


class Patience:
    """The patience with one connection."""

    __slots__ = ("_limits", "_waited_s")

    def __init__(self, limits: WebServerLimits) -> None:
        self._limits = limits
        self._waited_s = 0.0

    def next_request(self) -> None:
        """Begin to count for another body."""
        self._waited_s = 0.0

    def idle_too_long(self, phase: Phase, age_s: float) -> bool:
        """Return whether the connection is to be closed, `age_s` after it became idle."""
        return phase is Phase.IDLE and age_s >= self._limits.keep_alive_s

    def refusal(self, phase: Phase, age_s: float, *, elapsed_s: float, received: int) -> Refusal | None:
        """Return why the request is to be ended, if it is.

        Args:
            age_s: Time since the head began.
            elapsed_s: Time since the last look.
            received: Bytes of the body so far.
        """
        limits = self._limits
        if phase is Phase.HEAD and age_s >= limits.head_s:
            return Refusal.HEAD_SLOW
        if phase is Phase.BODY:
            self._waited_s += elapsed_s
            if self._waited_s > limits.body_grace_s and received < limits.body_rate * self._waited_s:
                return Refusal.BODY_SLOW
        return None
