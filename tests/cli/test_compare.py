"""`mocknode compare` against a second mock, which is as it should be or differs in one thing."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.up_process import up


def server(directory: Path, *flags: str) -> contextlib.AbstractContextManager[dict[str, Any]]:
    """A cluster of one node in a process of its own."""
    return up(directory, "--nodes", "1", *flags)


def against(document: dict[str, Any]) -> list[str]:
    return ["compare", "--server", document["nodes"][0]["http"], "--api-key", document["api_key"]]


def found(document: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Method, path without query, aspect and place of every difference."""
    return [
        (request["method"], request["path"].partition("?")[0], difference["aspect"], difference["at"])
        for request in document["requests"]
        for difference in request["differences"]
    ]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server of another version with another limit on bodies."""
    with server(tmp_path_factory.mktemp("other"), "--octopus-version", "2025.1.7", "--max-body", "100") as document:
        yield document


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with server(tmp_path_factory.mktemp("mock")) as document:
        yield document


def test_the_same_but_for_its_version_with_a_cluster_of_its_own(
    shell: Callable[..., Any], other: dict[str, Any]
) -> None:
    done = shell(*against(other))
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(": same\n")
    [page] = httpx.get(f"{other['control']}/journal?kind=request&limit=5000", trust_env=False).json()["records"][:1]
    assert page["target"] == "/api"


def test_read_only_unless_writes_are_allowed_and_then_nothing_stays(
    shell: Callable[..., Any], mock: dict[str, Any], tmp_path: Path
) -> None:
    with server(tmp_path) as asked:

        def methods() -> list[str]:
            records = httpx.get(f"{asked['control']}/journal?kind=request&limit=5000", trust_env=False).json()[
                "records"
            ]
            return [record["method"] for record in records if "method" in record]

        assert shell(*against(asked), "--control", mock["control"]).code == 0
        assert set(methods()) == {"GET", "HEAD"}
        done = shell(*against(asked), "--control", mock["control"], "--allow-writes", "--json")
        assert done.code == 0
        assert done.document["same"] is True
        assert [method for method in methods() if method not in ("GET", "HEAD")] == ["POST", "POST", "DELETE"]
        for document in (asked, mock):
            packages = f"{document['nodes'][0]['http']}/api/Spaces-1/packages"
            page = httpx.get(packages, headers={"x-octopus-apikey": document["api_key"]}, trust_env=False).json()
            assert page["TotalResults"] == 0


def test_a_server_that_refuses_the_package(
    shell: Callable[..., Any], mock: dict[str, Any], other: dict[str, Any]
) -> None:
    done = shell(*against(other), "--control", mock["control"], "--allow-writes", "--json")
    assert done.code == 1
    push, again, read, delete = found(done.document)
    assert push[:3] == ("POST", "/api/Spaces-1/packages/raw", "status")
    assert again[:3] == push[:3]
    assert read == ("GET", "/api/Spaces-1/packages/{package}", "status", "")
    assert delete == ("DELETE", "/api/Spaces-1/packages/{package}", "status", "")


def test_a_fault_on_one_path_is_found_there_exclusive(
    shell: Callable[..., Any], mock: dict[str, Any], other: dict[str, Any]
) -> None:
    fault = ("fault", "node-1", "status", "--code", "503", "--on", "ping", "--control", other["control"])
    assert shell(*fault).code == 0
    try:
        done = shell(*against(other), "--control", mock["control"])
        as_json = shell(*against(other), "--control", mock["control"], "--json")
    finally:
        assert shell("reset", "--control", other["control"]).code == 0
    assert (done.code, as_json.code) == (1, 1)
    assert "GET /api/octopusservernodes/ping without a key\n    status: mock 200, server 503\n" in done.out
    assert {path.rstrip("/") for _, path, _, _ in found(as_json.document)} == {"/api/octopusservernodes/ping"}


def test_a_value_that_must_be_equal(shell: Callable[..., Any], mock: dict[str, Any], other: dict[str, Any]) -> None:
    url, headers = f"{other['nodes'][0]['http']}/api/maintenanceconfiguration", {"x-octopus-apikey": other["api_key"]}
    document = httpx.get(url, headers=headers, trust_env=False).json()
    httpx.put(url, headers=headers, json={**document, "IsInMaintenanceMode": True}, trust_env=False).raise_for_status()
    try:
        done = shell(*against(other), "--control", mock["control"], "--json")
    finally:
        httpx.put(url, headers=headers, json=document, trust_env=False).raise_for_status()
    assert done.code == 1
    # Its health says so too, with 418; the rest of the server is as it was.
    assert found(done.document) == [
        ("GET", "/api/serverstatus/health", "status", ""),
        ("GET", "/api/maintenanceconfiguration", "value", "IsInMaintenanceMode"),
    ]


def test_no_answer_is_a_difference_and_not_the_end(
    shell: Callable[..., Any], mock: dict[str, Any], other: dict[str, Any]
) -> None:
    fault = ("fault", "node-1", "close", "--on", "ping", "--control", other["control"])
    assert shell(*fault).code == 0
    try:
        done = shell(*against(other), "--control", mock["control"], "--json")
    finally:
        assert shell("reset", "--control", other["control"]).code == 0
    assert done.code == 1
    ping = "/api/octopusservernodes/ping"
    assert found(done.document) == [
        ("GET", ping, "answer", ""), ("HEAD", ping, "answer", ""),
        ("GET", f"{ping}/", "answer", ""), ("GET", ping, "answer", ""),
    ]  # fmt: skip


def test_a_server_of_2022_differs_in_the_head_of_its_ping(
    shell: Callable[..., Any], mock: dict[str, Any], tmp_path: Path
) -> None:
    with server(tmp_path, "--no-head-ping") as old:
        done = shell(*against(old), "--control", mock["control"], "--json")
    assert done.code == 1
    ping = "/api/octopusservernodes/ping"
    assert found(done.document) == [("HEAD", ping, "status", ""), ("HEAD", ping, "content type", "")]


def test_nobody_there_and_what_is_no_url(shell: Callable[..., Any], mock: dict[str, Any]) -> None:
    done = shell("compare", "--server", "http://127.0.0.1:9", "--api-key", "API-X")
    assert done.code == 3
    assert "http://127.0.0.1:9 does not answer" in done.err
    done = shell(*against(mock), "--control", "http://127.0.0.1:9")
    assert done.code == 3
    done = shell("compare", "--server", "octopus.test", "--api-key", "API-X")
    assert done.code == 2
    assert "'octopus.test', allowed: http://HOST" in done.err
    assert shell("compare", "--server", "http://127.0.0.1:9").code == 2
