"""Where Tentacles come in: an address a node, TLS untouched; rendered, printed, and over real sockets."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mocknode.judge.balancers import (
    KINDS,
    MODES,
    Front,
    Node,
    Polled,
    passes,
    polling_name,
    print_config,
    render,
    start,
)
from mocknode.judge.balancers.registry import ADAPTERS

NODES = [
    Node(name=f"node-{n}", host="127.0.0.1", port=8080 + n, tentacle=Polled(host="127.0.0.1", port=10932 + n))
    for n in (1, 2, 3)
]
DEDICATED = {f"node-{n}": 20942 + n for n in (1, 2, 3)}
PASSING = [(kind, mode) for kind in KINDS for mode in MODES(kind) if passes(kind, mode)]
BY_NAME = [kind for kind, mode in PASSING if mode == "recommended"]


def rendered(kind: str, mode: str, nodes: list[Node], **ports: object) -> str:
    front = Front(host="127.0.0.1", http_port=9000, **ports)  # type: ignore[arg-type]
    return "\n".join(render(kind, mode, front, nodes, Path("/run"), version=ADAPTERS[kind].tested).values())


def test_who_passes_tls_through() -> None:
    assert [kind for kind in KINDS if not any(passes(kind, mode) for mode in MODES(kind))] == ["caddy"]
    assert not passes("nginx", "vendor-doc")


@pytest.mark.parametrize(("kind", "mode"), PASSING)
def test_each_node_gets_its_own_port_and_nothing_that_touches_tls(kind: str, mode: str) -> None:
    text = rendered(kind, mode, NODES, tentacle_ports=DEDICATED)
    assert all(str(node.tentacle.port) in text for node in NODES if node.tentacle)
    assert all(str(port) in text for port in DEDICATED.values())
    lines = [line.split("#")[0].lower() for line in text.splitlines()]
    assert not any("send-proxy" in line or "proxy_protocol" in line or "proxyprotocol" in line for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_without_tentacles_says_nothing_of_them(kind: str) -> None:
    for mode in MODES(kind):
        web_only = [Node(name=node.name, host=node.host, port=node.port) for node in NODES]
        text = rendered(kind, mode, web_only)
        assert "tentacle" not in text.lower()
        assert text == rendered(kind, mode, NODES), "nodes that are polled alone change nothing: the front decides"


@pytest.mark.parametrize("kind", BY_NAME)
def test_what_is_printed_names_the_ports_of_octopus_and_the_names(kind: str) -> None:
    text = print_config(kind, "recommended", NODES, "octopus.corp.test")
    assert all(str(port) in text for port in (10943, 10944, 10945, 10940))
    assert "node-2.octopus.corp.test" in text
    assert all(check in text for check in ("TL-01", "TL-02", "TL-04", "TL-06" if kind != "traefik" else "TL-05"))
    assert (
        "tentacle" not in print_config(kind, "recommended", [Node(name="n", host="h.test", port=1)], "o.test").lower()
    )


def test_a_users_template_gets_the_addresses_of_tentacles() -> None:
    front = Front(host="127.0.0.1", http_port=9000, tentacle_ports=DEDICATED)
    template = "${FRONT_TENTACLE_2} ${FRONT_TENTACLE_2_PORT} ${NODE_2_TENTACLE} ${NODE_2_TENTACLE_HOST} ${NODE_2_TENTACLE_PORT}"
    (text,) = render("nginx", "stock", front, NODES, Path("/run"), version="1", template=template).values()
    assert text == "127.0.0.1:20944 20944 127.0.0.1:10934 127.0.0.1 10934"


@dataclass(slots=True)
class Echo:
    """A node's Tentacle port that answers its name and what it was sent."""

    name: str
    port: int = 0
    seen: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            data = await reader.read(65536)
            self.seen.append(data)
            writer.write(self.name.encode() + b" " + data)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def echoes() -> AsyncIterator[list[Echo]]:
    async with contextlib.AsyncExitStack() as stack:
        found = [Echo(f"node-{n}") for n in (1, 2, 3)]
        for echo in found:
            server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            echo.port = server.sockets[0].getsockname()[1]
        yield found


def client_hello(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


async def answer(port: int, data: bytes, limit_s: float) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(limit_s):
            writer.write(data)
            await writer.drain()
            return await reader.read()
    except (ConnectionError, TimeoutError):
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.balancer
@pytest.mark.verified
@pytest.mark.parametrize(("kind", "mode"), PASSING)
def test_bytes_pass_untouched_to_the_node_whose_address_it_is(kind: str, mode: str, bench: Any) -> None:
    asyncio.run(pass_bytes(kind, mode, bench))


async def pass_bytes(kind: str, mode: str, bench: Any) -> None:
    by_name = mode == "recommended"
    async with echoes() as nodes:
        web, by_name_port, *dedicated = bench.free_ports(5)
        front = Front(
            host="127.0.0.1",
            http_port=web,
            tentacle_ports={echo.name: port for echo, port in zip(nodes, dedicated, strict=True)},
            tentacle_port=by_name_port if by_name else None,
        )
        behind = [
            Node(name=echo.name, host="127.0.0.1", port=echo.port, tentacle=Polled(host="127.0.0.1", port=echo.port))
            for echo in nodes
        ]
        binary = bench.binary(kind)
        files = render(kind, mode, front, behind, bench.directory, version=binary.version)
        running = await start(
            binary, files, front, bench.directory / "run", nodes=behind, health_probes_expected=False, mode=mode
        )
        try:
            # Traefik listens a moment before it knows its routes, and leaves who comes then without an answer.
            async with asyncio.timeout(bench.limit_s):
                while not await answer(dedicated[-1], client_hello(None), 1.0):
                    pass
            for node, port in zip(nodes, dedicated, strict=True):
                for name in (None, polling_name("node-1")):
                    hello = client_hello(name)
                    assert await answer(port, hello, bench.limit_s) == node.name.encode() + b" " + hello
            if by_name:
                for node in nodes:
                    for name in (polling_name(node.name), polling_name(node.name).upper()):
                        hello = client_hello(name)
                        assert await answer(by_name_port, hello, bench.limit_s) == node.name.encode() + b" " + hello
                for hello in (client_hello(None), client_hello("unknown.octopus.test")):
                    assert b"node" not in await answer(by_name_port, hello, 1.0), "no node for a name that is none's"
                    assert not any(hello in node.seen for node in nodes)
        finally:
            await running.stop()
