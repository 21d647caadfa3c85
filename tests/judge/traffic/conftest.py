"""Scripted servers on loopback, and both event loops to run clients on."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from mocknode.judge.traffic import FrontDoor

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serving = Callable[..., AbstractAsyncContextManager[FrontDoor]]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on one of the event loops that clients must work on."""
    return request.param


@asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None = None, ca: str | None = None
) -> AsyncIterator[FrontDoor]:
    """A server whose handler scripts every connection; its errors fail the test."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.ensure_future(_scripted(handler, reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield FrontDoor(scheme="https" if tls else "http", host="127.0.0.1", port=port, ca=ca)
    finally:
        server.close()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)


async def _scripted(handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await handler(reader, writer)
    finally:
        writer.close()


@pytest.fixture
def serve() -> Serving:
    return serving


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    """A certificate authority and the PEM file that trusts it."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca = trustme.CA()
    ca.cert_pem.write_to_path(path)
    return ca, str(path)


@pytest.fixture
def server_tls(authority: tuple[trustme.CA, str]) -> Callable[..., ssl.SSLContext]:
    """TLS settings for a server at 127.0.0.1 that agrees on one of the given protocols."""

    def make(*alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority[0].issue_cert("127.0.0.1", "lb.test").configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    return make


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def read_rest(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """Everything until the client's end, and whether that was `fin` or `rst`."""
    data = bytearray()
    try:
        while piece := await reader.read(65536):
            data += piece
    except ConnectionResetError:
        return bytes(data), "rst"
    return bytes(data), "fin"


def content_length(head: bytes) -> int:
    return next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))


async def answer(writer: asyncio.StreamWriter, status: str = "201 Created", body: bytes = b"ok", *headers: str) -> None:
    fields = "".join(f"{field}\r\n" for field in headers)
    writer.write(f"HTTP/1.1 {status}\r\nOctopus-Node: node-1\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode())
    writer.write(body)
    await writer.drain()


class Script:
    """The parts that scripted servers are made of."""

    read_head = staticmethod(read_head)
    read_rest = staticmethod(read_rest)
    content_length = staticmethod(content_length)
    answer = staticmethod(answer)


@pytest.fixture
def script() -> type[Script]:
    return Script
