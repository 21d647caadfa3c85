"""What happens to each request of a node, by its condition and its faults, and what each request triggers.

`Admission` is the `Site` of the node's HTTP side.
"""

import asyncio
import random
from contextlib import AbstractContextManager
from typing import Final

from mocknode.mock.node.active_faults import ActiveFaults
from mocknode.mock.node.faults.effects import BODY_END, Plan, Raw, Reply
from mocknode.mock.node.faults.selection import Upload
from mocknode.mock.node.faults.spec import FaultSpec
from mocknode.mock.node.heartbeat import Heartbeat
from mocknode.mock.node.http.request_facts import RequestFacts
from mocknode.mock.node.lifecycle import Condition, Form, State
from mocknode.mock.node.scheduled_states import ScheduledStates
from mocknode.mock.node.services import Services
from mocknode.mock.node.triggers import Trigger

GARBAGE_BYTES: Final = 64


class Admission:
    """The requests of one node.

    Args:
        rng: Seeded source of what a node says that is offline as `garbage`.

    Attributes:
        pings, requests: Requests that are over, on the ping path and elsewhere.
        watches_uploads: Whether a trigger waits for the progress of an upload.
    """

    def __init__(
        self,
        services: Services,
        heartbeat: Heartbeat,
        faults: ActiveFaults,
        scheduled: ScheduledStates,
        rng: random.Random,
    ) -> None:
        self._services, self._faults, self._scheduled, self._rng = services, faults, scheduled, rng
        self.next_connection, self.spawn = services.next_connection, services.spawn
        self.note, self.ping_state = services.journal.add, heartbeat.ping_state
        self.pings = self.requests = 0
        self._requests_seen = 0
        self._in_flight: dict[int, RequestFacts] = {}
        self.watches_uploads = False

    @property
    def silent(self) -> bool:
        """Whether this node reads and writes nothing."""
        return self._services.silent

    @property
    def pings_are_plain(self) -> bool:
        """Whether a ping only has to be answered: no fault, no trigger and no setting concerns it."""
        condition, web = self._services.condition, self._services.config.web
        return (
            condition.form is None
            and condition.state is not State.STARTING
            and not self._scheduled.waiting
            and not self._faults.any
            and web.force_ssl is None
            and not web.limits_ping
        )

    def next_request(self) -> int:
        """Return the number of a new request, from 1."""
        self._requests_seen += 1
        return self._requests_seen

    def admit(self, facts: RequestFacts) -> Plan:
        """Count a request whose head arrived, and return what to do to it."""
        self._in_flight[facts.req] = facts
        condition = self._services.condition
        match condition.form, condition.state:
            case Form.STATUS, _:
                return [(None, Reply(at=BODY_END, status=condition.status or 503))]
            case Form.GARBAGE, _:
                return [(None, Raw(at=BODY_END, data=b"\xff" + self._rng.randbytes(GARBAGE_BYTES - 1)))]
            case _, State.STARTING:
                return [(None, Reply(at=BODY_END, status=503))]
        return self._faults.plan(facts.candidate) if self._faults.any else []

    def upload_moved(self, upload: Upload) -> None:
        """Let the triggers act that wait for this upload to have come this far."""
        self._activate(upload)

    def hit(self, fault: str, facts: RequestFacts) -> None:
        """Record that a fault acts on a request."""
        self._faults.note_hit(fault, req=facts.req, attempt=facts.attempt)

    def hold(self, fault: str | None) -> AbstractContextManager[asyncio.Future[None]]:
        """Give a future that the release of this fault resolves."""
        return self._faults.hold(fault)

    def dismiss(self, facts: RequestFacts) -> None:
        """Count a request that is over."""
        self._in_flight.pop(facts.req, None)
        if facts.ping:
            self.pings += 1
        else:
            self.requests += 1
        self._activate()

    def count_ping(self) -> int:
        """Count a plain ping, and return its number as a request."""
        self.pings += 1
        self._requests_seen += 1
        return self._requests_seen

    def add_fault(self, spec: FaultSpec) -> None:
        """Set a fault."""
        self._faults.add(spec, pings=self.pings, later=self._activate)
        self._look_for_uploads()

    def schedule(self, wanted: Condition, trigger: Trigger) -> None:
        """Change the condition when the trigger is met."""
        self._scheduled.add(wanted, trigger, pings=self.pings, later=self._activate)
        self._look_for_uploads()

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._faults.clear()
        self._look_for_uploads()

    def clear(self) -> None:
        """Remove every fault and every change that waits."""
        self._scheduled.clear()
        self.clear_faults()

    def _look_for_uploads(self) -> None:
        self.watches_uploads = self._scheduled.waits_for_uploads() or self._faults.waits_for_uploads()

    def _activate(self, upload: Upload | None = None) -> None:
        """Let every trigger act that is met."""
        if self._scheduled.waiting:
            self._scheduled.activate(pings=self.pings, upload=upload)
        if self._faults.any:
            self._faults.activate(pings=self.pings, upload=upload)
        if self.watches_uploads:
            self._look_for_uploads()

    @property
    def in_flight(self) -> int:
        """Requests that are under way."""
        return len(self._in_flight)

    @property
    def uploads_in_flight(self) -> int:
        """Uploads that are under way."""
        return sum(facts.upload for facts in self._in_flight.values())

    @property
    def upload_progress(self) -> float | None:
        """Share of its body that the furthest upload under way has sent; None without one whose length is known."""
        shares = (facts.received / facts.length for facts in self._in_flight.values() if facts.upload and facts.length)
        return max(shares, default=None)
