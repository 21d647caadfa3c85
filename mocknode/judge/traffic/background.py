"""Steady background traffic on a fixed schedule: a slow balancer gets as many requests as a fast one."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.http1 import Http1Connection
from mocknode.judge.traffic.package import new_attempt_id
from mocknode.judge.traffic.spec import Headers, RequestSpec

IN_FLIGHT_LIMIT = 128
"""Requests under way at a time. Beyond it a scheduled request is skipped and counted, so that a dead balancer costs no memory."""

STEADY_TIMEOUT_S = 10.0
"""Timeout of one background request: no user of a portal waits longer for a page."""


class Steady:
    """Background traffic that is running. `sent`, `answered` and `skipped` count requests so far; if `skipped` is above 0, the
    schedule was not kept and the rate was lower than asked for."""

    def __init__(
        self,
        front: FrontDoor,
        spec: Callable[[], RequestSpec],
        record: Callable[[Attempt], None],
        *,
        rate_per_s: float,
        connection: Literal["fresh", "kept"],
        limit: int,
    ) -> None:
        self._front = front
        self._spec = spec
        self._record = record
        self._interval_s = 1 / rate_per_s
        self._kept = connection == "kept"
        self._limit = limit
        self._idle: list[Http1Connection] = []
        self._flying: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self.sent = self.answered = self.skipped = 0

    async def run(self) -> None:
        """Send on schedule until cancelled. A late request is sent immediately, and no request is sent twice to catch up."""
        loop = asyncio.get_running_loop()
        start, number = loop.time(), 0
        while self._failure is None:
            if len(self._flying) < self._limit:
                task = asyncio.ensure_future(self._one())
                self._flying.add(task)
                task.add_done_callback(self._landed)
                self.sent += 1
            else:
                self.skipped += 1
            number += 1
            await asyncio.sleep(max(0.0, start + number * self._interval_s - loop.time()))

    async def finish(self) -> None:
        """Wait for the requests under way (each has its timeout) and close the kept connections.

        Raises:
            Exception: a request raised it, for instance OSError because this process is out of file descriptors.
        """
        while self._flying:
            await asyncio.wait(self._flying)
        for connection in self._idle:
            connection.close()
        if self._failure is not None:
            raise self._failure

    async def cancel(self) -> None:
        """End the requests under way immediately."""
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._flying.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    async def _one(self) -> None:
        connection = self._take()
        try:
            attempt = await connection.exchange(self._spec())
        except BaseException:
            connection.close("rst")
            raise
        if self._kept and not connection.closed:
            self._idle.append(connection)
        else:
            connection.close()
        self.answered += attempt.status is not None
        self._record(attempt)

    def _take(self) -> Http1Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            connection.close()
        return Http1Connection(self._front)


@asynccontextmanager
async def steady(
    front: FrontDoor,
    *,
    rate_per_s: float,
    check: str,
    record: Callable[[Attempt], None],
    variant: str = "",
    method: str = "GET",
    target: str = "/api",
    headers: Headers = (),
    connection: Literal["fresh", "kept"] = "fresh",
    timeout_s: float = STEADY_TIMEOUT_S,
    limit: int = IN_FLIGHT_LIMIT,
    rng: random.Random | None = None,
) -> AsyncIterator[Steady]:
    """Send background requests while the block runs. Leaving it stops the schedule and waits for those under way.

    Args:
        record: Called with each attempt when it ends.
        connection: `fresh` opens a connection for each request; `kept` reuses idle ones.
        rng: Makes the attempt ids repeatable.

    Raises:
        ValueError: the rate is not above 0, or the limit is below 1.
    """
    if rate_per_s <= 0 or limit < 1:
        raise ValueError(f"steady traffic needs a rate above 0 and a limit of at least 1, got {rate_per_s} and {limit}")

    def spec() -> RequestSpec:
        return RequestSpec(
            check=check,
            variant=variant,
            method=method,
            target=target,
            headers=headers,
            timeout_s=timeout_s,
            attempt=new_attempt_id(rng),
        )

    traffic = Steady(front, spec, record, rate_per_s=rate_per_s, connection=connection, limit=limit)
    schedule = asyncio.ensure_future(traffic.run())
    try:
        yield traffic
    except BaseException:
        schedule.cancel()
        await traffic.cancel()
        raise
    schedule.cancel()
    await asyncio.gather(schedule, return_exceptions=True)
    await traffic.finish()
