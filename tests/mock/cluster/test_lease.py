"""One check at a time: a cluster that is held refuses everybody else, and heals when its holder was killed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mocknode.mock.cluster.client import ControlClient, ControlError
from mocknode.mock.cluster.lease import LEASE_S, HeldError, Lease


def test_only_its_holder_changes_a_cluster_that_is_held(up: Any) -> None:
    async def conversation(holder: ControlClient) -> None:
        async with ControlClient(up.control) as other:
            async with holder.hold("the first check"):
                await holder.set_state("node-1", "draining")
                fault = await holder.add_fault("node-1", "hang")
                refusals = (
                    other.set_state("node-1", "online"),
                    other.add_fault("node-2", "hang"),
                    other.remove_fault("node-1", fault),
                    other.clear_faults("node-1"),
                    other.reset(),
                )
                for refused in refusals:
                    with pytest.raises(ControlError, match="held by the first check") as error:
                        await refused
                    assert error.value.status == 423
                with pytest.raises(ControlError, match="held by the first check"):
                    async with other.hold("the second check"):
                        pass
                # Reading is free.
                assert [node["state"] for node in await other.nodes()] == ["draining", "online", "online"]
            await other.reset()
            async with other.hold("the second check"):
                await other.set_state("node-2", "draining")
            await holder.reset()

    up.talk(conversation)


class Clock:
    """A loop whose timers run when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Any:
        entry = (delay_s, call)
        self.due.append(entry)

        class Handle:
            def cancel(handle) -> None:
                if entry in self.due:
                    self.due.remove(entry)

        return Handle()

    def pass_time(self) -> None:
        for entry in list(self.due):
            self.due.remove(entry)
            entry[1]()


def test_a_lease_that_runs_out_is_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, healed = Clock(monkeypatch), []
    lease = Lease(abandoned=lambda: healed.append(True))
    first = lease.take("a check that is killed")
    lease.renew(first)
    assert [delay_s for delay_s, _ in clock.due] == [LEASE_S]
    with pytest.raises(HeldError, match="a check that is killed"):
        lease.admit(None)
    clock.pass_time()
    assert healed == [True]
    lease.admit(None)
    with pytest.raises(HeldError, match="expired"):
        lease.renew(first)
    second = lease.take("the next")
    lease.release(first)
    lease.admit(second)
    with pytest.raises(HeldError, match="the next"):
        lease.admit(first)
    lease.release(second)
    assert clock.due == []
    assert healed == [True]
