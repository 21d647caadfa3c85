"""Steady traffic: on schedule whatever the answers do, and gone when it is over."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic import FrontDoor, steady

Run = Callable[[Any], Any]


async def quick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("connection", ["fresh", "kept"])
def test_schedule_is_kept_and_every_request_recorded(run: Run, serve: Any, connection: Any) -> None:
    attempts: list[Attempt] = []
    under_way: list[int] = []

    async def main() -> tuple[int, int, int]:
        enough = asyncio.Event()

        def record(attempt: Attempt) -> None:
            attempts.append(attempt)
            under_way.append(traffic.sent - traffic.answered + 1)
            if len(attempts) == 20:
                enough.set()

        async with serve(quick) as front:
            kind: dict[str, Any] = {"check": "traffic", "variant": "idle", "record": record, "connection": connection}
            async with steady(front, rate_per_s=100, **kind) as traffic:
                started = asyncio.get_running_loop().time()
                await enough.wait()
                assert asyncio.get_running_loop().time() - started >= 0.18
            return traffic.sent, traffic.answered, traffic.skipped

    sent, answered, skipped = run(main())
    assert len(attempts) == sent == answered
    assert skipped == 0
    assert {(a.check, a.variant, a.method, a.target, a.told) for a in attempts} == {
        ("traffic", "idle", "GET", "/api", "acknowledged")
    }
    assert len({a.id for a in attempts}) == sent
    connections = {a.connection for a in attempts}
    # A kept connection is used again; how many were needed at once is the machine's affair.
    assert len(connections) == sent if connection == "fresh" else len(connections) <= max(under_way) < sent


def test_a_dead_server_slows_nothing_down_and_is_bounded(run: Run, serve: Any) -> None:
    attempts: list[Attempt] = []

    async def hung(reader: Any, writer: Any) -> None:
        try:
            while await reader.read(4096):
                pass
        except ConnectionResetError:
            return

    async def main() -> Any:
        async with serve(hung) as front:
            async with steady(
                front, rate_per_s=200, check="traffic", record=attempts.append, timeout_s=2, limit=10
            ) as traffic:
                await asyncio.sleep(0.3)
                assert traffic.sent == 10
                assert traffic.skipped >= 10
            return traffic

    traffic = run(main())
    assert len(attempts) == traffic.sent
    assert {a.end for a in attempts} == {"timeout"}


def test_an_error_in_the_block_ends_it_at_once(run: Run, serve: Any) -> None:
    async def hung(reader: Any, writer: Any) -> None:
        try:
            await reader.read()
        except ConnectionResetError:
            return

    async def broken_block(front: FrontDoor) -> None:
        async with steady(front, rate_per_s=50, check="traffic", record=lambda _: None, timeout_s=30):
            await asyncio.sleep(0.1)
            raise KeyError

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serve(hung) as front:
            started = loop.time()
            with pytest.raises(KeyError):
                await broken_block(front)
            return loop.time() - started

    assert run(main()) < 5


def test_what_a_recorder_raises_is_not_lost(run: Run, serve: Any) -> None:
    called = asyncio.Event()

    def record(_: Attempt) -> None:
        called.set()
        raise LookupError("recorder")

    async def recorded_once(front: FrontDoor) -> None:
        async with steady(front, rate_per_s=100, check="traffic", record=record):
            await called.wait()

    async def main() -> None:
        async with serve(quick) as front:
            with pytest.raises(LookupError, match="recorder"):
                await recorded_once(front)

    run(main())


@pytest.mark.parametrize(("rate", "limit"), [(0, 1), (1, 0)])
def test_impossible_schedules_are_refused(run: Run, rate: float, limit: int) -> None:
    async def main() -> None:
        front = FrontDoor(scheme="http", host="127.0.0.1", port=1)
        with pytest.raises(ValueError, match="rate above 0 and a limit of at least 1"):
            async with steady(front, rate_per_s=rate, check="traffic", record=lambda _: None, limit=limit):
                raise AssertionError

    run(main())
