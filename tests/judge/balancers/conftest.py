import asyncio
import contextlib
import functools
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from mocknode.judge.balancers import Binary, Front, Node, Running, find, probes, render, start
from mocknode.judge.balancers.adapter import PING_PATH
from mocknode.judge.record.history import Probe
from mocknode.mock.cluster import ports

LIMIT_S = 20.0
"""Longest wait for anything in these tests: all of it takes milliseconds, or a probe interval, unless it is broken."""


@dataclass(slots=True)
class TinyNode:
    """A real HTTP/1.1 server on a socket that names itself and remembers who asked."""

    name: str
    ping: int = 200
    probes: list[Probe] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    probed: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["TinyNode"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    @property
    def node(self) -> Node:
        return Node(name=self.name, host="127.0.0.1", port=self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._one(reader, writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:] if line)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        status = self.ping if target == PING_PATH else 200
        if target == PING_PATH:
            self.probes.append(_probe(self.name, method, target, version, headers))
            self.probed.set()
        else:
            self.requests.append((target, headers))
        answer = f"HTTP/1.1 {status} Said\r\nOctopus-Node: {self.name}\r\nContent-Length: 2\r\n\r\n{{}}"
        writer.write(answer.encode())
        await writer.drain()


def _probe(node: str, method: str, target: str, version: str, headers: dict[str, str]) -> Probe:
    now = time.monotonic_ns()
    return Probe(
        node=node,
        boot=1,
        req=1,
        conn=1,
        peer="127.0.0.1:1",
        method=method,
        target=target,
        http_version=version.removeprefix("HTTP/"),
        host=headers.get("host"),
        user_agent=headers.get("user-agent"),
        t_ns=now,
        answered_ns=now,
        status=200,
    )


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


async def ask(
    port: int, data: bytes | None = None, *, path: str = "/", body: bytes = b"", tls: ssl.SSLContext | None = None
) -> Reply:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: octopus.test\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with contextlib.suppress(ConnectionError):  # a balancer may answer and close before it has read everything
        writer.write(data or head.encode() + body)
        await writer.drain()
    try:
        async with asyncio.timeout(LIMIT_S):
            text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = text.strip().split("\r\n")
            pairs = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
            length = next((int(value) for name, value in pairs if name.lower() == "content-length"), None)
            rest = await (reader.read() if length is None else reader.readexactly(length))
    finally:
        writer.transport.abort()
    return Reply(int(first.split(" ")[1]), pairs, rest.decode("latin-1"))


async def from_a_node(port: int, *, tls: ssl.SSLContext | None = None) -> Reply:
    """The first answer of a node; before its first verdict a balancer may answer by itself."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        reply = await ask(port, tls=tls)
        if reply.header("octopus-node") is not None:
            return reply
        assert time.monotonic() < deadline, reply
        await asyncio.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Outside the ephemeral range: none becomes the local end of a connection before its balancer listens there."""
    return ports.free("test", "127.0.0.1", [f"front {n}" for n in range(count)])


@dataclass(frozen=True, slots=True)
class Certificate:
    certificate: Path
    key: Path
    authority: Path

    def front(self) -> Front:
        http_port, https_port = free_ports(2)
        return Front(
            host="127.0.0.1", http_port=http_port, https_port=https_port, certificate=self.certificate, key=self.key
        )

    def context(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.set_alpn_protocols(list(alpn))
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("with space")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", "octopus.test")
    paths = Certificate(folder / "site.crt", folder / "site.key", folder / "ca.crt")
    paths.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(paths.key)
    authority.cert_pem.write_to_path(paths.authority)
    return paths


@pytest.fixture(scope="session")
def find_once() -> Callable[[str], Binary]:
    return functools.cache(find)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a test of a running balancer needs: nodes, free ports, requests, and the balancer itself."""

    binary: Callable[[str], Binary]
    directory: Path
    ask = staticmethod(ask)
    from_a_node = staticmethod(from_a_node)
    free_ports = staticmethod(free_ports)
    node = TinyNode
    limit_s = LIMIT_S

    def front(self) -> Front:
        """A front door without TLS."""
        return Front(host="127.0.0.1", http_port=free_ports(1)[0])

    async def launch(
        self, kind: str, mode: str, front: Front, nodes: list[TinyNode], template: str | None = None, name: str = "run"
    ) -> Running:
        program, directory = self.binary(kind), self.directory / name
        addresses = [node.node for node in nodes]
        files = render(kind, mode, front, addresses, directory, version=program.version, template=template)
        expected = probes(kind, mode)
        return await start(
            program, files, front, directory, nodes=addresses, health_probes_expected=expected, mode=mode
        )


@pytest.fixture
def bench(find_once: Callable[[str], Binary], tmp_path: Path) -> Bench:
    return Bench(find_once, tmp_path)
