"""Preflight: what joins, what is stripped, and whose answer it was when it was not ours."""

import asyncio
import contextlib
import dataclasses
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from mocknode.judge.lab.preflight import (
    ATTEMPTS,
    SILENT_MAX,
    BalancerUnreachableError,
    CannotJoinError,
    NoNodeInRotationError,
    NotOurClusterError,
    judge,
    preflight,
    refuse_unjoinable,
)
from mocknode.judge.record.history import Attempt, Request
from mocknode.judge.record.steps import ForeignServer, NoRotation
from mocknode.judge.traffic import FrontDoor
from mocknode.judge.traffic.spec import USER_AGENT

Run = Callable[[Any], Any]
FRONT = FrontDoor(scheme="http", host="lb.test", port=9000)


def attempt(number: int, **changes: Any) -> Attempt:
    facts: dict[str, Any] = {
        "id": f"{number:032x}",
        "check": "preflight",
        "method": "GET",
        "url": FRONT.url,
        "target": "/api",
        "http_version": "1.1",
        "connection": f"c{number}",
        "source": "127.0.0.2:1",
        "started_ns": number * 1000,
        "head_sent_ns": number * 1000 + 1,
        "body_sent_ns": None,
        "body_bytes": 0,
        "response_ns": number * 1000 + 5,
        "ended_ns": number * 1000 + 6,
        "told": "acknowledged",
        "end": "complete",
        "status": 200,
        "node": f"node-{number % 3 + 1}",
    }
    return Attempt(**facts | changes)


def seen(number: int, **changes: Any) -> Request:
    facts: dict[str, Any] = {
        "node": f"node-{number % 3 + 1}",
        "boot": 1,
        "req": number,
        "conn": number,
        "peer": "127.0.0.1:4000",
        "attempt": f"{number:032x}",
        "method": "GET",
        "target": f"/api?mocknode-attempt={number:032x}",
        "http_version": "1.1",
        "headers": (("User-Agent", USER_AGENT), ("traceparent", f"00-{number:032x}-00f067aa0ba902b7-01")),
        "t_ns": number * 1000 + 3,
        "status": 200,
    }
    return Request(**facts | changes)


NUMBERS = range(6)


def test_everything_gets_through() -> None:
    found = judge(FRONT, [attempt(n) for n in NUMBERS], [seen(n) for n in NUMBERS])
    assert (found.joined_by, found.reached, found.nodes) == ("header", 6, ("node-1", "node-2", "node-3"))
    assert (found.node_header, found.attempt_header, found.trace_header) == (True, True, True)
    assert found.peers == ("127.0.0.1",)
    assert found.summary() == "6 of 6 reached node-1, node-2, node-3 from 127.0.0.1"


BARE = (("User-Agent", USER_AGENT),)


@pytest.mark.parametrize(
    ("stripped", "join"),
    [
        ({"attempt": None}, "query"),
        ({"attempt": None, "target": "/api"}, "trace"),
        ({"attempt": None, "target": "/api", "headers": BARE}, "order"),
        ({"attempt": None, "target": "/api", "headers": ()}, "order"),
    ],
)
def test_joins_by_what_is_left(stripped: dict[str, Any], join: str) -> None:
    requests = [seen(n, **stripped) for n in NUMBERS]
    found = judge(FRONT, [attempt(n) for n in NUMBERS], requests[::-1])
    assert (found.joined_by, found.attempt_header, found.reached) == (join, False, 6)
    assert f"removes X-Mocknode-Attempt{'' if join != 'order' else ', traceparent'}, so" in found.summary()


@pytest.mark.parametrize("left", [{}, {"headers": BARE}, {"headers": ()}])
def test_what_neither_header_nor_query_tells_apart_cannot_be_judged(left: dict[str, Any]) -> None:
    requests = [seen(n, attempt=None, target="/api", **left) for n in NUMBERS]
    with pytest.raises(CannotJoinError, match="let the header X-Mocknode-Attempt through"):
        refuse_unjoinable(judge(FRONT, [attempt(n) for n in NUMBERS], requests))


