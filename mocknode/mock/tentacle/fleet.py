"""Many simulated Tentacles in one process: each polling Tentacle polls every address, the others listen.

Each polling connection is a `PollingLoop`; all share one TLS context and a few keys. `report` returns what the command prints.
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from mocknode.mock.tentacle.addresses import subscription_of
from mocknode.mock.tentacle.backoff import Backoff
from mocknode.mock.tentacle.handshake_queue import HandshakeQueue
from mocknode.mock.tentacle.identity import Identity
from mocknode.mock.tentacle.listening_tentacle import ListeningTentacle
from mocknode.mock.tentacle.polling_loop import PollingLoop
from mocknode.mock.tentacle.polling_tentacle import PollingTentacle
from mocknode.mock.tentacle.registering import Registration
from mocknode.mock.tentacle.services import Services
from mocknode.mock.tentacle.tls import Credential, client_context

STARTING_AT_ONCE: Final = 200
"""Handshakes in progress while a fleet starts: as many as a listener's backlog takes without dropping any."""
TOLERANCE: Final = 1.1
"""Factor on the interval: a poll may come a tenth later."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A Tentacle of the fleet."""

    name: str
    identity: Identity
    subscription: str


def members(identities: Sequence[Identity], prefix: str = "tentacle") -> list[Member]:
    """Return the fleet of these identities; the same identities give the same fleet."""
    return [
        Member(name=f"{prefix}-{number:05d}", identity=identity, subscription=subscription_of(identity.thumbprint))
        for number, identity in enumerate(identities, 1)
    ]


def registrations(fleet: Sequence[Member]) -> list[Registration]:
    """Return the registrations of polling Tentacles."""
    return [Registration(name=m.name, uri=m.subscription, thumbprint=m.identity.thumbprint) for m in fleet]


