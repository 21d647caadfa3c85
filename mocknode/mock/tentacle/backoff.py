"""The pauses of a polling Tentacle between connections: pure, time and randomness are arguments.

Source: `PollingClient.cs`, `RetryPolicy.cs` and `SecureClient.cs` of Halibut. After every end of a connection it sleeps
`clamp(elapsed * (1 + r), 5 s, 120 s)`: `elapsed` runs from the first attempt since a server last identified itself, and `r`
is drawn once for each loop. A Tentacle therefore reconnects five seconds after an established connection was lost, whatever the
reason, and tries a node that stays away less and less often.
"""

from typing import Final

SHORTEST_S: Final = 5.0
LONGEST_S: Final = 120.0
QUICK_TRIES: Final = 5
"""`RetryCountLimit`: attempts in a row when a connection breaks before it is usable."""
QUICK_APART_S: Final = 1.0


class Backoff:
    """The pauses of one polling connection.

    Args:
        spread: `r`, from 0 to 1.
    """

    __slots__ = ("_began_s", "_spread")

    def __init__(self, spread: float) -> None:
        self._spread = spread
        self._began_s: float | None = None

    def trying(self, now_s: float) -> None:
        """Note that an attempt begins."""
        if self._began_s is None:
            self._began_s = now_s

    def identified(self) -> None:
        """Note that the server has identified itself, which resets the pauses."""
        self._began_s = None

    def pause_s(self, now_s: float) -> float:
        """Return how long to wait after the end of an attempt or a connection."""
        elapsed_s = 0.0 if self._began_s is None else now_s - self._began_s
        return min(max(elapsed_s * (1 + self._spread), SHORTEST_S), LONGEST_S)
