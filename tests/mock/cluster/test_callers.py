"""Callers of the control API: scripts and our own clients get through, web pages of other origins do not."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mocknode.mock.cluster.authorization import Authorization
from mocknode.mock.cluster.callers import Callers

NAMES = ("mocknode", "Node-1.Example")


def answer(
    headers: Mapping[str, str], *, method: str = "POST", content: bytes = b"", token: str = ""
) -> httpx.Response:
    """What the application says behind the middleware; `Host` is `127.0.0.1:8090` unless given."""

    async def reached(_: Any) -> PlainTextResponse:
        return PlainTextResponse("reached")

    app: Any = Callers(Starlette(routes=[Route("/{path:path}", reached, methods=["GET", "POST"])]), NAMES)
    if token:
        app = Authorization(app, token)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090") as client:
            return await client.request(method, "/reset", headers=headers, content=content)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8090", "10.0.0.7", "[::1]:8090", "localhost:8090", "LOCALHOST", "localhost.", "mocknode:8090",
     "node-1.example"],
)  # fmt: skip
def test_addresses_and_names_that_are_ours_are_hosts(host: str) -> None:
    assert answer({"host": host}).text == "reached"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "localhost.evil.example", "x@127.0.0.1", "mocknode.evil",
     "127.0.0.1/evil", "[::1", "localhost:x", ".", "0x7f.1"],
)  # fmt: skip
def test_a_name_that_was_pointed_at_us_is_refused(host: str) -> None:
    refused = answer({"host": host})
    assert refused.status_code == 421
    assert refused.json()["got"] == host
    assert refused.json()["allowed"] == ["an IP address", "localhost", "mocknode", "node-1.example"]
    assert "--control-name" in refused.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://localhost:8090"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "Cross-Site", "origin": "http://127.0.0.1:8090"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_origin_is_refused(headers: dict[str, str], method: str) -> None:
    refused = answer(headers, method=method)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:mocknode:problem:foreign-origin")
    assert refused.json()["got"] in headers.values()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:8090"},
        {"origin": "http://127.0.0.1:8090", "sec-fetch-site": "same-origin"},
        {"host": "mocknode", "origin": "https://mocknode"},  # a proxy ended TLS
        {"sec-fetch-site": "none"},  # typed into the address bar
        {"x-forwarded-for": "10.0.0.9", "x-forwarded-host": "control.example"},
    ],
)
def test_our_own_pages_and_proxies_get_through(headers: dict[str, str]) -> None:
    assert answer(headers).text == "reached"


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
def test_a_body_of_a_form_is_refused(media: str) -> None:
    refused = answer({"content-type": media}, content=b'{"state": "draining"}')
    assert (refused.status_code, refused.json()["got"]) == (415, media)
    assert "application/json" in refused.json()["detail"]


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_a_body_of_json_is_taken(media: str) -> None:
    assert answer({"content-type": media}, content=b"{}").text == "reached"


def test_a_request_without_a_body_needs_no_media_type() -> None:
    assert answer({}).text == "reached"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_case_of_the_scheme_means_nothing(scheme: str) -> None:
    assert answer({"authorization": f"{scheme} secret"}, token="secret").text == "reached"
    assert answer({"authorization": f"{scheme} Secret"}, token="secret").status_code == 401
    assert answer({"authorization": f"{scheme}secret"}, token="secret").status_code == 401


@pytest.fixture(scope="module")
def named(cluster_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    up = cluster_of(
        tmp_path_factory.mktemp("named"), "--control-name", "control.internal",
        "--node", "node-1=127.0.0.1:0,advertise=nodes.internal",
    )  # fmt: skip
    yield up
    assert up.end() == 0


def test_declared_and_advertised_names_reach_a_cluster(named: Any) -> None:
    with httpx.Client(trust_env=False, base_url=named.control) as client:
        for name in ("control.internal", "nodes.internal"):
            assert client.get("/cluster", headers={"host": name}).status_code == 200
        assert client.get("/cluster", headers={"host": "evil.example"}).status_code == 421
        form = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert client.post("/reset?keep=nothing", data={"a": "b"}, headers=form).status_code == 403


def test_a_head_without_an_end_is_cut_off(named: Any) -> None:
    parts = urlsplit(named.control)
    sent, much = 0, 64 * 2**20
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < much:
                sent += sock.send(b"x" * 65536)
    assert sent < much
    assert httpx.get(f"{named.control}/healthz", trust_env=False).status_code == 200


def test_a_name_with_a_port_is_no_name(start: Any) -> None:
    up = start("--control-name", "mocknode:8090", ready=False)
    out, errors = up.process.communicate(timeout=60)
    assert (up.process.returncode, out) == (2, "")
    assert "--control-name: got 'mocknode:8090', allowed: a host name without a port" in errors
