"""Content that is digested once and sent many times, and still is not the same in any two uploads that could be mixed up.

Digesting costs more than everything else that sending does. A stream is an endless row of blocks of its own; what its digest is
after every `MARK` bytes is kept when it is sent for the first time. An upload sends the beginning of a stream that no other
upload under way has, in this process or another, and ends with blocks that belong to it alone. So a block that is lost, doubled, swapped or
taken from another upload changes the digest, and a whole body that is taken for another's does too.
"""

import contextlib
import hashlib
import uuid
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

MARK: Final = 16 << 20
"""Packages up to here are digested while they are sent; larger ones keep one digest (some hundred bytes) a `MARK` and stream."""


def sha1() -> Any:
    """A digest that OpenSSL computes, whatever a hardened system thinks of SHA-1 for signatures."""
    return hashlib.sha1(usedforsecurity=False)


class Stream:
    """Blocks stamped with `key`; `marks[n]` is the digest of the first n * MARK bytes, as far as they were ever sent."""

    def __init__(self) -> None:
        self.key = uuid.uuid4().hex
        self.marks: list[Any] = [sha1()]


_free: deque[Stream] = deque()


@contextlib.contextmanager
def leased() -> Iterator[Stream]:
    """A stream that is nobody else's until the block ends."""
    stream = _free.popleft() if _free else Stream()
    try:
        yield stream
    finally:
        _free.append(stream)
