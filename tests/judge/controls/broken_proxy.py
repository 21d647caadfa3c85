"""A reverse proxy that forwards honestly but for one fault in how it handles chunked bodies: no real balancer has it.

HTTP/1.1, one exchange a connection, round robin over the nodes; h11 takes the framing off on one side and puts it on again
on the other, which is how a proxy comes to end a body that never ended.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

import h11

Fault = Literal["completes-what-broke-off", "loses-a-chunk"]

READ_SIZE = 64 * 1024
# Which of a body's pieces "loses-a-chunk" loses: not the first, so that the multipart form itself stays readable.
LOST_PIECE = 4


@contextlib.asynccontextmanager
async def broken_proxy(nodes: Sequence[str], fault: Fault) -> AsyncIterator[str]:
    """The URL of a proxy in front of the nodes' URLs."""
    turns = itertools.cycle(nodes)
    exchanges: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        exchanges.add(task)
        task.add_done_callback(exchanges.discard)
        await _exchange(reader, writer, next(turns), fault)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*exchanges)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: str, fault: Fault) -> None:
    address = urlsplit(node)
    node_reader, node_writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        await asyncio.gather(_forward(reader, node_writer, fault), _answer(node_reader, writer))
    except (OSError, h11.RemoteProtocolError):
        node_writer.transport.abort()
    finally:
        node_writer.close()
        writer.close()


async def _forward(reader: asyncio.StreamReader, node: asyncio.StreamWriter, fault: Fault) -> None:
    client, upstream = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
    chunked, pieces = False, 0
    while True:
        try:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await reader.read(READ_SIZE))
                continue
        except h11.RemoteProtocolError:
            if not chunked or fault != "completes-what-broke-off":
                raise
            event = h11.EndOfMessage()
        if isinstance(event, h11.Request):
            chunked = any(name == b"transfer-encoding" for name, _ in event.headers)
            kept = [(name, value) for name, value in event.headers if name != b"connection"]
            event = h11.Request(method=event.method, target=event.target, headers=[*kept, ("Connection", "close")])
        elif isinstance(event, h11.Data):
            pieces += 1
            if chunked and fault == "loses-a-chunk" and pieces == LOST_PIECE:
                continue
        elif not isinstance(event, h11.EndOfMessage):
            raise ConnectionAbortedError("the client left without a request")
        data = upstream.send(event)
        assert data is not None
        node.write(data)
        await node.drain()
        if isinstance(event, h11.EndOfMessage):
            return


async def _answer(node: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    while data := await node.read(READ_SIZE):
        client.write(data)
        await client.drain()
    client.close()
