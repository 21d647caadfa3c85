"""The upload ledger: client side and journals joined, each attempt in exactly one class.

A decision table over what the client was told, how many complete deliveries the nodes received, whether their digest is
equal, and whether the node itself answered with an error. No class is computed as a remainder: the table is total, and
`tests/judge/record/test_ledger.py` walks all of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

from mocknode.judge.record.history import History, Request, Told

Class = Literal[
    "delivered_once",
    "delivered_twice",
    "lost",
    "stored_but_reported_failed",
    "corrupted",
    "refused",
    "broken_off",
    "unresolved",
]
CLASSES: Final[tuple[Class, ...]] = get_args(Class)

_ONCE: Final[Mapping[tuple[Told, bool], Class]] = {
    # (what the client was told, the node itself answered with an error): exactly one whole and equal delivery
    ("acknowledged", False): "delivered_once",
    ("acknowledged", True): "lost",
    ("error", False): "stored_but_reported_failed",
    ("error", True): "refused",
    ("nothing", False): "stored_but_reported_failed",
    ("nothing", True): "refused",
}
_NEVER: Final[Mapping[tuple[Told, bool], Class]] = {
    # (what the client was told, a node still holds the request open): no whole delivery
    ("acknowledged", False): "lost",
    ("acknowledged", True): "lost",
    ("error", False): "refused",
    ("error", True): "refused",
    ("nothing", False): "broken_off",
    ("nothing", True): "unresolved",
}

# These say that something did not happen, so they hold only once every journal was read up to the end of the attempt.
ABSENT: Final[frozenset[Class]] = frozenset({"lost", "refused", "broken_off"})


class Sent(Protocol):
    """What the ledger needs of an attempt."""

    @property
    def told(self) -> Told:
        """What the client was told."""
        ...

    @property
    def sha1(self) -> str | None:
        """Digest of the content."""
        ...


class Seen(Protocol):
    """What the ledger needs of a request at a node."""

    @property
    def complete(self) -> bool:
        """The body arrived whole."""
        ...

    @property
    def sha1(self) -> str | None:
        """Digest of the content."""
        ...

    @property
    def status(self) -> int | None:
        """What the node answered."""
        ...

    @property
    def ended_ns(self) -> int | None:
        """None while the node has it."""
        ...


def classify(attempt: Sent, seen: Sequence[Seen]) -> Class:
    """The class of one upload, from every request of it that any node saw."""
    whole = [request for request in seen if request.complete and not _empty_handed(request)]
    if any(request.sha1 is not None and request.sha1 != attempt.sha1 for request in whole):
        return "corrupted"
    if len(whole) >= 2:
        return "delivered_twice"
    if whole:
        return _ONCE[attempt.told, (whole[0].status or 0) >= 400]
    return _NEVER[attempt.told, any(request.ended_ns is None for request in seen)]


def _empty_handed(request: Seen) -> bool:
    """A node was content with it and found no package in it: the balancer made something else of the upload, such as a GET."""
    return request.sha1 is None and request.status is not None and request.status < 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts by class; `attempts` is their sum. `provoked` counts those that a fault of a check acted on."""

    attempts: int
    counts: Mapping[Class, int]
    provoked: int

    def document(self) -> dict[str, int]:
        """The report's `ledger`."""
        return {
            "attempts": self.attempts,
            **{name: self.counts.get(name, 0) for name in CLASSES},
            "provoked": self.provoked,
        }


def balance(histories: Iterable[History]) -> Ledger:
    """The ledger of a run over all its lanes; only uploads count, a GET has nothing to lose."""
    counts: Counter[Class] = Counter()
    provoked = 0
    for history in histories:
        seen: dict[str, list[Request]] = {}
        for request in history.requests:
            if request.attempt is not None:
                seen.setdefault(request.attempt, []).append(request)
        for attempt in history.attempts:
            if attempt.sha1 is not None:
                requests = seen.get(attempt.id, [])
                found = classify(attempt, requests)
                read = attempt.ended_ns <= history.synced_ns
                counts["unresolved" if found in ABSENT and not read else found] += 1
                provoked += any(request.faults for request in requests)
    return Ledger(attempts=counts.total(), counts=counts, provoked=provoked)
