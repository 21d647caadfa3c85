"""Open-loop arrivals: when uploads are due, whoever is free to start them."""

import random
from collections.abc import Callable, Iterator


class Arrivals:
    """A Poisson stream of due times, taken one by one by whoever is free; time begins when the first one is taken.

    Args:
        rate: Arrivals a second, above 0, where `share` is 1.
        share: Share of the rate, 0 to 1, by seconds since the beginning; must not stay 0.
        index, of: Every `of`-th arrival from the `index`-th on belongs to this process: however many share a stream of one seed, it
            is the same.
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
        """The next due time; it may lie in the past, when all who could take it were busy."""
        if self._began_ns is None:
            self._began_ns = now_ns
        due_ns = self._began_ns + round(self._next_s * 1e9)
        self._next_s = next(self._due_s)
        return due_ns

    def overdue(self, now_ns: int) -> int:
        """How many were due by now and taken by nobody; they are taken away."""
        count = 0
        while self._began_ns is not None and self._began_ns + round(self._next_s * 1e9) <= now_ns:
            self._next_s = next(self._due_s)
            count += 1
        return count

    def _stream(self) -> Iterator[float]:
        """Seconds; those that a share below 1 keeps from arriving are left out one by one, which leaves a Poisson stream."""
        at_s, number = 0.0, 0
        while True:
            if self._rng.random() < self._share(at_s):
                if number % self._of == self._index:
                    yield at_s
                number += 1
            at_s += self._rng.expovariate(self._rate)
