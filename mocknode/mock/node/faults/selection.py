"""Which faults act on which request: scope, attempt, first, every, after and ttl.

Pure: the caller passes clock, counters and the seeded random source in, so that a seed and the same requests give the same
faults. Requests that cannot reach any point of a fault (a GET for `reset at 64KiB`) do not count for `first` and `every`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from mocknode.mock.node.faults.effects import Effect
from mocknode.mock.node.faults.spec import FaultSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What selection needs to know of a request.

    Attributes:
        ping: It is on the ping path.
        tentacle: It is no request but a connection at the Tentacle port.
        has_body: A body is expected.
        length: Its declared length; None when chunked or without a body.
    """

    ping: bool
    attempt: str | None = None
    has_body: bool = False
    length: int | None = None
    tentacle: bool = False

    def reaches(self, effect: Effect) -> bool:
        """Whether this request can come to the effect's point."""
        if not effect.at.in_body:
            return True
        offset = effect.at.offset(self.length)
        return self.has_body and (offset is None or self.length is None or offset <= self.length)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A fault and what it does to one request."""

    fault: str
    effects: tuple[Effect, ...]


@dataclass(slots=True, kw_only=True)
class Standing:
    """A fault that is set, and how far it has come."""

    spec: FaultSpec
    set_s: float
    set_pings: int
    active_s: float | None = None
    seen: int = 0
    hits: int = 0
    told_spent: bool = False

    @property
    def spent(self) -> bool:
        """It has acted on its first n requests and acts on no more."""
        return self.spec.first is not None and self.hits >= self.spec.first

    @property
    def ends_s(self) -> float | None:
        """When its TTL is over, None while that is not known."""
        return None if self.active_s is None or self.spec.ttl_s is None else self.active_s + self.spec.ttl_s


@dataclass(slots=True)
class FaultBook:
    """The faults of one node, in the order in which they were set."""

    rng: random.Random
    standing: dict[str, Standing] = field(default_factory=dict)

    def add(self, spec: FaultSpec, *, now_s: float, pings: int) -> Standing:
        """Set a fault; one with `after` waits, any other is active at once. An id that is taken is replaced."""
        entry = Standing(spec=spec, set_s=now_s, set_pings=pings, active_s=None if spec.after else now_s)
        self.standing.pop(spec.id, None)
        self.standing[spec.id] = entry
        return entry

    def waiting(self) -> Iterator[Standing]:
        """Faults whose trigger has not come yet."""
        return (entry for entry in self.standing.values() if entry.active_s is None)

    def activate(self, *, now_s: float, pings: int, received: int = -1, length: int | None = None) -> list[Standing]:
        """Make active, and return, the faults whose trigger has come; the arguments are those of `Trigger.met`."""
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

    def expire(self, *, now_s: float) -> list[Standing]:
        """Take out, and return, the faults whose TTL is over."""
        over = [e for e in self.standing.values() if e.ends_s is not None and now_s >= e.ends_s]
        for entry in over:
            del self.standing[entry.spec.id]
        return over

    def newly_spent(self) -> list[Standing]:
        """Faults that have acted on the last of their first n requests since this was last asked."""
        spent = [entry for entry in self.standing.values() if entry.spent and not entry.told_spent]
        for entry in spent:
            entry.told_spent = True
        return spent

    def select(self, facts: Facts) -> list[Chosen]:
        """What the active faults do to a request; counts it for `first` and `every`."""
        return [chosen for entry in self.standing.values() if (chosen := self.offer(entry, facts))]

    def offer(self, entry: Standing, facts: Facts) -> Chosen | None:
        """What one fault does to a request, or None; counts it."""
        spec = entry.spec
        if entry.active_s is None or entry.spent:
            return None
        if (spec.on == "tentacle") is not facts.tentacle:
            return None
        if spec.on in ("ping", "api") and (spec.on == "ping") is not facts.ping:
            return None
        if spec.attempt is not None and spec.attempt != facts.attempt:
            return None
        effects = tuple(effect for effect in spec.fault.effects(self.rng) if facts.reaches(effect))
        if not effects:
            return None
        entry.seen += 1
        if spec.every is not None and entry.seen % spec.every:
            return None
        entry.hits += 1
        return Chosen(spec.id, effects)
