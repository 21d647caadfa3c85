"""The plan of uploads: the n-th upload of a seed has one size and framing, whoever sends it and whenever."""

import random
from collections.abc import Sequence

from mocknode.load.users.sizes import Sizes


class Plan:
    """The part of a plan that one process sends: every `of`-th upload from the `index`-th on.

    Args:
        limit: Uploads of all processes together; 0 means no limit.
    """

    def __init__(
        self, sizes: Sizes, forms: Sequence[str], *, seed: int, limit: int = 0, index: int = 0, of: int = 1
    ) -> None:
        self._sizes = sizes
        self._forms = forms
        self._seed = seed
        self._limit = limit
        self._next, self._of = index, of

    def take(self) -> tuple[int, str] | None:
        """Take the next upload and return its size and framing; None if none is left."""
        number = self._next
        if self.taken:
            return None
        self._next += self._of
        return self._sizes.draw(random.Random(f"{self._seed}-{number}")), self._forms[number % len(self._forms)]

    @property
    def taken(self) -> bool:
        """Whether all uploads have been taken."""
        return bool(self._limit) and self._next >= self._limit
