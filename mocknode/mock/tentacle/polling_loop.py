"""A polling Tentacle that never gives up: it connects, polls, and reconnects after the pauses of `backoff`, as real ones do."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mocknode.mock.tentacle.backoff import QUICK_APART_S, QUICK_TRIES, Backoff
from mocknode.mock.tentacle.handshake_queue import HandshakeQueue
from mocknode.mock.tentacle.polling_tentacle import (
    EndedError,
    PollingTentacle,
    TentacleError,
    UnexpectedCertificateError,
    UnreachableError,
)


@dataclass(slots=True, kw_only=True)
class LoopState:
    """Counters of one polling loop; times are monotonic seconds.

    Attributes:
        connected_s: Time at which the server identified itself; None while not connected.
        connects, polls: Number of times the server identified itself, and number of messages received.
        refused: Attempts that found no listener.
        rejected: Attempts that ended after the preamble: the certificate is not trusted, or a balancer cut them.
        broken: Other attempts that ended before the server had identified itself.
        mismatches: Attempts that met another certificate than the pinned one.
        failed_reconnects: Failed attempts to restore an established connection.
        cut: Established connections that ended, or were given up because no message came.
        cut_silence_s: Shortest and longest time without a message before a cut; None without a cut.
        longest_silence_s: Longest wait for a message on an established connection, cut ones included.
        lost_s: Time at which the last established connection was lost; None before that.
        slowest_return_s: Longest time from a loss until the connection was established again.
        bytes_in, bytes_out: Bytes on the wire of finished connections.
        trouble: Text of the last error.
    """

    connected_s: float | None = None
    last_message_s: float | None = None
    connects: int = 0
    polls: int = 0
    refused: int = 0
    rejected: int = 0
    broken: int = 0
    mismatches: int = 0
    failed_reconnects: int = 0
    cut: int = 0
    cut_silence_s: tuple[float, float] | None = None
    longest_silence_s: float = 0.0
    lost_s: float | None = None
    slowest_return_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    trouble: str = ""

    def identified(self, now_s: float) -> None:
        """Note that the server identified itself."""
        self.connects += 1
        self.connected_s = self.last_message_s = now_s
        if self.lost_s is not None:
            self.slowest_return_s = max(self.slowest_return_s, now_s - self.lost_s)

    def message(self, now_s: float) -> None:
        """Note that a message came."""
        assert self.last_message_s is not None
        self.longest_silence_s = max(self.longest_silence_s, now_s - self.last_message_s)
        self.last_message_s = now_s
        self.polls += 1

    def over(self, now_s: float, why: str) -> None:
        """Note that the connection or the attempt is over."""
        self.trouble = why
        silence_s = self.silence_s(now_s)
        if silence_s is not None:
            self.lost_s, self.connected_s = now_s, None
            self.cut += 1
            shortest_s, longest_s = self.cut_silence_s or (silence_s, silence_s)
            self.cut_silence_s = min(shortest_s, silence_s), max(longest_s, silence_s)
            self.longest_silence_s = max(self.longest_silence_s, silence_s)
            self.trouble = f"cut after {silence_s:.1f} s of silence; {why}"

    def silence_s(self, now_s: float) -> float | None:
        """Return the time since the last message on the established connection; None without one."""
        return None if self.connected_s is None or self.last_message_s is None else now_s - self.last_message_s


@dataclass(slots=True, kw_only=True)
class PollingLoop:
    """One Tentacle polling one address.

    Attributes:
        make: Makes the next connection.
        starting: Limits how many Tentacles connect at once when a fleet starts. Reconnecting has no limit, as in reality.
        handshakes: Queue in which each new connection waits.
    """

    make: Callable[[], PollingTentacle]
    backoff: Backoff
    starting: asyncio.Semaphore
    handshakes: HandshakeQueue
    state: LoopState = field(default_factory=LoopState)
    current: PollingTentacle | None = None

    async def run(self) -> None:
        """Poll until cancelled; then send END."""
        first = True
        while True:
            self.backoff.trying(time.monotonic())
            try:
                if first:
                    async with self.starting:
                        tentacle = await self._connected()
                    first = False
                else:
                    tentacle = await self._connected()
                await self._poll(tentacle)
            except (TentacleError, TimeoutError) as exc:
                self.state.over(time.monotonic(), str(exc))
            finally:
                await self._close()
            await asyncio.sleep(self.backoff.pause_s(time.monotonic()))

    async def _connected(self) -> PollingTentacle:
        """Connect until the server has identified itself; retry a few times at once if an attempt broke early."""
        attempt = 0
        while True:
            attempt += 1
            await self.handshakes.wait()
            tentacle = self.current = self.make()
            try:
                await tentacle.connect()
            except (TentacleError, TimeoutError) as exc:
                quick = self._note(exc) and attempt < QUICK_TRIES
                if not quick:
                    raise
                self.state.trouble = str(exc)
                await self._close()
                await asyncio.sleep(QUICK_APART_S)
            else:
                self.backoff.identified()
                self.state.identified(time.monotonic())
                return tentacle

    def _note(self, exc: Exception) -> bool:
        """Count a failed attempt; return True if the next one follows at once."""
        state = self.state
        state.failed_reconnects += state.lost_s is not None
        if isinstance(exc, UnreachableError):
            state.refused += 1
            return False
        if isinstance(exc, UnexpectedCertificateError):
            state.mismatches += 1
            return False
        if isinstance(exc, EndedError) and exc.stage == "greeted":
            state.rejected += 1
            return False
        state.broken += 1
        return True

    async def _poll(self, tentacle: PollingTentacle) -> None:
        while True:
            await tentacle.receive()
            self.state.message(time.monotonic())
            await tentacle.advance()

    async def _close(self) -> None:
        tentacle, self.current = self.current, None
        if tentacle is not None:
            await tentacle.aclose()
            self.state.bytes_in += tentacle.bytes_in
            self.state.bytes_out += tentacle.bytes_out

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire so far, in both directions."""
        current = self.current
        return self.state.bytes_in + self.state.bytes_out + (current.bytes_in + current.bytes_out if current else 0)
