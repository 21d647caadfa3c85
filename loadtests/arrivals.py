"""Open-loop arrivals: when uploads are due, whoever is free to start them."""

import random


class Arrivals:
    """A Poisson stream of due times, taken one by one by whoever is free.

    Args:
        rate: Arrivals a second, above 0.
    """

    def __init__(self, rate: float, rng: random.Random) -> None:
        self._rate = rate
        self._rng = rng
        self._next_ns: int | None = None

    def take(self, now_ns: int) -> int:
        """The next due time; it may lie in the past, when all who could take it were busy."""
        due_ns = now_ns if self._next_ns is None else self._next_ns
        self._next_ns = due_ns + self._gap_ns()
        return due_ns

    def overdue(self, now_ns: int) -> int:
        """How many were due by now and taken by nobody; they are taken away."""
        count = 0
        while self._next_ns is not None and self._next_ns <= now_ns:
            self._next_ns += self._gap_ns()
            count += 1
        return count

    def _gap_ns(self) -> int:
        return round(self._rng.expovariate(self._rate) * 1e9)
