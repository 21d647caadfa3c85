"""Faults over the control API: set, listed, ended, kept while their node is down."""

import asyncio
from typing import Any

import httpx
import pytest

from mocknode.mock.cluster.client import ControlClient, ControlError

PING = "/api/octopusservernodes/ping"


def status(up: Any, name: str, path: str = PING, **options: Any) -> int:
    with httpx.Client(trust_env=False) as client:
        return client.get(up.http(name) + path, timeout=5, **options).status_code


def test_a_fault_acts_where_it_was_set_until_it_is_removed(up: Any) -> None:
    number = up.talk(lambda client: client.add_fault("node-1", "status", options={"code": 502}, on="ping"))
    (fault,) = up.talk(lambda client: client.faults("node-1"))
    assert fault == {
        "id": number, "kind": "status", "options": {"code": 502}, "on": "ping", "first": None, "every": None,
        "after": None, "ttl": None, "attempt": None,
    }  # fmt: skip
    assert status(up, "node-1") == 502
    assert status(up, "node-1", "/api") == 200
    assert status(up, "node-2") == 200
    up.talk(lambda client: client.remove_fault("node-1", number))
    assert status(up, "node-1") == 200
    assert up.talk(lambda client: client.faults("node-1")) == []


def test_clear_takes_them_all(up: Any) -> None:
    async def conversation(client: ControlClient) -> list[str]:
        numbers = [await client.add_fault("node-1", "status", options={"code": code}) for code in (500, 501)]
        await client.clear_faults("node-1")
        return numbers

    first, second = up.talk(conversation)
    assert first != second
    assert status(up, "node-1") == 200
    assert up.talk(lambda client: client.faults("node-1")) == []


def test_a_fault_set_while_its_node_is_dead_acts_from_the_first_connection_on(up: Any) -> None:
    async def conversation(client: ControlClient) -> str:
        await client.set_state("node-2", "offline", "crash")
        number = await client.add_fault("node-2", "status", options={"code": 599})
        await client.set_state("node-2", "online")
        return number

    number = up.talk(conversation)
    assert status(up, "node-2") == 599
    assert [fault["id"] for fault in up.talk(lambda client: client.faults("node-2"))] == [number]


def test_faults_survive_a_crash_of_their_node(up: Any) -> None:
    async def conversation(client: ControlClient) -> None:
        await client.add_fault("node-2", "status", options={"code": 598})
        await client.set_state("node-2", "offline", "crash")
        await client.set_state("node-2", "online")

    up.talk(conversation)
    assert status(up, "node-2") == 598


def test_faults_set_and_removed_while_their_node_is_frozen(up: Any) -> None:
    async def conversation(client: ControlClient) -> None:
        old = await client.add_fault("node-3", "status", options={"code": 597})
        await client.set_state("node-3", "offline", "freeze")
        await client.remove_fault("node-3", old)
        await client.add_fault("node-3", "status", options={"code": 596})
        await client.set_state("node-3", "online")

    up.talk(conversation)
    assert status(up, "node-3") == 596


def test_a_fault_that_ended_while_its_node_was_frozen_keeps_it_from_nothing(up: Any) -> None:
    async def conversation(client: ControlClient) -> dict[str, Any]:
        number = await client.add_fault("node-3", "status", options={"code": 597}, ttl="2s")
        await client.set_state("node-3", "offline", "freeze")
        await asyncio.sleep(2)
        await client.remove_fault("node-3", number)
        await client.clear_faults("node-3")
        await client.remove_fault("node-3", await client.add_fault("node-3", "hang"))
        return await client.set_state("node-3", "draining")

    assert up.talk(conversation)["state"] == "draining"
    assert status(up, "node-3") == 418


@pytest.mark.parametrize("limits", [{"first": 1}, {"ttl": "50ms"}])
def test_a_fault_that_ends_by_itself_is_no_longer_listed(up: Any, helpers: Any, limits: dict[str, Any]) -> None:
    up.talk(lambda client: client.add_fault("node-1", "status", options={"code": 503}, on="ping", **limits))
    if "first" in limits:
        assert status(up, "node-1") == 503
    helpers.until(lambda: not up.talk(lambda client: client.faults("node-1")))
    assert status(up, "node-1") == 200


def test_one_attempt_only(up: Any) -> None:
    up.talk(lambda client: client.add_fault("node-1", "status", options={"code": 503}, attempt="a-1"))
    assert status(up, "node-1") == 200
    assert status(up, "node-1", headers={"x-mocknode-attempt": "a-1"}) == 503


@pytest.mark.parametrize(
    ("kind", "extra", "says"),
    [
        ("statsu", {}, "did you mean status"),
        ("status", {}, "needs the option 'code'"),
        ("status", {"options": {"kode": 1}}, "unknown option 'kode'.*did you mean code"),
        ("status", {"options": {"code": 99}}, "from 200 to 599"),
        ("hang", {"on": "pings"}, "fault on: got 'pings'"),
        ("hang", {"after": "3 pongs"}, "trigger: got '3 pongs'"),
        ("hang", {"ttl": "30"}, "is not a duration"),
        ("hang", {"first": 0}, "at least 1"),
    ],
)
def test_faults_that_cannot_be_set_name_what_can(up: Any, kind: str, extra: dict[str, Any], says: str) -> None:
    with pytest.raises(ControlError, match=says) as refused:
        up.talk(lambda client: client.add_fault("node-1", kind, **extra))
    assert refused.value.status == 422
    assert refused.value.allowed
    assert up.talk(lambda client: client.faults("node-1")) == []


def test_a_fault_id_that_does_not_exist(up: Any) -> None:
    with pytest.raises(ControlError, match="fault on node-1: got 'f0', allowed: none is set") as refused:
        up.talk(lambda client: client.remove_fault("node-1", "f0"))
    assert refused.value.status == 404