@pytest.mark.parametrize("left", [{}, {"attempt": None}])
def test_what_header_or_query_tells_apart_can_be_judged(left: dict[str, Any]) -> None:
    refuse_unjoinable(judge(FRONT, [attempt(n) for n in NUMBERS], [seen(n, **left) for n in NUMBERS]))


def test_order_alone_needs_our_user_agent_when_the_node_is_not_told() -> None:
    attempts = [attempt(n, node=None) for n in NUMBERS]
    stripped: dict[str, Any] = {"attempt": None, "target": "/api"}
    found = judge(FRONT, attempts, [seen(n, **stripped, headers=BARE) for n in NUMBERS])
    assert (found.joined_by, found.node_header, found.nodes) == ("order", False, ("node-1", "node-2", "node-3"))
    with pytest.raises(NotOurClusterError):
        judge(FRONT, attempts, [seen(n, **stripped, headers=()) for n in NUMBERS])


def test_a_request_tried_at_two_nodes_counts_for_the_one_that_answered() -> None:
    found = judge(FRONT, [attempt(0)], [seen(0, node="node-2", t_ns=1, status=None), seen(0)])
    assert (found.nodes, found.node_header) == (("node-1",), True)


def test_gateway_errors_between_answers_are_the_balancers_own() -> None:
    attempts = [attempt(0), attempt(1, status=503, node=None, told="error")]
    found = judge(FRONT, attempts, [seen(0)])
    assert (found.reached, found.own_answers) == (1, 1)
    assert found.summary().endswith("; the balancer itself answered 1")


def test_a_foreign_server_is_quoted() -> None:
    answers = attempt(0, node=None, headers=(("Server", "Apache/2.4"),), body="<html>\n  It   works!" + "x" * 500)
    with pytest.raises(NotOurClusterError) as raised:
        judge(FRONT, [answers, answers], [])
    message = str(raised.value)
    assert message.startswith(
        "http://lb.test:9000 does not lead to these nodes: GET /api got 200 from Apache/2.4, which is none of these nodes; "
        "the answer begins '<html> It works!xxx"
    )
    assert message.count("x") == 200 - len("<html> It works!")


def test_a_server_in_the_pool_that_is_no_node_is_a_finding_wherever_the_first_request_lands() -> None:
    strange = [attempt(n, node=None, headers=(("Server", "Apache/2.4"),), body="<html>\n  It   works!") for n in (0, 4)]
    others = [attempt(n) for n in (1, 2, 3, 5)]
    own = attempt(6, status=503, node=None, told="error")
    found = judge(FRONT, [strange[0], *others, strange[1], own], [seen(n) for n in (1, 2, 3, 5)])
    assert found.foreign == ForeignServer(answered=2, sent=7, status=200, server="Apache/2.4", body="<html> It works!")
    assert (found.reached, found.own_answers) == (4, 1)
    assert (
        "; 2 were answered by a server that is none of these nodes; the balancer itself answered 1" in found.summary()
    )
    elsewhere = attempt(8, node="node-7")
    assert judge(FRONT, [attempt(1), elsewhere], [seen(1)]).foreign is not None


def test_a_node_is_no_balancer() -> None:
    attempts = [attempt(n, source=f"127.0.0.2:{n}", node="node-2") for n in NUMBERS]
    arrived = [seen(n, peer=f"127.0.0.2:{n}", node="node-2") for n in NUMBERS]
    with pytest.raises(NotOurClusterError, match=r"lb.test:9000 is node-2 itself"):
        judge(FRONT, attempts, arrived)
    # A balancer on layer 4 that keeps the client's address reaches more than one node.
    spread = [attempt(n, source=f"127.0.0.2:{n}") for n in NUMBERS]
    assert judge(FRONT, spread, [seen(n, peer=f"127.0.0.2:{n}") for n in NUMBERS]).reached == 6


def test_another_cluster_with_the_same_names_is_not_ours() -> None:
    with pytest.raises(NotOurClusterError, match="calls itself node-1, but no node of this cluster saw"):
        judge(FRONT, [attempt(0)], [])


