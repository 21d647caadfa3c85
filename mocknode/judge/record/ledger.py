"""The upload ledger: joins attempts with the nodes' journals and puts each attempt into exactly one class.

A decision table over what the client learned, how many complete deliveries the nodes received, whether their digest is equal,
and whether the node itself answered with an error. The table covers every combination; no class is a remainder.
`tests/judge/record/test_ledger.py` tries them all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, get_args

from typing_extensions import TypedDict

from mocknode.judge.record.history import History, Request, Told
from mocknode.text.json_schema import Rule, closed

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
    # Exactly one complete delivery with the right digest. Key: what the client learned, whether the node answered with an error.
    ("acknowledged", False): "delivered_once",
    ("acknowledged", True): "lost",
    ("error", False): "stored_but_reported_failed",
    ("error", True): "refused",
    ("nothing", False): "stored_but_reported_failed",
    ("nothing", True): "refused",
}
_NEVER: Final[Mapping[tuple[Told, bool], Class]] = {
    # No complete delivery. Key: what the client learned, whether a node still has the request open.
    ("acknowledged", False): "lost",
    ("acknowledged", True): "lost",
    ("error", False): "refused",
    ("error", True): "refused",
    ("nothing", False): "broken_off",
    ("nothing", True): "unresolved",
}

# These classes say that something did not happen, which is known only once all journals are read up to the attempt's end.
ABSENT: Final[frozenset[Class]] = frozenset({"lost", "refused", "broken_off"})


class Sent(Protocol):
    """The part of an attempt that the ledger reads."""

    @property
    def told(self) -> Told:
        """What the client learned about its upload."""
        ...

    @property
    def sha1(self) -> str | None:
        """Digest of the package."""
        ...


class Seen(Protocol):
    """The part of a node's request that the ledger reads."""

    @property
    def complete(self) -> bool:
        """Whether the whole body arrived."""
        ...

    @property
    def sha1(self) -> str | None:
        """Digest of the package."""
        ...

    @property
    def status(self) -> int | None:
        """Status that the node answered with."""
        ...

    @property
    def ended_ns(self) -> int | None:
        """When the request ended; None while it is open."""
        ...


def classify(attempt: Sent, seen: Sequence[Seen]) -> Class:
    """Return the class of one upload, given every request of it that any node saw."""
    whole = [request for request in seen if request.complete and not _has_no_package(request)]
    if any(request.sha1 is not None and request.sha1 != attempt.sha1 for request in whole):
        return "corrupted"
    if len(whole) >= 2:
        return "delivered_twice"
    if whole:
        return _ONCE[attempt.told, (whole[0].status or 0) >= 400]
    return _NEVER[attempt.told, any(request.ended_ns is None for request in seen)]


def _has_no_package(request: Seen) -> bool:
    """Whether a node accepted the request but found no package in it: the balancer changed the upload, for instance into a GET."""
    return request.sha1 is None and request.status is not None and request.status < 400


_Count = Annotated[int, Rule(minimum=0)]


@closed
class ClassCounts(TypedDict):
    """Uploads by class; `attempts` is the sum of the classes."""

    attempts: _Count
    delivered_once: _Count
    delivered_twice: _Count
    lost: _Count
    stored_but_reported_failed: _Count
    corrupted: _Count
    refused: _Count
    broken_off: _Count
    unresolved: _Count


@closed
class LedgerCounts(ClassCounts):
    """Uploads by class, and how many of them a fault of a check acted on."""

    provoked: _Count
    """attempts that a fault of a check acted on"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Number of uploads by class; `attempts` is the sum. `provoked` counts those on which a check's own fault acted."""

    attempts: int
    counts: Mapping[Class, int]
    provoked: int

    def by_class(self) -> ClassCounts:
        """Return the `ledger` of a load report, in which no fault of a check acts on an upload."""
        counts = self.counts
        return {
            "attempts": self.attempts,
            "delivered_once": counts.get("delivered_once", 0),
            "delivered_twice": counts.get("delivered_twice", 0),
            "lost": counts.get("lost", 0),
            "stored_but_reported_failed": counts.get("stored_but_reported_failed", 0),
            "corrupted": counts.get("corrupted", 0),
            "refused": counts.get("refused", 0),
            "broken_off": counts.get("broken_off", 0),
            "unresolved": counts.get("unresolved", 0),
        }

    def document(self) -> LedgerCounts:
        """Return the `ledger` of a check report."""
        return {**self.by_class(), "provoked": self.provoked}


def balance(histories: Iterable[History]) -> Ledger:
    """Return the ledger of a run over all its lanes. Only uploads count, as a GET has nothing to lose."""
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
