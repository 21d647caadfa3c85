"""The faults that are set on a node, and what becomes of them: told to journal and agent, timed, held on to and released."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from mocknode.mock.node.faults.effects import Effect
from mocknode.mock.node.faults.selection import Facts, FaultBook, Standing
from mocknode.mock.node.faults.spec import FaultSpec
from mocknode.mock.node.journal import Journal
from mocknode.mock.node.triggers import Measure

if TYPE_CHECKING:
    from mocknode.mock.node.http.effects_runner import Plan
    from mocknode.mock.node.http.exchange import Exchange

# A timer may fire a little early on the clock that decides; it asks again that much later.
TIMER_SLACK_S: Final = 0.001


class Faulting:
    """The fault book of one node, in motion.

    Args:
        rng: Seeded source of everything random in faults.
        emit: Sends an event to the agent.
    """

    def __init__(self, journal: Journal, rng: random.Random, emit: Callable[[dict[str, Any]], None]) -> None:
        self._journal, self._emit = journal, emit
        self._book = FaultBook(rng)
        self._holds: dict[str | None, set[asyncio.Future[None]]] = {}

    def add(self, spec: FaultSpec, *, pings: int, later: Callable[[], None]) -> None:
        """Set a fault; `later` is called when the time that it waits for has come."""
        entry = self._book.add(spec, now_s=time.monotonic(), pings=pings)
        self._note("set", entry)
        if spec.after is not None and spec.after.measure is Measure.TIME:
            asyncio.get_running_loop().call_later(spec.after.value + TIMER_SLACK_S, later)
        self._arm_ttl(entry)

    def remove(self, id_: str) -> bool:
        """Take a fault out and release what it holds; False if there is no such fault."""
        entry = self._book.standing.pop(id_, None)
        if entry is None:
            return False
        if not entry.spent:
            self._ended(entry, "removed")
        self.release(id_)
        return True

    def clear(self) -> None:
        """Take every fault out, and release what conditions hold too."""
        for id_ in self.ids:
            self.remove(id_)
        self.release_all()

    @property
    def any(self) -> bool:
        """Whether there is a fault that can be removed."""
        return bool(self._book.standing)

    @property
    def ids(self) -> list[str]:
        """Of every fault that can be removed."""
        return list(self._book.standing)

    def documents(self) -> list[dict[str, Any]]:
        """The faults that can still act."""
        return [entry.spec.document() for entry in self._book.standing.values() if not entry.spent]

    def waits_for_uploads(self) -> bool:
        """Whether a fault waits for a share or bytes of a body."""
        triggers = (entry.spec.after for entry in self._book.waiting())
        return any(t is not None and t.measure in (Measure.SHARE, Measure.BYTES) for t in triggers)

    def plan(self, exchange: "Exchange") -> "Plan":
        """What shall be done to a new request."""
        if not self._book.standing:
            return []
        chosen = self._book.select(exchange.facts)
        self._tell_spent()
        return [(item.fault, effect) for item in chosen for effect in item.effects]

    def plan_connection(self) -> list[tuple[str, Effect]]:
        """What shall be done to a new connection at the Tentacle port."""
        if not self._book.standing:
            return []
        chosen = self._book.select(Facts(ping=False, tentacle=True))
        self._tell_spent()
        return [(item.fault, effect) for item in chosen for effect in item.effects]

    def activate(self, *, pings: int, upload: "Exchange | None") -> None:
        """Let become active what waited; a fault that waited for an upload acts on that very upload too."""
        received, length = (-1, None) if upload is None else (upload.received, upload.length)
        for entry in self._book.activate(now_s=time.monotonic(), pings=pings, received=received, length=length):
            self._arm_ttl(entry)
            if upload is not None and (chosen := self._book.offer(entry, upload.facts)):
                upload.join(chosen)
        self._tell_spent()

    def note_hit(self, fault: str, exchange: "Exchange") -> None:
        """A fault acts on a request."""
        entry = self._book.standing.get(fault)
        if entry is not None:
            self._note("hit", entry, req=exchange.req, attempt=exchange.attempt)

    def note_connection(self, fault: str, conn: int) -> None:
        """A fault acts on a connection at the Tentacle port."""
        entry = self._book.standing.get(fault)
        if entry is not None:
            self._note("hit", entry, conn=conn)

    @contextlib.contextmanager
    def hold(self, fault: str | None) -> Iterator[asyncio.Future[None]]:
        """A future that the release of this fault resolves."""
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

    def _arm_ttl(self, entry: Standing) -> None:
        if entry.ends_s is not None:
            delay_s = max(0.0, entry.ends_s - time.monotonic()) + TIMER_SLACK_S
            asyncio.get_running_loop().call_later(delay_s, self._expire)

    def _expire(self) -> None:
        for entry in self._book.expire(now_s=time.monotonic()):
            if not entry.spent:
                self._ended(entry, "ttl")
            self.release(entry.spec.id)

    def _tell_spent(self) -> None:
        for entry in self._book.newly_spent():
            self._ended(entry, "first")

    def _ended(self, entry: Standing, why: str) -> None:
        self._note("removed" if why == "removed" else "ended", entry, why=why)
        self._emit({"event": "fault-ended", "id": entry.spec.id, "why": why})

    def _note(
        self, phase: str, entry: Standing, *, req: int | None = None, attempt: str | None = None, **more: Any
    ) -> None:
        spec = entry.spec
        now = time.monotonic_ns()
        self._journal.add(
            "fault", now, phase=phase, id=spec.id, fault=spec.document(), req=req, attempt=attempt, **more
        )
