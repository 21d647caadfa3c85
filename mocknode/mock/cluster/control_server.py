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
"""How long open requests, such as an event stream, may go on when the cluster ends."""
KEEP_ALIVE_S: Final = 75
"""How long a connection may be idle. uvicorn's own 5 s are those after which httpx lets go: a request sent at that moment met a
connection that was being closed."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command's business."""
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
            http="httptools",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GOODBYE_S,
        )
        config.load()
        # uvicorn makes its context from files only; ours is the one that was checked.
        config.ssl = tls
        self._server = _Server(config)
        self._socket = sock
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it accepts connections."""
        # Bound without it, so that nobody took the port while nothing listened; connections inherit it, and then what is in
        # TIME_WAIT of this cluster does not keep the next one from the port.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.listen()
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait([listening, self._serving], return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._serving

    async def stop(self) -> None:
        """Stop accepting, let open requests end, then cut them."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving
