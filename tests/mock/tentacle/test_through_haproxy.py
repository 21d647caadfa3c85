"""Both directions through a real HAProxy that passes TCP through; and that one line more, PROXY headers, breaks it by name."""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from port_stage import server_identity, tentacle_identity
from test_cluster import Staged, _poll_for_ever, staged

from mocknode.judge.balancers import find
from mocknode.mock.tentacle.listening_tentacle import ListeningTentacle
from mocknode.mock.tentacle.polling_tentacle import EndedError
from mocknode.mock.tentacle.services import VERSION

pytestmark = [pytest.mark.balancer, pytest.mark.verified]


@contextlib.contextmanager
def haproxy(directory: Path, servers: dict[str, str]) -> Iterator[dict[str, int]]:
    """A HAProxy with one listen port for each `server` line; the ports by name."""
    listeners, ports = [], {}
    for name, server in servers.items():
        sock = socket.create_server(("127.0.0.1", 0))
        ports[name] = sock.getsockname()[1]
        # HAProxy inherits it, so that nobody can take the port in between.
        sock.set_inheritable(True)
        listeners.append((name, sock, server))
    text = "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n"
    text += "".join(
        f"listen {name}\n bind fd@{sock.fileno()}\n server s {server}\n" for name, sock, server in listeners
    )
    file = directory / "haproxy.cfg"
    file.write_text(text)
    fds = [sock.fileno() for _, sock, _ in listeners]
    process = subprocess.Popen([find("haproxy").path, "-f", file, "-db"], pass_fds=fds, stderr=subprocess.DEVNULL)
    try:
        yield ports
    finally:
        process.terminate()
        process.wait(10)
        for _, sock, _ in listeners:
            sock.close()


def address(stage: Staged, node: int) -> str:
    at = stage.nodes[node]["tentacle"]
    return f"{at['host']}:{at['port']}"


def test_health_checks_both_ways_through_pass_through(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            staged(tmp_path) as stage,
            ListeningTentacle(tentacle_identity(2), {server_identity().thumbprint}) as other,
        ):
            await stage.registered()
            servers = {"one": address(stage, 0), "listening": "{}:{}".format(*other.address)}
            with haproxy(tmp_path, servers) as ports:
                tentacle = stage.tentacle(sni="node-1.corp.test")
                tentacle.port = ports["one"]
                async with tentacle:
                    polling = asyncio.create_task(_poll_for_ever(tentacle))
                    health = await stage.client.call_tentacle("node-1", "web-1", "health")
                    assert (health["healthy"], health["version"]) == (True, VERSION)
                    polling.cancel()
                uri = f"https://127.0.0.1:{ports['listening']}/"
                await stage.client.register_tentacle("db-1", tentacle_identity(2).thumbprint, uri)
                health = await stage.client.call_tentacle("node-2", "db-1", "health")
                assert (health["healthy"], health["version"]) == (True, VERSION)
            page = await stage.client.journal(kind="connection", node="node-1")
            hello = next(r for r in page.records if r["phase"] == "hello")
            assert tentacle.hello is not None
            assert hello["hello"]["sha256"] == tentacle.hello.document()["sha256"]

    asyncio.run(work())


@pytest.mark.parametrize(("option", "cause"), [("send-proxy", "proxy-header-v1"), ("send-proxy-v2", "proxy-header-v2")])
def test_a_proxy_header_breaks_polling_and_is_named(tmp_path: Path, option: str, cause: str) -> None:
    async def work() -> None:
        async with staged(tmp_path, nodes=1) as stage:
            await stage.registered()
            with haproxy(tmp_path, {"one": f"{address(stage, 0)} {option}"}) as ports:
                tentacle = stage.tentacle()
                tentacle.port = ports["one"]
                with pytest.raises(EndedError):
                    await tentacle.connect()
            page = await stage.client.journal(kind="connection")
            closed = next(r for r in page.records if r["phase"] == "close")
            assert closed["cause"] == cause
            assert closed["log"].startswith("Client failed authentication: ")

    asyncio.run(work())
