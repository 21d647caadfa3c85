"""The control API's HTTP server inside the process of `mocknode up`: uvicorn without its signal handlers."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_GOODBYE_S: Final = 1
"""How long open requests, such as an event stream, may continue when the cluster ends."""
_HEAD_BYTES_MAX: Final = 64 * 1024
"""Longest head of a request, as at a node. Of the parsers that uvicorn has, only h11 has such a limit; with httptools, one header of
38 MiB kept all other callers waiting for seconds."""
KEEP_ALIVE_S: Final = 75
"""How long a connection may be idle. uvicorn's default of 5 s equals httpx's, and a request sent at that moment met a connection
that was being closed."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class ControlServer:
    """Serves an application on a bound socket."""

    def __init__(self, app: ASGIApp, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="none",
            http="h11",
            h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GOODBYE_S,
        )
        config.load()
        # uvicorn makes a context only from files; this one was checked already.
        config.ssl = tls
        self._server = _Server(config)
        self._socket = sock
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start serving and return when connections are accepted."""
        # The socket was bound without SO_REUSEADDR, so that nobody could take the port before it listened. Connections inherit
        # the option, so that those in TIME_WAIT do not keep the next cluster from the port.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.listen()
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait([listening, self._serving], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._serving

    async def stop(self) -> None:
        """Stop accepting, let open requests end, then cut what is left."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving
