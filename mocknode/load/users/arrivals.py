"""Open-loop arrivals: times at which uploads are due, whether or not a user is free to start them."""

import random
from collections.abc import Callable, Iterator


class Arrivals:
    """A Poisson stream of due times, which free users take one by one. Its time begins when the first one is taken.

    Args:
        rate: Arrivals a second while `share` is 1; above 0.
        share: Part of the rate, 0 to 1, by seconds since the beginning; it must not stay 0.
        index, of: This process takes every `of`-th arrival from the `index`-th on. The stream of a seed is the same for any number
            of processes.
    """

    def __init__(
        self,
        rate: float,
        rng: random.Random,
        share: Callable[[float], float] = lambda at_s: 1.0,
        *,
        index: int = 0,
        of: int = 1,
    ) -> None:
        self._rate = rate
        self._rng = rng
        self._share = share
        self._index, self._of = index, of
        self._due_s = self._stream()
        self._next_s = next(self._due_s)
        self._began_ns: int | None = None

    def take(self, now_ns: int) -> int:
        """Return the next due time; it lies in the past if all users were busy."""
        if self._began_ns is None:
            self._began_ns = now_ns
        due_ns = self._began_ns + round(self._next_s * 1e9)
        self._next_s = next(self._due_s)
        return due_ns

    def overdue(self, now_ns: int) -> int:
        """Remove the arrivals that were due by now and that nobody took; return how many."""
        count = 0
        while self._began_ns is not None and self._began_ns + round(self._next_s * 1e9) <= now_ns:
            self._next_s = next(self._due_s)
            count += 1
        return count

    def _stream(self) -> Iterator[float]:
        """Yield due times in seconds. A share below 1 drops arrivals at random, which leaves a Poisson stream."""
        at_s, number = 0.0, 0
        while True:
            if self._rng.random() < self._share(at_s):
                if number % self._of == self._index:
                    yield at_s
                number += 1
            at_s += self._rng.expovariate(self._rate)
