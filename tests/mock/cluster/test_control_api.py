"""The control API itself: journal, ledger, events, metrics, OpenAPI, problem documents."""

import asyncio
import base64
import json
import time
from typing import Any

import httpx
import jsonschema
import pytest

from mocknode.mock.cluster.client import IDLE_S, ControlClient, ControlError, ControlUnreachableError
from mocknode.mock.cluster.control_server import KEEP_ALIVE_S

JSON = {"content-type": "application/json"}
PING = "/api/octopusservernodes/ping"


def fetch(up: Any, method: str, path: str, **options: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, base_url=up.control) as client:
        return client.request(method, path, **options)


def push(up: Any, node: str, attempt: str, content: bytes = b"package") -> int:
    headers = {"x-octopus-apikey": up.document["api_key"], "x-mocknode-attempt": attempt}
    with httpx.Client(trust_env=False) as client:
        files = {"file": (f"{attempt}.1.0.0.zip", content)}
        return client.post(up.http(node) + "/api/packages/raw", files=files, headers=headers).status_code


def test_who_answers_and_what_a_client_needs(up: Any) -> None:
    before = time.monotonic_ns()
    health = up.talk(lambda client: client.healthz())
    assert (health["product"], health["control_api"]) == ("mocknode", 1)
    assert before < health["monotonic_ns"] < time.monotonic_ns()
    cluster = up.talk(lambda client: client.cluster())
    assert cluster["api_key"] == up.document["api_key"]
    assert [node["http"] for node in cluster["nodes"]] == [node["http"] for node in up.document["nodes"]]


def test_a_client_lets_go_of_an_idle_connection_long_before_its_server() -> None:
    """At the same moment, a request would be sent on what is being closed, and nobody could say whether it was carried out."""
    assert IDLE_S < KEEP_ALIVE_S / 2


def test_wait_for_answers_as_soon_as_the_records_are_there(up: Any) -> None:
    async def conversation(client: ControlClient) -> tuple[float, Any]:
        page = await client.journal()
        while page.more:
            page = await client.journal(page.cursor)
        waiting = asyncio.create_task(
            client.journal(page.cursor, kind="probe", node="node-1", wait_for=2, timeout_s=20)
        )
        async with httpx.AsyncClient(trust_env=False) as prober:
            await prober.get(up.http("node-2") + PING)
            await prober.get(up.http("node-1") + PING)
            assert not waiting.done()
            await prober.get(up.http("node-1") + PING)
        started = time.monotonic()
        found = await waiting
        return time.monotonic() - started, found

    took, page = up.talk(conversation)
    assert [(record["kind"], record["node"], record["status"]) for record in page.records] == [
        ("probe", "node-1", 200)
    ] * 2
    assert took < 20  # it waited for the second probe, not for its time to be over


def test_wait_for_gives_up_in_time(up: Any) -> None:
    started = time.monotonic()
    page = up.talk(lambda client: client.journal(attempt="nobody", wait_for=1, timeout_s=0.2))
    assert page.records == []
    assert time.monotonic() - started >= 0.198  # uvloop's clock counts whole milliseconds


def test_one_attempt_in_journal_and_ledger(up: Any) -> None:
    assert push(up, "node-1", "one-attempt") == 201
    page = up.talk(lambda client: client.journal(attempt="one-attempt", wait_for=2))
    assert {record["kind"] for record in page.records} == {"request"}
    assert page.records[-1]["phase"] in ("end", "whole")
    (entry,) = up.talk(lambda client: client.ledger("one-attempt"))
    assert (entry["deliveries"], entry["nodes"], entry["statuses"]) == (1, ["node-1"], [201])
    assert len(entry["digests"][0]) == 40


def test_pages_hold_every_record_once(up: Any) -> None:
    async def conversation(client: ControlClient) -> tuple[list[Any], list[Any]]:
        small, cursor, more = [], None, True
        while more:
            page = await client.journal(cursor, kind="boot,state", limit=2)
            assert len(page.records) <= 2
            small, cursor, more = small + page.records, page.cursor, page.more
        return small, (await client.journal(kind="boot,state", limit=5000)).records

    small, whole = up.talk(conversation)
    assert sorted(small, key=json.dumps) == sorted(whole, key=json.dumps)
    assert len(whole) >= 6


