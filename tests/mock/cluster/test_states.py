"""States over the control API: what the node's listener then does, and what the journal says of it."""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import time
from typing import Any

import httpx
import pytest

from mocknode.mock.cluster.agent import FREEZE_LIMIT_S
from mocknode.mock.cluster.client import ControlClient, ControlError
from mocknode.mock.node.scheduled_states import HEARING_S, OVERDUE_S

PING = "/api/octopusservernodes/ping"


def ping(up: Any, name: str, timeout: float = 5.0) -> int:
    with httpx.Client(trust_env=False) as client:
        return client.get(up.http(name) + PING, timeout=timeout).status_code


def states(up: Any, name: str, cursor: str | None) -> list[tuple[str, str | None, str]]:
    page = up.talk(lambda client: client.journal(cursor, kind="state", node=name))
    return [(record["state"], record["how"], record["cause"]) for record in page.records]


def here(up: Any) -> str:
    """The journal's end."""

    async def end(client: ControlClient) -> str:
        page = await client.journal()
        while page.more:
            page = await client.journal(page.cursor)
        return page.cursor

    return up.talk(end)


def test_drain_and_resume(up: Any) -> None:
    cursor = here(up)
    node = up.talk(lambda client: client.set_state("node-1", "draining"))
    assert (node["state"], node["how"], node["cause"]) == ("draining", None, "command")
    assert ping(up, "node-1") == 418
    assert ping(up, "node-2") == 200
    up.talk(lambda client: client.set_state("node-1", "online"))
    assert ping(up, "node-1") == 200
    assert states(up, "node-1", cursor) == [("draining", None, "command"), ("online", None, "command")]


def test_starting_and_a_status(up: Any) -> None:
    up.talk(lambda client: client.set_state("node-1", "starting"))
    assert ping(up, "node-1") == 503
    up.talk(lambda client: client.set_state("node-1", "offline", "status:429"))
    assert ping(up, "node-1") == 429


def test_refuse_keeps_the_process_and_closes_the_port(up: Any) -> None:
    node = up.talk(lambda client: client.set_state("node-1", "offline"))
    assert (node["state"], node["how"], node["alive"]) == ("offline", "refuse", True)
    with pytest.raises(httpx.ConnectError):
        ping(up, "node-1")


def test_crash_is_sigkill_the_port_stays_ours_and_online_is_a_new_process(up: Any, helpers: Any) -> None:
    before = up.talk(lambda client: client.node("node-2"))
    cursor = here(up)
    node = up.talk(lambda client: client.set_state("node-2", "offline", "crash"))
    assert (node["pid"], node["alive"], node["counters"]) == (None, False, None)
    assert not helpers.running(before["pid"])
    port = int(up.http("node-2").rpartition(":")[2])
    with pytest.raises(httpx.ConnectError):
        ping(up, "node-2")
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", port))
    node = up.talk(lambda client: client.set_state("node-2", "online"))
    assert node["boot"] == before["boot"] + 1
    assert node["pid"] != before["pid"]
    assert ping(up, "node-2") == 200
    assert states(up, "node-2", cursor) == [("offline", "crash", "command"), ("online", None, "command")]


def test_a_crashed_node_can_come_back_draining(up: Any) -> None:
    up.talk(lambda client: client.set_state("node-2", "offline", "crash"))
    assert up.talk(lambda client: client.set_state("node-2", "draining"))["state"] == "draining"
    assert ping(up, "node-2") == 418


def test_freeze_is_sigstop_and_online_continues_the_same_process(up: Any, helpers: Any) -> None:
    before = up.talk(lambda client: client.node("node-3"))
    node = up.talk(lambda client: client.set_state("node-3", "offline", "freeze"))
    assert helpers.process_state(before["pid"]) == "T"
    assert (node["alive"], node["pid"], node["counters"]) == (True, before["pid"], None)
    with pytest.raises(httpx.ReadTimeout):
        ping(up, "node-3", timeout=0.2)
    up.talk(lambda client: client.set_state("node-3", "offline", "freeze"))
    node = up.talk(lambda client: client.set_state("node-3", "online"))
    assert node["pid"] == before["pid"]
    assert ping(up, "node-3") == 200


def test_a_node_whose_store_is_locked_is_frozen_without_it_and_comes_back(up: Any, helpers: Any) -> None:
    pid = up.talk(lambda client: client.node("node-3"))["pid"]
    cursor = here(up)
    with contextlib.closing(sqlite3.connect(up.run_dir / "store.sqlite", isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")
        # It writes its new state into the store, which waits; so will whoever wants its own lock.
        up.talk(lambda client: client.set_state("node-3", "draining"))
        started = time.monotonic()
        up.talk(lambda client: client.set_state("node-3", "offline", "freeze"))
        assert helpers.process_state(pid) == "T"
        assert time.monotonic() - started >= FREEZE_LIMIT_S
        store.execute("ROLLBACK")
    # Continued, it gets its lock at last and stops itself once more; it has to be continued again.
    assert up.talk(lambda client: client.set_state("node-3", "online"))["pid"] == pid
    assert ping(up, "node-3") == 200
    changes = [("draining", None, "command"), ("offline", "freeze", "command"), ("online", None, "command")]
    assert states(up, "node-3", cursor) == changes


def test_a_frozen_node_can_be_killed(up: Any, helpers: Any) -> None:
    pid = up.talk(lambda client: client.set_state("node-3", "offline", "freeze"))["pid"]
    node = up.talk(lambda client: client.set_state("node-3", "offline", "crash"))
    assert (node["how"], node["alive"]) == ("crash", False)
    assert not helpers.running(pid)


def test_a_node_that_dies_unasked_stays_dead_and_says_how(up: Any, helpers: Any) -> None:
    cursor = here(up)
    os.kill(up.talk(lambda client: client.node("node-1"))["pid"], signal.SIGKILL)
    page = up.talk(lambda client: client.journal(cursor, kind="state", node="node-1", wait_for=1))
    assert page.records[0]["cause"] == "died: SIGKILL"
    helpers.until(lambda: not up.talk(lambda client: client.node("node-1"))["alive"])
    node = up.talk(lambda client: client.node("node-1"))
    assert (node["state"], node["how"], node["cause"]) == ("offline", "crash", "died: SIGKILL")
    assert up.talk(lambda client: client.set_state("node-1", "online"))["alive"]


def test_a_process_stopped_by_somebody_else_is_woken(up: Any) -> None:
    os.kill(up.talk(lambda client: client.node("node-1"))["pid"], signal.SIGSTOP)
    assert up.talk(lambda client: client.node("node-1"))["counters"] is None
    up.talk(lambda client: client.reset())
    assert ping(up, "node-1") == 200


@pytest.mark.parametrize(
    ("state", "how", "after"),
    [("draining", None, "100ms"), ("offline", "crash", "100ms"), ("draining", None, "1 pings")],
)
def test_a_change_with_a_trigger(up: Any, state: str, how: str | None, after: str) -> None:
    cursor = here(up)
    node = up.talk(lambda client: client.set_state("node-1", state, how, after))
    assert node["state"] == "online"
    assert node["pending"][0]["after"] == after
    if "ping" in after:
        assert ping(up, "node-1") == 200
    page = up.talk(lambda client: client.journal(cursor, kind="state", node="node-1", wait_for=1))
    assert [(r["state"], r["how"], r["cause"]) for r in page.records] == [(state, how, "trigger")]


def test_what_a_frozen_or_dead_node_cannot_do(up: Any) -> None:
    up.talk(lambda client: client.set_state("node-1", "offline", "freeze"))
    with pytest.raises(ControlError, match=r"node-1 is offline \(freeze\) and evaluates no trigger"):
        up.talk(lambda client: client.set_state("node-1", "online", None, "5s"))
    with pytest.raises(ControlError, match="a node in freeze cannot become offline") as refused:
        up.talk(lambda client: client.set_state("node-1", "offline", "refuse"))
    assert "online" in refused.value.allowed
    assert up.talk(lambda client: client.node("node-1"))["how"] == "freeze"


def test_reset_of_a_healthy_cluster_takes_less_than_50_ms(up: Any) -> None:
    async def measure(client: ControlClient) -> float:
        for name in ("node-1", "node-2", "node-3"):
            await client.set_state(name, "draining")
            await client.add_fault(name, "status", options={"code": 500})
        started = time.monotonic()
        nodes = await client.reset()
        took = time.monotonic() - started
        assert all(node["state"] == "online" and not node["faults"] for node in nodes)
        return took

    # The best of a few: the machine may be busy with other tests, the product is not to blame for that.
    assert min(up.talk(measure) for _ in range(5)) < 0.05


def test_reset_brings_everything_back(up: Any) -> None:
    async def wreck(client: ControlClient) -> None:
        await client.set_state("node-1", "offline", "crash")
        await client.set_state("node-2", "offline", "freeze")
        await client.set_state("node-3", "offline", "blackhole")
        await client.add_fault("node-1", "hang")
        await client.add_fault("node-2", "hang")

    up.talk(wreck)
    nodes = up.talk(lambda client: client.reset())
    assert [(node["state"], node["faults"]) for node in nodes] == [("online", [])] * 3
    assert [ping(up, node["name"]) for node in nodes] == [200] * 3


def test_commands_to_one_node_take_effect_one_after_another(up: Any) -> None:
    async def storm(client: ControlClient) -> None:
        wanted = ["draining", "online", "starting", "draining", "online"] * 4
        await asyncio.gather(*(client.set_state("node-1", state) for state in wanted))
        await client.set_state("node-1", "online")

    up.talk(storm)
    assert ping(up, "node-1") == 200


def test_a_drain_asked_of_one_node_for_another(up: Any) -> None:
    headers = {"x-octopus-apikey": up.document["api_key"]}
    with httpx.Client(trust_env=False, base_url=up.http("node-1"), headers=headers) as client:
        listed = client.get("/api/octopusservernodes/all").json()
        other = next(item for item in listed if item["Name"] == "node-2")
        answer = client.put(f"/api/octopusservernodes/{other['Id']}", json={**other, "IsInMaintenanceMode": True})
    assert answer.status_code == 200
    node = up.talk(lambda client: client.node("node-2"))
    assert (node["state"], node["cause"]) == ("draining", "api")
    assert ping(up, "node-2") == 418


@pytest.mark.parametrize("how", ["freeze", "crash"])
def test_a_reset_comes_before_what_a_stopped_node_missed(up: Any, helpers: Any, how: str) -> None:
    pid = up.talk(lambda client: client.set_state("node-3", "offline", how, "100ms"))["pid"]
    up.talk(lambda client: client.set_state("node-3", "offline", "freeze"))
    # The trigger's time passes while nobody can act on it.
    time.sleep(0.1 + 2 * OVERDUE_S)
    up.talk(lambda client: client.reset())
    # Longer than a trigger that was missed waits.
    time.sleep(3 * HEARING_S)
    node = up.talk(lambda client: client.node("node-3"))
    assert (node["state"], node["pid"], node["pending"]) == ("online", pid, [])
    assert helpers.process_state(pid) != "T"
    assert ping(up, "node-3") == 200


def test_a_reset_mends_what_the_controller_believes(up: Any, helpers: Any) -> None:
    pid = up.talk(lambda client: client.node("node-3"))["pid"]
    os.kill(pid, signal.SIGSTOP)
    helpers.until(lambda: helpers.process_state(pid) == "T")
    # Stopped already, so the node itself never hears of this.
    up.talk(lambda client: client.set_state("node-3", "offline", "freeze"))
    up.talk(lambda client: client.reset())
    assert up.talk(lambda client: client.node("node-3"))["state"] == "online"
    assert ping(up, "node-3") == 200


def test_a_reset_brings_back_a_node_that_dies_meanwhile(up: Any) -> None:
    async def killed_and_reset(client: ControlClient) -> list[dict[str, Any]]:
        os.kill((await client.node("node-1"))["pid"], signal.SIGKILL)
        return await client.reset()

    for _ in range(3):
        nodes = up.talk(killed_and_reset)
        assert {node["state"] for node in nodes} == {"online"}
        assert ping(up, "node-1") == 200
