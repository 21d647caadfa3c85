"""Which faults act on which request: the rules of `on`, `attempt`, `first`, `every`, `after` and `ttl`.

Pure: the caller passes in the clock, the counters and the seeded random source, so the same seed and the same requests give
the same faults. A request that cannot reach any point of a fault (a GET for `reset` at 64KiB) does not count for `first` and
`every`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mocknode.mock.node.faults.effects import Effect, Plan
from mocknode.mock.node.faults.spec import FaultSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What selection knows of a request, or of a connection at the Tentacle port, that faults may act on.

    Attributes:
        ping: It is on the ping path.
        tentacle: It is a connection at the Tentacle port and no request.
        has_body: A body is expected.
        length: The declared length of the body; None when it is chunked or there is none.
    """

    ping: bool
    attempt: str | None = None
    has_body: bool = False
    length: int | None = None
    tentacle: bool = False

    def reaches(self, effect: Effect) -> bool:
        """Return whether this request can come to the effect's point."""
        if not effect.at.in_body:
            return True
        offset = effect.at.offset(self.length)
        return self.has_body and (offset is None or self.length is None or offset <= self.length)


class Upload(Protocol):
    """An upload in flight, whose progress a trigger may wait for."""

    @property
    def received(self) -> int:
        """Body bytes so far."""

    @property
    def length(self) -> int | None:
        """Declared length of the body; None when it is chunked."""

    @property
    def candidate(self) -> Candidate:
        """What the selection of faults looks at."""

    def join(self, plan: Plan) -> None:
        """Carry out the effects of a fault that became active because of this upload."""


@dataclass(slots=True, kw_only=True)
class ActiveFault:
    """A fault that is set on a node, and how often it has acted.

    Attributes:
        active_s: When it became active; None while it waits for its trigger.
        seen: Requests that it could have acted on.
        hits: Requests that it has acted on.
        end_reported: Whether agent and journal have been told that it is exhausted.
    """

    spec: FaultSpec
    set_s: float
    set_pings: int
    active_s: float | None = None
    seen: int = 0
    hits: int = 0
    end_reported: bool = False

    @property
    def exhausted(self) -> bool:
        """Whether it has acted on its first n requests, so that it acts on no more."""
        return self.spec.first is not None and self.hits >= self.spec.first

    @property
    def ends_s(self) -> float | None:
        """When its TTL is over; None without one, and while it waits for its trigger."""
        return None if self.active_s is None or self.spec.ttl_s is None else self.active_s + self.spec.ttl_s


@dataclass(slots=True)
class FaultSet:
    """The faults of one node by id, in the order in which they were set."""

    rng: random.Random
    faults: dict[str, ActiveFault] = field(default_factory=dict)

    def add(self, spec: FaultSpec, *, now_s: float, pings: int) -> ActiveFault:
        """Set a fault; it replaces one with the same id. One with `after` waits, any other is active immediately."""
        entry = ActiveFault(spec=spec, set_s=now_s, set_pings=pings, active_s=None if spec.after else now_s)
        self.faults.pop(spec.id, None)
        self.faults[spec.id] = entry
        return entry

    def waiting(self) -> Iterator[ActiveFault]:
        """Yield the faults that wait for their trigger."""
        return (entry for entry in self.faults.values() if entry.active_s is None)

    def activate(self, *, now_s: float, pings: int, received: int = -1, length: int | None = None) -> list[ActiveFault]:
        """Activate and return the faults whose trigger is met; the arguments are those of `Trigger.met`."""
        met = [
            entry
            for entry in self.waiting()
            if entry.spec.after is not None
            and entry.spec.after.met(
                elapsed_s=now_s - entry.set_s, pings=pings - entry.set_pings, received=received, length=length
            )
        ]
        for entry in met:
            entry.active_s = now_s
        return met

    def expire(self, *, now_s: float) -> list[ActiveFault]:
        """Remove and return the faults whose TTL is over."""
        over = [e for e in self.faults.values() if e.ends_s is not None and now_s >= e.ends_s]
        for entry in over:
            del self.faults[entry.spec.id]
        return over

    def newly_exhausted(self) -> list[ActiveFault]:
        """Return each fault that is exhausted, once."""
        exhausted = [entry for entry in self.faults.values() if entry.exhausted and not entry.end_reported]
        for entry in exhausted:
            entry.end_reported = True
        return exhausted

    def select(self, candidate: Candidate) -> Plan:
        """Return what the active faults do to a request, and count it for `first` and `every`."""
        return [item for entry in self.faults.values() for item in self.offer(entry, candidate)]

    def offer(self, entry: ActiveFault, candidate: Candidate) -> Plan:
        """Return what one fault does to a request, and count the request if the fault can act on it."""
        spec = entry.spec
        if entry.active_s is None or entry.exhausted or not _in_scope(spec, candidate):
            return []
        effects = [effect for effect in spec.fault.effects(self.rng) if candidate.reaches(effect)]
        if not effects:
            return []
        entry.seen += 1
        if spec.every is not None and entry.seen % spec.every:
            return []
        entry.hits += 1
        return [(spec.id, effect) for effect in effects]


def _in_scope(spec: FaultSpec, candidate: Candidate) -> bool:
    if (spec.on == "tentacle") is not candidate.tentacle:
        return False
    if spec.on in ("ping", "api") and (spec.on == "ping") is not candidate.ping:
        return False
    return spec.attempt is None or spec.attempt == candidate.attempt
