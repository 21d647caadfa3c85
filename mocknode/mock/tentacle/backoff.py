"""When a polling Tentacle tries again: pure, time and randomness are arguments.

Source: `PollingClient.cs`, `RetryPolicy.cs` and `SecureClient.cs` of Halibut. After every end of a connection it sleeps
`clamp(elapsed * (1 + r), 5 s, 120 s)`: `elapsed` runs from the first attempt since a server last identified itself, and `r`
is drawn once for each loop. An established connection that drops is therefore back after five seconds, whatever the
reason; a node that stays away is asked ever more seldom.
"""

from typing import Final

SHORTEST_S: Final = 5.0
LONGEST_S: Final = 120.0
QUICK_TRIES: Final = 5
"""`RetryCountLimit`: attempts in a row, where a connection broke before it was usable."""
QUICK_APART_S: Final = 1.0


class Backoff:
    """The outer loop of one polling connection.

    Args:
        spread: `r`, from 0 to 1.
    """

    __slots__ = ("_began_s", "_spread")

    def __init__(self, spread: float) -> None:
        self._spread = spread
        self._began_s: float | None = None

    def trying(self, now_s: float) -> None:
        """An attempt begins."""
        if self._began_s is None:
            self._began_s = now_s

    def identified(self) -> None:
        """The server has identified itself: all is well."""
        self._began_s = None

    def pause_s(self, now_s: float) -> float:
        """How long to wait, now that an attempt or a connection is over."""
        elapsed_s = 0.0 if self._began_s is None else now_s - self._began_s
        return min(max(elapsed_s * (1 + self._spread), SHORTEST_S), LONGEST_S)