def test_events_are_streamed(up: Any) -> None:
    async def conversation(client: ControlClient) -> list[dict[str, Any]]:
        events = []
        async with (
            httpx.AsyncClient(trust_env=False, base_url=up.control) as http,
            http.stream("GET", "/events") as stream,
        ):
            lines = stream.aiter_lines()
            assert await anext(lines) == ": connected"
            await client.set_state("node-1", "draining")
            await client.add_fault("node-1", "hang")
            async for line in lines:
                if line.startswith("data: "):
                    events.append(json.loads(line.removeprefix("data: ")))
                if len(events) == 2:
                    return events
        return events

    state, fault = up.talk(conversation)
    assert (state["event"], state["node"], state["state"]) == ("state", "node-1", "draining")
    assert (fault["event"], fault["fault"]["kind"]) == ("fault-set", "hang")


def test_metrics(up: Any) -> None:
    up.talk(lambda client: client.set_state("node-2", "offline", "crash"))
    text = fetch(up, "GET", "/metrics").text
    assert 'mocknode_node_alive{node="node-1"} 1' in text
    assert 'mocknode_node_alive{node="node-2"} 0' in text
    assert 'mocknode_node_state{node="node-2",state="offline"} 1' in text
    assert 'mocknode_node_requests{node="node-1"} ' in text


def test_openapi_describes_what_is_answered(up: Any) -> None:
    document = fetch(up, "GET", "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]["/nodes/{name}"]) == {"get", "patch"}
    up.talk(lambda client: client.add_fault("node-1", "latency", options={"delay": "1ms"}))
    for path in ("/healthz", "/cluster", "/nodes", "/nodes/node-1", "/nodes/node-1/faults", "/journal", "/ledger"):
        template = path.replace("node-1", "{name}")
        content = document["paths"][template]["get"]["responses"]["200"]["content"]
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        jsonschema.validate(fetch(up, "GET", path).json(), schema)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "got", "allowed", "says"),
    [
        ("GET", "/nodes/nod-1", None, 404, "nod-1", "node-1", "node: got 'nod-1', allowed: node-1"),
        ("PATCH", "/nodes/node-9", {"state": "online"}, 404, "node-9", "node-1", "node: got 'node-9'"),
        ("PATCH", "/nodes/node-1", {"state": "drainin"}, 422, "drainin", "draining", "did you mean draining"),
        (
            "PATCH",
            "/nodes/node-1",
            {"state": "offline", "how": "frezze"},
            422,
            "frezze",
            "freeze",
            "did you mean freeze",
        ),
        ("PATCH", "/nodes/node-1", {"state": "offline", "how": "drop"}, 422, "drop", "crash", "packet-drop"),
        (
            "PATCH",
            "/nodes/node-1",
            {"state": "online", "how": "crash"},
            422,
            "crash",
            "null",
            "with state offline only",
        ),
        ("PATCH", "/nodes/node-1", {"state": "online", "after": "soon"}, 422, "soon", "5s", "trigger: got 'soon'"),
        ("GET", "/journal?kind=prob", None, 422, "prob", "probe", "did you mean probe"),
        ("GET", "/journal?node=x", None, 422, "x", "node-1", "node: got 'x'"),
        ("GET", "/journal?wait_for=-1", None, 422, "-1", "a whole number from 1 to 5000", "wait_for"),
        ("GET", "/journal?timeout_s=nan", None, 422, "nan", "a number from 0 to 300", "timeout_s"),
        ("GET", "/journal?cursor=zzz", None, 422, "zzz", "a cursor of an earlier page", "cursor"),
        ("GET", "/journal?knd=probe", None, 422, "knd", "kind", "did you mean kind"),
        ("PUT", "/nodes/node-1", None, 405, "PUT", "PATCH", "allowed: GET, HEAD, PATCH"),
        ("GET", "/node", None, 404, "/node", "/nodes", "path: got /node"),
    ],
)
def test_problem_documents(
    up: Any, method: str, path: str, body: Any, status: int, got: Any, allowed: str, says: str
) -> None:
    answer = fetch(up, method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:mocknode:problem:")
    assert problem["got"] == got
    assert allowed in problem["allowed"]
    assert says in problem["detail"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[]", "should be an object"),
        (b"{}", "state: got {}: Field required"),
        (b'{"state": 1, "x": 2}', "x: got 2: Extra inputs are not permitted"),
    ],
)
def test_malformed_bodies_name_every_error(up: Any, content: bytes, says: str) -> None:
    answer = fetch(up, "PATCH", "/nodes/node-1", content=content, headers=JSON)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tasks", {"duration": "1s", "description": "\x1b]0;x\x07"}),
        ("/tentacles", {"name": "a\x1b[2J", "thumbprint": "A" * 40, "uri": "poll://abc/"}),
        ("/nodes/node-1/faults", {"kind": "hang", "attempt": "\u202e"}),
    ],
)
def test_names_that_command_a_terminal(up: Any, path: str, body: Any) -> None:
    answer = fetch(up, "POST", path, json=body)
    assert answer.status_code == 422
    assert "printable characters on one line" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/nodes/node-1", "PATCH", {"state": "draining", "after": "0 pings"}),
        ("/nodes/node-1", "PATCH", {"state": "offline", "how": ""}),
    ],
)
def test_what_means_nothing(up: Any, path: str, method: str, body: Any) -> None:
    assert fetch(up, method, path, json=body).status_code == 422


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", "9" * 5000, "[" * 5000])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/nodes/node-1", '{"state": %s}'),
        ("POST", "/nodes/node-1/faults", '{"kind": "status", "options": {"code": %s}}'),
        ("POST", "/nodes/node-1/faults", '{"kind": "status", "first": %s}'),
        ("POST", "/tasks", '{"duration": "1s", "count": %s}'),
        ("POST", "/nodes/node-1/tentacles/t/calls", '{"call": "health", "collect_s": %s}'),
        ("POST", "/snapshots", "%s"),
        ("PUT", "/lease", '{"holder": %s}'),
    ],
)
def test_numbers_that_no_document_holds(up: Any, method: str, path: str, body: str, number: str) -> None:
    answer = fetch(up, method, path, content=body % number, headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:mocknode:problem:malformed-body")


def test_a_cursor_that_is_nested_without_end(up: Any) -> None:
    word = base64.urlsafe_b64encode(b"[" * 20_000).decode()
    assert fetch(up, "GET", "/journal", params={"cursor": word}).status_code == 422


def test_a_body_without_end(up: Any) -> None:
    assert fetch(up, "PATCH", "/nodes/node-1", content=b" " * 100_000, headers=JSON).status_code == 413


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b'{"nodes": 1}'),
        (200, b'{"nodes": [{}]}'),
        (200, b'{"nodes": [null]}'),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (200, b'{"nodes":' * 50_000),
        (200, b"\xff"),
        (422, b"[" * 100_000),
        (422, b'{"detail": [1], "allowed": 7}'),
        (500, b"null"),
    ],
)
def test_a_client_takes_no_answer_for_granted(status: int, body: bytes) -> None:
    async def ask() -> None:
        async with ControlClient("http://127.0.0.1:9") as client:
            client._http._transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
            for question in (
                client.nodes,
                client.tasks,
                client.tentacles,
                client.snapshots,
                client.cluster,
                client.journal,
            ):
                with pytest.raises(ControlError):
                    await question()

    asyncio.run(ask())


def test_a_client_of_another_server(up: Any) -> None:
    async def ask(url: str) -> dict[str, Any]:
        async with ControlClient(url) as client:
            return await client.healthz()

    with pytest.raises(ControlError, match="is no control API of mocknode") as refused:
        asyncio.run(ask(up.http("node-1")))
    assert refused.value.status == 0
    with pytest.raises(ControlUnreachableError, match=r"http://127\.0\.0\.1:9 does not answer"):
        asyncio.run(ask("http://127.0.0.1:9"))
    with pytest.raises(ControlUnreachableError, match="ftp"):
        asyncio.run(ask("ftp://127.0.0.1:9"))
