"""Simulated listening Tentacles: a server dials them, and they answer.

    async with ListeningTentacle(identity, trusted={server_thumbprint}) as tentacle:
        tentacle.address            # (host, port) where it listens, by default a free port of loopback

A server that is not trusted is disconnected after its preamble without a byte, as by a real Tentacle.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from types import TracebackType
from typing import Final, Self, cast

from OpenSSL import SSL

from mocknode.mock.halibut import Connection, ResponseMessage, State, events
from mocknode.mock.tentacle.identity import Identity
from mocknode.mock.tentacle.page import PAGE
from mocknode.mock.tentacle.services import Services
from mocknode.mock.tentacle.tls import Tls, TlsError, server_context
from mocknode.system.tcp import keep_alive

OPENING_LIMIT_S: Final = 60.0
"""Time for the server to identify itself."""
NEXT_LIMIT_S: Final = 60.0
"""Time for NEXT or END after a response; it makes a real Tentacle close a pooled connection after a minute."""
REQUEST_LIMIT_S: Final = 600.0
"""`TcpListeningNextRequestIdleTimeout`."""
_SERVICES: Final = Services()


class ListeningTentacle:
    """One listening Tentacle; an async context manager.

    Args:
        trusted: Thumbprints of servers that may call it.
        services: Its answers.

    Attributes:
        identity: Its certificate.
        address: Where it listens, once the block is entered.
        calls: Number of requests that it answered.
        denied: Thumbprints of servers that were disconnected; None for one without a certificate.
    """

    def __init__(
        self, identity: Identity, trusted: Collection[str], *, services: Services = _SERVICES, host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:  # fmt: skip
        self.identity, self.services = identity, services
        # Unlike a polling Tentacle, a listening one ignores case.
        self.trusted = {thumbprint.upper() for thumbprint in trusted}
        self.address = (host, port)
        self.calls = 0
        self.denied: list[str | None] = []
        self.context: SSL.Context = server_context(identity)
        self.connections: set[_Accepted] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._server = await asyncio.get_running_loop().create_server(lambda: _Accepted(self), *self.address)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = (host, port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port and every connection."""
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.close()
        await asyncio.sleep(0)  # Transports call connection_lost in the loop's next round.


class _Accepted(asyncio.Protocol):
    """A connection that a server opened."""

    def __init__(self, tentacle: ListeningTentacle) -> None:
        self._tentacle = tentacle
        self._tls = Tls.accept(tentacle.context)
        self._halibut = Connection.accept()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._answering: asyncio.Task[ResponseMessage] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the new connection and start the timer for its identity."""
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport.get_extra_info("socket"))
        self._tentacle.connections.add(self)
        self._arm(OPENING_LIMIT_S)

    def data_received(self, data: bytes) -> None:
        """Decrypt the data and act on it."""
        try:
            plain = self._tls.receive(data)
        except TlsError:
            self._write(())
            self.close()
            return
        self._write(())
        if plain:
            self._handle(self._halibut.receive(plain))

    def eof_received(self) -> bool:
        """Close when the server sends no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer and the answer; a real script would run on, with its answer lost."""
        self._tentacle.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._answering is not None:
            self._answering.cancel()

    def close(self) -> None:
        """Close with FIN, without close_notify."""
        self._transport.close()

    def _handle(self, found: Iterable[events.Event]) -> None:
        for event in found:
            match event:
                case events.Preamble():
                    self._judge()
                case events.NotHalibut():
                    self._write(PAGE)
                    self.close()
                case events.Identified():
                    self._arm(REQUEST_LIMIT_S)
                    self._write(self._halibut.welcome())
                    self._read_on()
                case events.RequestReceived():
                    self._answer(event)
                case events.NextReceived():
                    self._arm(REQUEST_LIMIT_S)
                    self._write(self._halibut.send_proceed())
                    self._read_on()
                case events.Ended() | events.Failed() | events.NothingSent() | events.NullReceived():
                    self.close()

    def _read_on(self) -> None:
        if self._halibut.state is State.AWAIT_REQUEST:
            self._handle(self._halibut.proceed())

    def _judge(self) -> None:
        peer = self._tls.peer
        if peer is not None and peer.thumbprint in self._tentacle.trusted:
            self._handle(self._halibut.authorize())
        else:
            self._tentacle.denied.append(None if peer is None else peer.thumbprint)
            self.close()

    def _answer(self, event: events.RequestReceived) -> None:
        self._disarm()
        self._answering = asyncio.ensure_future(self._tentacle.services.answer(event.request, event.streams))
        self._answering.add_done_callback(self._answered)

    def _answered(self, task: "asyncio.Task[ResponseMessage]") -> None:
        self._answering = None
        if task.cancelled() or self._transport.is_closing():
            return
        self._tentacle.calls += 1
        self._write(self._halibut.send_response(task.result()))
        self._arm(NEXT_LIMIT_S)
        self._handle(self._halibut.proceed())

    def _write(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self._tls.send(part)
        if (out := self._tls.outgoing()) and not self._transport.is_closing():
            self._transport.write(out)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        close: Callable[[], None] = self.close
        self._timer = asyncio.get_running_loop().call_later(seconds, close)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
