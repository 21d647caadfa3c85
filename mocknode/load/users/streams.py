"""Content that is digested once and sent many times, yet differs between any two uploads that could be confused.

Digesting costs more than everything else in sending. A stream is an endless sequence of blocks. When it is sent for the first time,
its digest after every `MARK` bytes is kept. An upload sends the beginning of a stream that no other upload in progress uses, in this
or any other process, and then blocks of its own. A block that is lost, doubled, swapped or taken from another upload therefore changes
the digest, and so does a body that is confused with another.
"""

import contextlib
import hashlib
import uuid
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

MARK: Final = 16 << 20
"""Packages up to this size are digested while they are sent. For larger ones a stream keeps a digest (a few hundred bytes) for
every `MARK` bytes."""


def sha1() -> Any:
    """Return a digest that also works on hardened systems, which refuse SHA-1 for signatures."""
    return hashlib.sha1(usedforsecurity=False)


class Stream:
    """Blocks stamped with `key`; `marks[n]` is the digest of the first n * MARK bytes, as far as they were ever sent."""

    def __init__(self) -> None:
        self.key = uuid.uuid4().hex
        self.marks: list[Any] = [sha1()]


_free: deque[Stream] = deque()


@contextlib.contextmanager
def leased() -> Iterator[Stream]:
    """Yield a stream that no other upload uses until the block ends."""
    stream = _free.popleft() if _free else Stream()
    try:
        yield stream
    finally:
        _free.append(stream)
