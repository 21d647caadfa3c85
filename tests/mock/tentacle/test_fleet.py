"""Fleets in this process: every Tentacle at every address, and back as real ones come back."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from port_stage import Stage, server_identity, tentacle_identity

from mocknode.mock.halibut import Connection
from mocknode.mock.tentacle import backoff
from mocknode.mock.tentacle.endings import Ending
from mocknode.mock.tentacle.fleet import Fleet, FleetReport, Member, members, registrations
from mocknode.mock.tentacle.polling_loop import LoopState
from mocknode.mock.tentacle.polling_tentacle import PollingTentacle

FLEET = members([tentacle_identity(number) for number in (1, 2, 3)])


async def reported(fleet: Fleet, done: Callable[[FleetReport], bool]) -> FleetReport:
    async with asyncio.timeout(20):
        while not done(report := fleet.report()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return report


def trusting(stage: Stage) -> Stage:
    stage.trusted = {member.identity.thumbprint for member in FLEET}
    return stage


def fleet_at(*stages: Stage, pinned: str | None = None, size: int = 3) -> Fleet:
    pinned = pinned or server_identity().thumbprint
    addresses = [("127.0.0.1", stage.number) for stage in stages]
    return Fleet(FLEET[:size], addresses, pinned, interval_s=0.2)


def test_every_tentacle_polls_every_address_and_the_report_says_so() -> None:
    async def work() -> None:
        async with trusting(Stage(null_s=0.05)) as one, trusting(Stage(null_s=0.05)) as other:
            fleet = fleet_at(one, other)
            fleet.start()
            report = await reported(fleet, lambda r: all(row.polled == 3 for row in r.rows))
            assert [row.connected for row in report.rows] == [3, 3]
            assert report.all_connected_s is not None
            for stage in (one, other):
                assert set(stage.port.polling()) == {member.subscription for member in FLEET}
            document = report.document()
            assert document["per_tentacle"]["wire_bytes"] > 1000
            assert document["nodes"][0]["address"] == f"127.0.0.1:{one.number}"
            await fleet.stop()
            # They said END, which the port reads after its next message.
            await one.record("close", lambda r: r["cause"] == "end")

    asyncio.run(work())


def test_a_fleet_that_is_stopped_while_it_connects_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with trusting(Stage()) as stage:
            stopping: list[asyncio.Task[None]] = []

            class Early(PollingTentacle):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    super().connection_made(transport)
                    # Before whoever connects has heard of it.
                    stopping.append(asyncio.ensure_future(fleet.stop()))

            monkeypatch.setattr("mocknode.mock.tentacle.fleet.PollingTentacle", Early)
            fleet = fleet_at(stage, size=1)
            fleet.start()
            async with asyncio.timeout(20):
                while not stopping:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                await stopping[0]

    uvloop.run(work())  # As the command runs it.


def test_a_fleet_comes_back_after_a_restart_and_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "SHORTEST_S", 0.05)

    async def work() -> None:
        async with trusting(Stage(null_s=0.05)) as stage:
            fleet = fleet_at(stage)
            fleet.start()
            await reported(fleet, lambda r: r.rows[0].polled == 3)
            stage.port.end_all(Ending(cause="node-stopped"))
            lost = (await reported(fleet, lambda r: r.rows[0].connected < 3)).rows[0]
            assert lost.trouble.startswith("cut after ")
            report = await reported(fleet, lambda r: r.rows[0].reconnects == 3)
            assert report.rows[0].slowest_return_s >= 0.05
            assert (report.rows[0].cut, report.rows[0].failed_reconnects) == (3, 0)
            assert report.document()["nodes"][0]["cut"] == 3
            await fleet.stop()

    asyncio.run(work())


def test_a_silence_that_a_cut_ended_counts() -> None:
    state = LoopState()
    state.over(0.0, "Connection refused")
    assert (state.cut, state.cut_silence_s, state.trouble) == (0, None, "Connection refused")
    for connected_s, message_s, cut_s in ((1.0, 4.0, 24.0), (30.0, None, 35.5)):
        state.identified(connected_s)
        if message_s is not None:
            state.message(message_s)
        state.over(cut_s, "FIN")
    assert state.trouble == "cut after 5.5 s of silence; FIN"
    assert (state.cut, state.cut_silence_s, state.longest_silence_s) == (2, (5.5, 20.0), 20.0)
    assert (state.slowest_return_s, state.silence_s(40.0)) == (6.0, None)
    state.over(90.0, "Connection refused")
    assert (state.cut, state.longest_silence_s, state.lost_s, state.trouble) == (2, 20.0, 35.5, "Connection refused")


def test_a_fleet_whose_node_stays_away_is_not_all_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "SHORTEST_S", 0.01)

    async def work() -> None:
        async with trusting(Stage(null_s=0.05)) as stage:
            fleet = fleet_at(stage)
            fleet.start()
            assert (await reported(fleet, lambda r: r.rows[0].polled == 3)).all_connected
            stage.trusted = set()
            stage.port.end_all(Ending(cause="node-stopped"))
            report = await reported(fleet, lambda r: r.rows[0].failed_reconnects >= 3)
            row = report.rows[0]
            assert (row.connected, row.cut, row.reconnects) == (0, 3, 0)
            assert row.failed_reconnects == row.rejected + row.broken
            assert report.all_connected_s is not None
            assert report.document()["all_connected"] is False
            await fleet.stop()

    asyncio.run(work())


def test_what_keeps_a_fleet_out_is_counted_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "SHORTEST_S", 0.01)

    async def work() -> None:
        async with Stage() as stage:
            stage.trusted = set()
            untrusted = fleet_at(stage, size=1)
            pinned_else = fleet_at(stage, pinned=tentacle_identity().thumbprint, size=1)
            async with Stage() as gone:
                refused = fleet_at(gone, size=1)
            for fleet, kind, says in (
                (untrusted, "rejected", "ended"),
                (pinned_else, "mismatches", "unexpected security certificate"),
                (refused, "refused", "Connect call failed"),
            ):
                fleet.start()
                report = await reported(fleet, lambda r, kind=kind: getattr(r.rows[0], kind) > 0)
                assert says in report.rows[0].trouble
                assert report.rows[0].connected == 0
                assert (report.rows[0].cut, report.rows[0].failed_reconnects) == (0, 0)
                await fleet.stop()

    asyncio.run(work())


def test_a_fleet_of_the_same_certificates_is_the_same_fleet() -> None:
    assert members([member.identity for member in FLEET]) == FLEET
    assert [item.document()["Endpoint"]["Uri"] for item in registrations(FLEET)] == [m.subscription for m in FLEET]
    for member in FLEET:
        assert isinstance(member, Member)
        assert Connection.poll(member.subscription).open()[1].startswith(b"MX-SUBSCRIBER 1.0 poll://")
