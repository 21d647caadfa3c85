"""What a check works with: the front door, the nodes, and the recording.

A `Lab` is one lane: a cluster, the balancer in front of it, and one recording. A check does everything through it, so that
everything is recorded. `restore` puts the cluster back into its first state and proves it.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mocknode.judge.lab.preflight import redirects_to_https
from mocknode.judge.lab.region import BothJournals, Standby
from mocknode.judge.record.history import Attempt, History, Request
from mocknode.judge.record.recording import Recording
from mocknode.judge.record.steps import NotRestored, Restored, RestoreStarted, StepFacts, to_step
from mocknode.judge.traffic import FrontDoor, RequestSpec, request, steady
from mocknode.judge.traffic import upload as send_upload
from mocknode.judge.traffic.polling_session import Poller, PollingAddress, PollingSession
from mocknode.judge.verdict.calibration import Calibration, calibrate, longest_reaction_s, requests_to_confirm_out
from mocknode.judge.verdict.outcome import Tier
from mocknode.mock.cluster.client import ControlClient, ControlError, ControlUnreachableError

# Requests per second of background traffic. Three nodes need 52 requests in a row, which take 1.3 s; two busy cores hardly
# notice this rate.
TRAFFIC_PER_S: Final = 40.0

# How often the journals are read while a check waits for something.
POLL_S: Final = 0.05

# A healthy node answers a GET within this time; a longer answer counts as an error of the traffic.
GET_TIMEOUT_S: Final = 5.0

# How long `restore` waits when nothing was seen of the balancer's probes: 3 probes of 30 s each, as in many default configurations.
REACTION_S_MAX: Final = 100.0


# Two good probes at 2 s each, and the start of a large program on a busy machine.
READY_S_MAX: Final = 15.0


# A check that takes a node away needs another one that serves meanwhile.
TOO_MANY: Final = 429
"""Status of a limit on rate."""
NODES_MIN: Final = 2


class SteadyStateLostError(Exception):
    """The cluster did not become healthy again through the balancer after a check, and too few nodes are left to go on."""


@dataclass(slots=True, kw_only=True)
class Lab:
    """One lane.

    Attributes:
        front, secure: Front door over HTTP, and over HTTPS where there is one.
        serving: Nodes that answered through the balancer while everything was healthy; `restore` waits for them.
        patience_s: Longest silence that the operator requires the balancer to bear.
        max_upload: Largest request body in bytes that the operator allows or declares.
        calibrated: Set by the lane that calibrates, awaited by those that need reaction times.
        restart: Stops the balancer, calls the given function, and starts it again; None when we did not start it.
        tentacles: Where each node is polled through the balancer, by node; empty where nothing polls.
        tentacles_by_name: The addresses at which the TLS server name decides, by node.
        thumbprints: Certificate thumbprint of each node that listens for Tentacles.
        poller: The Tentacle that polls; it is registered with the nodes.
        standby: The cluster that takes over when no node of this one is healthy; None without one.
        started_ns: When the balancer began to listen, or when the run connected to it.
        clock_offset_ns: Added to the nodes' times, to convert from their clock to ours.
    """

    name: str
    front: FrontDoor
    secure: FrontDoor | None
    control: ControlClient
    recording: Recording
    nodes: tuple[str, ...]
    api_key: str
    tier: Tier
    patience_s: float
    max_upload: int
    public_name: str
    calibrated: asyncio.Future[Calibration]
    restart: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]] | None = None
    say: Callable[[str], None] = lambda text: None
    tentacles: Mapping[str, PollingAddress] = field(default_factory=dict)
    tentacles_by_name: Mapping[str, PollingAddress] = field(default_factory=dict)
    thumbprints: Mapping[str, str] = field(default_factory=dict)
    poller: Poller | None = None
    standby: Standby | None = None
    started_ns: int = field(default_factory=time.monotonic_ns)
    serving: tuple[str, ...] = ()
    restarted: bool = False
    clock_offset_ns: int = 0
    _cursor: str | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _exclusive: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    @property
    def history(self) -> History:
        """Everything recorded so far."""
        return self.recording.history

    @property
    def journals(self) -> ControlClient | BothJournals:
        """Where the journals of all nodes are read, including those of a standby."""
        return self.control if self.standby is None else self.standby.journals

    @property
    def quick(self) -> bool:
        """Whether this is a run with `--quick`."""
        return self.tier == "quick"

    @property
    def requests_to_confirm_out(self) -> int:
        """Consecutive requests that must all bypass a node before it counts as out."""
        return requests_to_confirm_out(len(self.serving))

    def tag_requests(self) -> None:
        """Send the id in the query as well from now on, because the balancer removes our header."""
        self.front = replace(self.front, tagged=True)
        self.secure = self.secure and replace(self.secure, tagged=True)

    def use_https(self) -> None:
        """Send everything through the HTTPS front door from now on."""
        self.front = self.secure or self.front

    async def sent_to_https(self) -> bool:
        """Return whether the balancer answers HTTP with nothing but a redirect to HTTPS.

        Asks again until the answer is a 200 or a redirect, as a balancer that just started may not know its routes yet (Traefik: 404).
        """
        deadline = time.monotonic() + READY_S_MAX
        while self.secure is not None and self.front.scheme == "http" and time.monotonic() < deadline:
            answer = await self.get("ready")
            if redirects_to_https(answer):
                return True
            if answer.status == 200:
                return False
            await asyncio.sleep(POLL_S)
        return False

    def confirming_takes_s(self) -> float:
        """Return how long the background traffic needs for `requests_to_confirm_out` requests, plus a fifth."""
        return 1.2 * self.requests_to_confirm_out / TRAFFIC_PER_S

    def step(self, check: str, facts: StepFacts) -> int:
        """Record something that a check just did or noticed, and return the time."""
        t_ns = time.monotonic_ns()
        self.recording.step(to_step(t_ns, check, facts))
        return t_ns

    async def sync(self) -> None:
        """Read what the nodes have journalled since the last call."""
        async with self._reading:
            more, began_ns = True, time.monotonic_ns()
            while more:
                page = await self.journals.journal(self._cursor)
                self._cursor, more = page.cursor, page.more
                self.recording.journal(page.records)
            self.recording.synced(began_ns)

    async def until(self, condition: Callable[[History], bool], timeout_s: float) -> bool:
        """Wait until the history fulfils `condition`, and return whether it did within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            await self.sync()
            if condition(self.history):
                return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_S)

    async def send(self, spec: RequestSpec, *, front: FrontDoor | None = None) -> Attempt:
        """Send one request on a connection of its own and record it."""
        attempt = await request(front or self.front, spec)
        self.recording.attempt(attempt)
        return attempt

    async def get(
        self, check: str, variant: str = "", *, target: str = "/api", headers: Sequence[tuple[str, str]] = (),
        front: FrontDoor | None = None, timeout_s: float = GET_TIMEOUT_S,
    ) -> Attempt:  # fmt: skip
        """Send one GET on a connection of its own and record it."""
        spec = RequestSpec(
            check=check, variant=variant, method="GET", target=target, headers=tuple(headers), timeout_s=timeout_s
        )
        return await self.send(spec, front=front)

    async def upload(self, check: str, variant: str, size: int | None = None, **options: Any) -> Attempt:
        """Upload a package of `size` bytes as `mocknode.judge.traffic.upload` does, and record it."""
        attempt = await send_upload(self.front, check, variant, size, **{"api_key": self.api_key, **options})
        self.recording.attempt(attempt)
        return attempt

    @contextlib.asynccontextmanager
    async def polling(
        self, place: PollingAddress, check: str, variant: str = "", **options: Any
    ) -> AsyncIterator[PollingSession]:
        """Open a polling connection and keep it while the block runs; record it at the end, whether or not it got through.

        Args:
            options: Passed to `Poller.session`.
        """
        assert self.poller is not None
        session = self.poller.session(place, check, variant, **options)
        await session.open()
        try:
            yield session
        finally:
            self.recording.session(await session.close())

    @contextlib.asynccontextmanager
    async def exclusive(self, *nodes: str) -> AsyncIterator[None]:
        """Keep other checks from disturbing the Tentacles of these nodes, or relying on them, while the block runs."""
        async with contextlib.AsyncExitStack() as stack:
            # Always in the same order; otherwise two checks that want the same nodes would wait for each other.
            for node in sorted(nodes):
                await stack.enter_async_context(self._exclusive[node])
            yield

    @contextlib.asynccontextmanager
    async def registered(self, session: PollingSession) -> AsyncIterator[str]:
        """Register this session's Tentacle while the block runs; yields the name under which nodes can call it."""
        assert self.poller is not None
        await self.control.register_tentacle(session.id, self.poller.identity.thumbprint, session.subscription)
        try:
            yield session.id
        finally:
            await self.control.unregister_tentacle(session.id)

    async def call(self, node: str, name: str) -> None:
        """Call a Tentacle through a node. The Tentacle records the result; the control API may give up waiting for it."""
        with contextlib.suppress(ControlError, ControlUnreachableError):
            await self.control.call_tentacle(node, name, "capabilities")

    @contextlib.asynccontextmanager
    async def traffic(self, variant: str, rate_per_s: float = TRAFFIC_PER_S) -> AsyncIterator[None]:
        """Send background GETs on fresh connections while the block runs; they are recorded as check `traffic`."""
        async with steady(
            self.front, rate_per_s=rate_per_s, check="traffic", variant=variant, record=self.recording.attempt
        ):
            yield

    async def state(self, node: str, state: str, how: str | None = None, *, after: str | None = None) -> int:
        """Put a node into a state, and return the time from which its own answers show it."""
        await self.control.set_state(node, state, how, after=after)
        return time.monotonic_ns()

    async def fault(self, nodes: Sequence[str], kind: str, **scope: Any) -> list[tuple[str, str]]:
        """Set one fault on several nodes, and return (node, fault id) for `heal`."""
        return [(node, await self.control.add_fault(node, kind, **scope)) for node in nodes]

    async def heal(self, faults: Sequence[tuple[str, str]]) -> None:
        """Remove faults that `fault` set."""
        for node, fault in faults:
            await self.control.remove_fault(node, fault)

    async def wait_out(self, node: str, since_ns: int, timeout_s: float) -> int | None:
        """Wait until the balancer sends no new requests to `node`. Needs background traffic.

        Returns:
            Time of the last request that reached the node after `since_ns`, or `since_ns` if none did; None when requests kept coming
            until the timeout.
        """
        found = await self.until(
            lambda history: is_out(history, node, since_ns, self.requests_to_confirm_out), timeout_s
        )
        return last_arrival(self.history, node, since_ns) if found else None

    async def wait_in(self, node: str, since_ns: int, timeout_s: float) -> int | None:
        """Wait until a new request reaches `node`, and return its time, None after the timeout. Needs background traffic."""
        if await self.until(lambda history: bool(history.arrivals(node, since_ns)), timeout_s):
            return self.history.arrivals(node, since_ns)[0].t_ns
        return None

    def interval_s(self) -> float | None:
        """Return the probe interval that the record shows so far, None when it shows none."""
        return calibrate(self.history, self.nodes).interval_s

    async def ready(self) -> None:
        """Wait until every node answers through the balancer, which may know no healthy node yet, or fewer after a drain.

        Returns after the longest reaction that its probes so far allow: the preflight judges a balancer that never gets there.
        """
        deadline = time.monotonic() + max(READY_S_MAX, longest_reaction_s(self.interval_s()))
        answered: set[str | None] = set()
        while not answered >= set(self.nodes) and time.monotonic() < deadline:
            answered.add((await self.get("ready")).node)
            await asyncio.sleep(POLL_S)

    async def restore(self, check: str) -> None:
        """Reset the cluster, and prove that every node that served before serves again.

        A node that does not is a finding about the balancer: it is recorded, and the run goes on without it.

        Raises:
            SteadyStateLostError: fewer than two nodes are left; naming those that did not come back, and how long they were given.
        """
        await self.control.reset()
        since_ns = self.step(check, RestoreStarted())
        budget_s = self._return_budget_s()

        def served(history: History) -> bool:
            if self._refused_by_rate(since_ns):
                return True
            answered = {
                a.node
                for a in history.attempts[-self.requests_to_confirm_out :]
                if a.started_ns >= since_ns and a.status == 200
            }
            return answered >= set(self.serving)

        async with self.traffic("restore"):
            healthy = await self.until(served, budget_s)
        if not healthy:
            self._go_on_without_missing(check, since_ns, budget_s)
        await self._polled_again(check, budget_s)
        self.step(check, Restored())
        self.recording.flush()

    def _refused_by_rate(self, since_ns: int) -> bool:
        """Return whether the balancer itself refuses all that is sent: which nodes serve cannot be seen then."""
        last = [a for a in self.history.attempts if a.started_ns >= since_ns][-self.requests_to_confirm_out :]
        return len(last) == self.requests_to_confirm_out and all(a.status == TOO_MANY and a.node is None for a in last)

    def _go_on_without_missing(self, check: str, since_ns: int, waited_s: float) -> None:
        seen = {a.node for a in self.history.attempts if a.started_ns >= since_ns and a.status == 200}
        missing = tuple(node for node in self.serving if node not in seen)
        left = tuple(node for node in self.serving if node in seen)
        text = (
            f"the cluster was reset after {check}, but within {waited_s:.0f} s no request reached "
            f"{', '.join(missing) or 'no node steadily'} through the balancer"
        )
        if missing:
            self.step(check, NotRestored(nodes=missing, since_ns=since_ns, waited_s=waited_s))
        if not missing or len(left) < NODES_MIN:
            raise SteadyStateLostError(text)
        self.say(f"{text}; the run goes on with {', '.join(left)}")
        self.serving = left

    def _return_budget_s(self) -> float:
        # A balancer that was restarted may react more slowly at first than the calibrated one (Envoy).
        if self.calibrated.done() and not self.calibrated.cancelled() and not self.restarted:
            return 3 * self.calibrated.result().in_budget_s + 10.0
        return max(REACTION_S_MAX, longest_reaction_s(self.interval_s()))

    async def _polled_again(self, check: str, budget_s: float) -> None:
        """Wait until Tentacles get through again wherever they did before; a pool for Tentacles may have probes of its own."""
        deadline = time.monotonic() + budget_s
        for node in {s.node for s in self.history.sessions if s.identified_ns is not None}:
            through = False
            while not through:
                async with self.polling(self.tentacles[node], "restore") as session:
                    through = session.ready
                if not through and time.monotonic() > deadline:
                    raise SteadyStateLostError(
                        f"the cluster was reset after {check}, but within {budget_s:.0f} s no Tentacle got through to {node}"
                    )
                await asyncio.sleep(0 if through else POLL_S)


def last_arrival(history: History, node: str, since_ns: int) -> int:
    """Return the time of the last request of ours at `node` after `since_ns`, or `since_ns` if there was none."""
    return max((r.t_ns for r in history.arrivals(node, since_ns)), default=since_ns)


def is_out(history: History, node: str, since_ns: int, enough: int) -> bool:
    """Return whether the last `enough` requests of the background traffic, all after `since_ns`, bypassed `node`."""
    recent: list[Request] = []
    for candidate in reversed(history.requests):
        if candidate.t_ns >= since_ns and candidate.attempt is not None:
            recent.append(candidate)
            if len(recent) == enough:
                break
    if len(recent) == enough:
        return all(candidate.node != node for candidate in recent)
    # When the balancer answers everything itself, nothing reaches the nodes: then its own answers count.
    answered = [a for a in history.attempts if a.started_ns >= since_ns][-enough:]
    return len(answered) == enough and all(a.node != node for a in answered)