class Fleet:
    """Running polling Tentacles.

    Args:
        addresses: Addresses that every Tentacle polls.
        pinned: Thumbprint that the server must have; None accepts any.
        interval_s: How long a poll waits for work at the server.
        seed: Seed for the spread of the Tentacles' pauses.
    """

    def __init__(
        self, fleet: Sequence[Member], addresses: Sequence[Address], pinned: str | None, *, interval_s: float = 30.0, seed: int = 1,
        services: Services | None = None,
    ) -> None:  # fmt: skip
        rng = random.Random(seed)
        context, starting, handshakes = client_context(), asyncio.Semaphore(STARTING_AT_ONCE), HandshakeQueue()
        self.size, self.addresses, self.interval_s = len(fleet), addresses, interval_s
        self.loops: dict[Address, list[PollingLoop]] = {address: [] for address in addresses}
        self._keys: dict[bytes, Any] = {}
        # Measured before the connections are made, so that the difference is the fleet's own memory.
        self._rss_before, self._began_s = resident_bytes(), time.monotonic()
        for member in fleet:
            credential = self._credential(member.identity)
            for host, port in addresses:
                make = partial(
                    PollingTentacle, credential, member.subscription, host, port,
                    pinned=pinned, context=context, services=services or Services(), handshakes=handshakes,
                )  # fmt: skip
                loop = PollingLoop(make=make, backoff=Backoff(rng.random()), starting=starting, handshakes=handshakes)
                self.loops[host, port].append(loop)
        self._tasks: list[asyncio.Task[None]] = []
        self.all_connected_s: float | None = None

    def _credential(self, identity: Identity) -> Credential:
        """Return the credential of an identity; a key that several Tentacles share is parsed once."""
        known = self._keys.get(identity.key_pem)
        credential = Credential.of(identity, known)
        self._keys[identity.key_pem] = credential.key
        return credential

    def start(self) -> None:
        """Connect and poll, until `stop`."""
        # One address after the other, so that each node has its share of the fleet from the start.
        for row in zip(*self.loops.values(), strict=True):
            self._tasks += [asyncio.ensure_future(loop.run()) for loop in row]

    async def stop(self) -> None:
        """Send END on every connection and stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connected(self) -> int:
        """Number of established connections."""
        return sum(loop.state.connected_s is not None for row in self.loops.values() for loop in row)

    @property
    def polled(self) -> bool:
        """Whether every Tentacle has received a message at every address."""
        return all(loop.state.polls for row in self.loops.values() for loop in row)

    def look(self) -> None:
        """Note the time at which the whole fleet is connected; much cheaper than a report."""
        if self.all_connected_s is None and self.connected == self.size * len(self.addresses):
            self.all_connected_s = time.monotonic() - self._began_s

    def report(self) -> "FleetReport":
        """Return the current state of the fleet."""
        self.look()
        now_s = time.monotonic()
        rows = [self._row(address, loops, now_s) for address, loops in self.loops.items()]
        wire = sum(loop.wire_bytes for row in self.loops.values() for loop in row)
        rss = None if self._rss_before is None else (resident_bytes() or 0) - self._rss_before
        return FleetReport(
            tentacles=self.size, rows=rows, seconds=now_s - self._began_s, all_connected_s=self.all_connected_s,
            wire_bytes=wire, rss_bytes=rss, descriptors=open_descriptors(),
        )  # fmt: skip

    def _row(self, address: Address, loops: Sequence[PollingLoop], now_s: float) -> "AddressRow":
        states = [loop.state for loop in loops]
        limit_s = self.interval_s * TOLERANCE
        silences = [max(state.longest_silence_s, state.silence_s(now_s) or 0.0) for state in states]
        on_time = [state.polls > 0 and silence <= limit_s for state, silence in zip(states, silences, strict=True)]
        cut_s = [state.cut_silence_s for state in states if state.cut_silence_s is not None]
        trouble = [state.trouble for state in states if state.trouble and state.connected_s is None]
        return AddressRow(
            address=f"{address[0]}:{address[1]}",
            connected=sum(state.connected_s is not None for state in states),
            polled=sum(state.polls > 0 for state in states),
            on_time=sum(on_time),
            reconnects=sum(max(0, state.connects - 1) for state in states),
            refused=sum(state.refused for state in states),
            rejected=sum(state.rejected for state in states),
            broken=sum(state.broken for state in states),
            mismatches=sum(state.mismatches for state in states),
            failed_reconnects=sum(state.failed_reconnects for state in states),
            cut=sum(state.cut for state in states),
            shortest_cut_silence_s=min((shortest for shortest, _ in cut_s), default=None),
            longest_cut_silence_s=max((longest for _, longest in cut_s), default=None),
            longest_silence_s=max(silences, default=0.0),
            slowest_return_s=max((state.slowest_return_s for state in states), default=0.0),
            trouble=trouble[0] if trouble else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRow:
    """State of the fleet at one address.

    Attributes:
        polled: Number of Tentacles that received a message there.
        on_time: Number of those that never waited longer than the interval plus a tenth for one.
        reconnects: Number of connections restored after a loss.
        refused, rejected, broken, mismatches, failed_reconnects: Numbers of attempts, as in `LoopState`.
        cut: Number of established connections that ended, or were given up because no message came.
        shortest_cut_silence_s, longest_cut_silence_s: Time without a message before a cut; None without a cut.
        longest_silence_s: Longest wait for a message on an established connection, cut ones included.
        slowest_return_s: Longest time from a loss until the connection was established again.
        trouble: Error of one Tentacle that is not connected.
    """

    address: str
    connected: int
    polled: int
    on_time: int
    reconnects: int
    refused: int
    rejected: int
    broken: int
    mismatches: int
    failed_reconnects: int
    cut: int
    shortest_cut_silence_s: float | None
    longest_cut_silence_s: float | None
    longest_silence_s: float
    slowest_return_s: float
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """State of the fleet.

    Attributes:
        all_connected_s: Time until the whole fleet was connected for the first time; None before that.
        wire_bytes: Bytes on the wire in both directions, TLS included.
        rss_bytes: Memory that the fleet added to this process; None where the platform does not report it.
        descriptors: Open descriptors of this process.
    """

    tentacles: int
    rows: list[AddressRow] = field(default_factory=list)
    seconds: float
    all_connected_s: float | None
    wire_bytes: int
    rss_bytes: int | None
    descriptors: int | None

    @property
    def all_connected(self) -> bool:
        """Whether every Tentacle is connected at every address."""
        return all(row.connected == self.tentacles for row in self.rows)

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        each = max(1, self.tentacles)
        return {
            "tentacles": self.tentacles,
            "seconds": round(self.seconds, 1),
            "all_connected": self.all_connected,
            "all_connected_s": None if self.all_connected_s is None else round(self.all_connected_s, 1),
            "nodes": [
                {name: getattr(row, name) if not isinstance(getattr(row, name), float) else round(getattr(row, name), 2)
                 for name in AddressRow.__dataclass_fields__}
                for row in self.rows
            ],
            "per_tentacle": {
                "wire_bytes": self.wire_bytes // each,
                "rss_bytes": None if self.rss_bytes is None else self.rss_bytes // each,
                "descriptors": None if self.descriptors is None else round(self.descriptors / each, 2),
            },
        }  # fmt: skip


class ListeningFleet:
    """Listening Tentacles, each at a port of its own; an async context manager."""

    def __init__(self, fleet: Sequence[Member], trusted: Sequence[str], host: str = "127.0.0.1") -> None:
        self._members = fleet
        self.tentacles = [ListeningTentacle(member.identity, trusted, host=host) for member in fleet]

    async def start(self) -> None:
        """Start listening.

        Raises:
            OSError: no ports or descriptors are left.
        """
        for tentacle in self.tentacles:
            await tentacle.__aenter__()

    async def stop(self) -> None:
        """Close all ports and connections."""
        for tentacle in self.tentacles:
            await tentacle.__aexit__(None, None, None)

    def registrations(self) -> list[Registration]:
        """Return the registrations of the listening Tentacles."""
        return [
            Registration(
                name=member.name, uri="https://{}:{}/".format(*t.address), thumbprint=member.identity.thumbprint
            )
            for member, t in zip(self._members, self.tentacles, strict=True)
        ]


def resident_bytes() -> int | None:
    """Return the resident memory of this process, or None where the platform does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def open_descriptors() -> int | None:
    """Return the number of open descriptors of this process, or None where the platform does not report it."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return None