def test_a_balancer_without_nodes() -> None:
    answers = [
        attempt(n, node=None, status=502, headers=(("Server", "nginx/1.31"),), body="Bad Gateway") for n in NUMBERS
    ]
    with pytest.raises(NoNodeInRotationError) as raised:
        judge(FRONT, answers, [])
    assert raised.value.facts == NoRotation(sent=6, status=502, server="nginx/1.31")
    assert str(raised.value) == (
        "the balancer answers, but reaches no node: http://lb.test:9000 answered 502 to 6 of 6 requests (Server: nginx/1.31); "
        "the answer begins 'Bad Gateway'"
    )


def test_nobody_there() -> None:
    silent = attempt(0, status=None, node=None, told="nothing", end="refused", head_sent_ns=None, error="no")
    front = dataclasses.replace(FRONT, connect_host="10.0.0.1")
    with pytest.raises(BalancerUnreachableError, match=re.escape("http://lb.test:9000 (10.0.0.1:9000): no")):
        judge(front, [silent], [])
    taken = dataclasses.replace(silent, end="eof", head_sent_ns=1, error="closed without an answer")
    with pytest.raises(BalancerUnreachableError, match="accepts connections but does not answer: closed without"):
        judge(FRONT, [taken], [])


@dataclass
class Page:
    records: list[dict[str, Any]]
    cursor: str
    more: bool


@dataclass
class Journals:
    """What the controller offers, over a list that the test's node appends to."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, **line: Any) -> None:
        self.lines.append(line)
        self.grown.set()

    async def journal(
        self,
        cursor: str | None = None,
        *,
        kind: str | None = None,
        wait_for: int | None = None,
        timeout_s: float | None = None,
    ) -> Page:
        start = int(cursor or 0)
        self.grown.clear()
        if wait_for and len(self.lines) - start < wait_for:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.grown.wait(), timeout_s)
        records = self.lines[start : start + 5]
        return Page(records, str(start + len(records)), len(self.lines) > start + 5)


def line(attempt_id: str, number: int) -> dict[str, Any]:
    """A request as a node journals it."""
    return {
        "kind": "request",
        "phase": "whole",
        "node": "node-1",
        "boot": 1,
        "req": number,
        "conn": number,
        "peer": "127.0.0.1:4000",
        "attempt": attempt_id,
        "method": "GET",
        "target": "/api",
        "http_version": "1.1",
        "headers": [["User-Agent", USER_AGENT]],
        "t_ns": number,
        "status": 200,
        "end": "complete",
        "complete": True,
    }


def test_through_a_real_front_door_with_journals_that_lag(run: Run, serve: Any, script: Any) -> None:
    attempts: list[Attempt] = []

    async def main() -> Any:
        journals = Journals()
        journals.add(**line("of-an-earlier-run", 999))

        async def node(reader: Any, writer: Any) -> None:
            found = re.search(rb"mocknode-attempt=(\w+) ", await script.read_head(reader))
            assert found is not None
            await script.answer(writer, "200 OK")
            await script.read_rest(reader)  # the journal's line comes after the client has gone
            journals.add(**line(found[1].decode(), len(journals.lines)))

        async with serve(node) as front:
            return await preflight(front, journals, attempts.append)

    found = run(main())
    assert (found.reached, len(attempts), found.nodes) == (ATTEMPTS, ATTEMPTS, ("node-1",))
    assert (found.node_header, found.attempt_header, found.trace_header) == (True, True, False)


def test_a_closed_port_is_given_up_soon(run: Run) -> None:
    attempts: list[Attempt] = []

    async def main(front: FrontDoor) -> None:
        await preflight(front, Journals(), attempts.append)

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        front = FrontDoor(scheme="http", host="127.0.0.1", port=bound.getsockname()[1])
        with pytest.raises(BalancerUnreachableError, match=f"no balancer answers at http://127.0.0.1:{front.port}: "):
            run(main(front))
    assert len(attempts) == SILENT_MAX


def test_gateway_errors_are_not_waited_for(run: Run, serve: Any, script: Any) -> None:
    async def gateway(reader: Any, writer: Any) -> None:
        await script.read_head(reader)
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 19\r\n\r\nno available server")

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serve(gateway) as front:
            started = loop.time()
            with pytest.raises(BalancerUnreachableError, match=r"reaches no node.*no available server"):
                await preflight(front, Journals(), lambda _: None)
            return loop.time() - started

    assert run(main()) < 2.5
