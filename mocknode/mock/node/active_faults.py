"""The faults that are set on a node: recorded in the journal, reported to the agent, timed, waited for and released."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from mocknode.mock.node.faults.effects import Plan
from mocknode.mock.node.faults.selection import ActiveFault, Candidate, FaultSet, Upload
from mocknode.mock.node.faults.spec import FaultSpec
from mocknode.mock.node.journal import Journal
from mocknode.mock.node.triggers import Measure

# A timer may fire a little before the clock that decides; the question is asked again that much later.
TIMER_SLACK_S: Final = 0.001


class ActiveFaults:
    """The faults of one node.

    Args:
        rng: Seeded source of everything random in faults.
        emit: Sends an event to the agent.
    """

    def __init__(self, journal: Journal, rng: random.Random, emit: Callable[[dict[str, Any]], None]) -> None:
        self._journal, self._emit = journal, emit
        self._set = FaultSet(rng)
        self._holds: dict[str | None, set[asyncio.Future[None]]] = {}

    def add(self, spec: FaultSpec, *, pings: int, later: Callable[[], None]) -> None:
        """Set a fault; `later` is called when the time that it waits for is over."""
        entry = self._set.add(spec, now_s=time.monotonic(), pings=pings)
        self._note("set", entry)
        if spec.after is not None and spec.after.measure is Measure.TIME:
            asyncio.get_running_loop().call_later(spec.after.value + TIMER_SLACK_S, later)
        self._arm_ttl(entry)

    def remove(self, id_: str) -> bool:
        """Remove a fault and release what it holds; return False if there is no such fault."""
        entry = self._set.faults.pop(id_, None)
        if entry is None:
            return False
        if not entry.exhausted:
            self._ended(entry, "removed")
        self.release(id_)
        return True

    def clear(self) -> None:
        """Remove every fault, and release everything that hangs."""
        for id_ in self.ids:
            self.remove(id_)
        self.release_all()

    @property
    def any(self) -> bool:
        """Whether there is a fault that can be removed."""
        return bool(self._set.faults)

    @property
    def ids(self) -> list[str]:
        """Ids of all removable faults."""
        return list(self._set.faults)

    def documents(self) -> list[dict[str, Any]]:
        """Return the faults that can still act."""
        return [entry.spec.document() for entry in self._set.faults.values() if not entry.exhausted]

    def waits_for_uploads(self) -> bool:
        """Return whether a fault waits for a share or bytes of a body."""
        triggers = (entry.spec.after for entry in self._set.waiting())
        return any(t is not None and t.measure in (Measure.SHARE, Measure.BYTES) for t in triggers)

    def plan(self, candidate: Candidate) -> Plan:
        """Return what to do to a new request or connection, and count it."""
        plan = self._set.select(candidate)
        self._report_exhausted()
        return plan

    def activate(self, *, pings: int, upload: Upload | None) -> None:
        """Activate the faults whose trigger is met; one that waited for an upload acts on that very upload too."""
        received, length = (-1, None) if upload is None else (upload.received, upload.length)
        for entry in self._set.activate(now_s=time.monotonic(), pings=pings, received=received, length=length):
            self._arm_ttl(entry)
            if upload is not None and (plan := self._set.offer(entry, upload.candidate)):
                upload.join(plan)
        self._report_exhausted()

    def note_hit(self, fault: str, **whom: Any) -> None:
        """Record that a fault acts on a request (`req`, `attempt`) or on a connection at the Tentacle port (`conn`)."""
        entry = self._set.faults.get(fault)
        if entry is not None:
            self._note("hit", entry, **whom)

    @contextlib.contextmanager
    def hold(self, fault: str | None) -> Iterator[asyncio.Future[None]]:
        """Give a future that the release of this fault resolves."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        holders = self._holds.setdefault(fault, set())
        holders.add(future)
        try:
            yield future
        finally:
            holders.discard(future)
            if not holders and self._holds.get(fault) is holders:
                del self._holds[fault]

    def release(self, fault: str | None) -> None:
        """Wake everything that this fault holds."""
        for future in self._holds.get(fault, set()):
            if not future.done():
                future.set_result(None)

    def release_all(self) -> None:
        """Wake everything that hangs."""
        for fault in list(self._holds):
            self.release(fault)

    def _arm_ttl(self, entry: ActiveFault) -> None:
        if entry.ends_s is not None:
            delay_s = max(0.0, entry.ends_s - time.monotonic()) + TIMER_SLACK_S
            asyncio.get_running_loop().call_later(delay_s, self._expire)

    def _expire(self) -> None:
        for entry in self._set.expire(now_s=time.monotonic()):
            if not entry.exhausted:
                self._ended(entry, "ttl")
            self.release(entry.spec.id)

    def _report_exhausted(self) -> None:
        for entry in self._set.newly_exhausted():
            self._ended(entry, "first")

    def _ended(self, entry: ActiveFault, why: str) -> None:
        self._note("removed" if why == "removed" else "ended", entry, why=why)
        self._emit({"event": "fault-ended", "id": entry.spec.id, "why": why})

    def _note(
        self, phase: str, entry: ActiveFault, *, req: int | None = None, attempt: str | None = None, **more: Any
    ) -> None:
        spec = entry.spec
        now = time.monotonic_ns()
        self._journal.add(
            "fault", now, phase=phase, id=spec.id, fault=spec.document(), req=req, attempt=attempt, **more
        )
