"""How clusters start: side by side, again in the same directory, on given addresses, with TLS; or not at all."""

import asyncio
import json
import re
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mocknode.mock.cluster.client import ControlClient, ControlError
from mocknode.mock.cluster.running_cluster import Cluster
from mocknode.mock.cluster.settings import ClusterSettings, numbered_nodes

PING = "/api/octopusservernodes/ping"


def failed(up: Any) -> tuple[int, str]:
    out, err = up.process.communicate(timeout=20)
    assert out == ""
    assert "Traceback" not in err
    return up.process.returncode, err


def test_three_nodes_start_side_by_side(start: Callable[..., Any]) -> None:
    started = time.monotonic()
    up = start()
    took = time.monotonic() - started
    records = up.talk(lambda client: client.journal(kind="boot")).records
    times = sorted(record["t_ns"] for record in records)
    assert len(times) == 3
    # One after another they would be a whole start apart.
    assert (times[-1] - times[0]) / 1e9 < took / 2


def test_two_clusters_side_by_side_and_the_port_of_a_dead_node(start: Callable[..., Any]) -> None:
    one, two = start("--nodes", "1", directory="one"), start("--nodes", "1", directory="two")
    one.talk(lambda client: client.set_state("node-1", "offline", "crash"))
    assert two.talk(lambda client: client.node("node-1"))["state"] == "online"
    port = one.http("node-1").rpartition(":")[2]
    code, err = failed(start("--nodes", "1", "--http-port", port, directory="three", ready=False))
    assert code == 3
    assert f"--http-port: 127.0.0.1:{port} (HTTP port of node-1) is in use" in err
    assert one.talk(lambda client: client.set_state("node-1", "online"))["alive"]


def test_again_on_the_control_port_whose_last_connections_the_server_closed(start: Callable[..., Any]) -> None:
    first = start("--nodes", "1", directory="one")
    port = int(first.control.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while client.recv(4096):
            pass
    assert first.end() == 0
    # What the first one left in TIME_WAIT keeps nobody from the port; one that listens does.
    second = start("--nodes", "1", "--control-port", str(port), directory="two")
    code, err = failed(start("--nodes", "1", "--control-port", str(port), directory="three", ready=False))
    assert code == 3
    assert f"{port} (control port) is in use by another program" in err
    assert second.talk(lambda client: client.node("node-1"))["state"] == "online"


def test_again_in_the_same_directories(start: Callable[..., Any], tmp_path: Path) -> None:
    first = start("--nodes", "1", "--https-port", "0")
    code, err = failed(start("--nodes", "1", ready=False))
    assert code == 3
    assert "belongs to a cluster that is running" in err
    ca = first.talk(lambda client: client.cluster())["ca_pem"]
    assert (tmp_path / "a" / "identity" / "ca.pem").read_text() == ca
    with httpx.Client(trust_env=False, verify=ssl.create_default_context(cadata=ca)) as client:
        assert client.get(first.document["nodes"][0]["https"] + PING).status_code == 200
    assert first.talk(lambda client: client.node("node-1"))["boot"] == 1
    first.end()
    again = start("--nodes", "1", "--https-port", "0")
    assert again.talk(lambda client: client.node("node-1"))["boot"] == 2
    assert again.talk(lambda client: client.cluster())["ca_pem"] == ca


def test_a_port_in_use_names_flag_and_port_and_leaves_nothing(start: Callable[..., Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        up = start("--nodes", "1", "--http-port", str(port), ready=False)
        code, err = failed(up)
    assert code == 3
    assert f"--http-port: 127.0.0.1:{port} (HTTP port of node-1) is in use" in err
    assert not (tmp_path / "a" / "run").exists()


def test_a_store_that_is_not_reachable(start: Callable[..., Any]) -> None:
    code, err = failed(start("--nodes", "1", "--store", "sqlite:////no/such/directory/x.db", ready=False))
    assert code == 3
    assert err.startswith("mocknode: node-1 did not start: store sqlite:////no/such/directory/x.db cannot be reached")


def test_several_addresses_with_the_same_port(start: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.9", 0)) as server:
        port = server.getsockname()[1]
    up = start(
        "--node", f"west=127.0.0.2:{port}", "--node", f"east=127.0.0.3:{port},advertise=localhost",
    )  # fmt: skip
    assert [node["http"] for node in up.document["nodes"]] == [f"http://127.0.0.2:{port}", f"http://localhost:{port}"]
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"http://127.0.0.3:{port}{PING}").headers["octopus-node"] == "east"
        assert client.get(f"http://127.0.0.2:{port}{PING}").headers["octopus-node"] == "west"


def test_beyond_loopback_token_and_tls(start: Callable[..., Any], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    up = start("--nodes", "1", "--host", "0.0.0.0", "--control-token-file", str(token))
    assert up.control.startswith("https://")
    port = up.control.rpartition(":")[2]
    ca = str(tmp_path / "a" / "identity" / "ca.pem")

    async def ask(given: str | None) -> list[dict[str, Any]]:
        async with ControlClient(f"https://127.0.0.1:{port}", given, ca) as client:
            assert (await client.healthz())["product"] == "mocknode"
            return await client.nodes()

    assert asyncio.run(ask("s3cret"))[0]["name"] == "node-1"
    for wrong in (None, "other"):
        with pytest.raises(ControlError, match="Authorization: got") as refused:
            asyncio.run(ask(wrong))
        assert refused.value.status == 401


def test_insecure_control_is_plain_but_needs_its_token(start: Callable[..., Any], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    flags = [
        "--host",
        "0.0.0.0",
        "--control-token-file",
        str(token),
        "--insecure-control",
        "--api-key",
        "API-0123456789",
    ]
    up = start("--nodes", "1", *flags)
    assert set(up.document) == {"control", "api_key", "run_dir", "nodes"}
    assert up.document["api_key"] == "API-0123456789"
    tentacle = up.document["nodes"][0]["tentacle"]
    assert re.fullmatch("[0-9A-F]{40}", tentacle["thumbprint"])
    assert 1024 < tentacle["port"] < 65536
    assert up.control.startswith("http://")
    with httpx.Client(trust_env=False) as client:
        url = f"http://127.0.0.1:{up.control.rpartition(':')[2]}/nodes"
        assert client.get(url).status_code == 401
        assert client.get(url, headers={"authorization": "Bearer s3cret"}).status_code == 200
    up.process.terminate()
    out, _ = up.process.communicate(timeout=10)
    assert out == ""


def test_inside_a_program(tmp_path: Path) -> None:
    async def run() -> None:
        settings = ClusterSettings(
            nodes=numbered_nodes(1, host="127.0.0.1", http_port=0, https_port=None),
            run_dir=tmp_path / "run",
            identity_dir=tmp_path / "identity",
        )
        async with Cluster(settings) as cluster, ControlClient(cluster.control_url) as client:
            assert [node["state"] for node in await client.nodes()] == ["online"]
            json.dumps(cluster.document())
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(cluster.control_url.rpartition(":")[2]))

    asyncio.run(run())
