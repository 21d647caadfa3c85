"""A node's listeners, and how they follow its condition.

The node opens its own sockets (SO_REUSEADDR and SO_REUSEPORT, as its controller may hold the port bound without listening),
so that a dead node's port refuses. Serving accepts on a duplicate of the listening socket; a blackhole accepts on the socket
itself and reads nothing; refusing closes both.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

from mocknode.mock.node.http.held_connections import POLL_S, peer_gone
from mocknode.mock.node.http.server import HttpServer
from mocknode.mock.node.lifecycle import Condition, Form
from mocknode.mock.node.services import Services
from mocknode.mock.node.web_server import KESTREL
from mocknode.system.tcp import reset_on_close, tcp_state

BACKLOG: Final = 2048


class Port(Protocol):
    """One kind of connections, which follow the node's condition."""

    def protocol(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""

    def refuse(self) -> None:
        """Close what is idle; let what is under way finish."""

    def fall_silent(self) -> None:
        """Read and write nothing more."""

    def end_silence(self) -> None:
        """Reset every connection that was held in silence."""

    async def stop(self, grace_s: float) -> None:
        """Let what is under way finish for a while, then reset what is left."""


class HeldSockets:
    """Connections accepted while the node is a blackhole: not a byte is read or written, TLS or not.

    Args:
        facts: What the records of the listener's connections say beside.
    """

    def __init__(self, services: Services, **facts: str) -> None:
        self._services, self._facts = services, facts
        self._held: dict[socket.socket, int] = {}
        self._polling = False

    def accept(self, listener: socket.socket) -> None:
        """Accept every connection that waits at a listener."""
        with contextlib.suppress(OSError):
            while True:
                sock, peer = listener.accept()
                conn = self._held[sock] = self._services.next_connection()
                local = sock.getsockname()
                self._services.journal.add("connection", time.monotonic_ns(), phase="open", conn=conn, tls=None,
                                           peer=f"{peer[0]}:{peer[1]}", local=f"{local[0]}:{local[1]}", **self._facts)  # fmt: skip
                if not self._polling:
                    self._polling = True
                    self._services.spawn(self._poll())

    def __len__(self) -> int:
        return len(self._held)

    async def _poll(self) -> None:
        while self._held:
            await asyncio.sleep(POLL_S)
            for sock in list(self._held):
                if (gone := peer_gone(tcp_state(sock))) is not None:
                    self._close(sock, gone, "peer")
        self._polling = False

    def reset_all(self) -> None:
        """End every held connection with RST."""
        for sock in list(self._held):
            reset_on_close(sock)
            self._close(sock, "reset", "node")

    def _close(self, sock: socket.socket, how: str, by: str) -> None:
        conn = self._held.pop(sock)
        sock.close()
        self._services.journal.add("connection", time.monotonic_ns(), phase="close", conn=conn, by=by,
                                   how="fin" if how == "fin" else "rst", bytes_in=0, requests=0, cause="held", **self._facts)  # fmt: skip


class Listener:
    """One address of a node."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        held: HeldSockets,
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
        handshake_s: float = KESTREL.handshake_s,
    ) -> None:
        self._protocol, self._held, self._host, self.port, self._context = protocol, held, host, port, context
        self._handshake_s = handshake_s
        self._base: socket.socket | None = None
        self._serving: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Listen, on the same port as before, and serve."""
        base = self._base or self._bind()
        if self._serving is None:
            self._serving = await asyncio.get_running_loop().create_server(
                self._protocol, sock=base.dup(), ssl=self._context, backlog=BACKLOG,
                ssl_handshake_timeout=None if self._context is None else self._handshake_s,
            )  # fmt: skip

    def _bind(self) -> socket.socket:
        base = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        base.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            base.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            base.bind((self._host, self.port))
            base.listen(BACKLOG)
        except OSError:
            base.close()
            raise
        base.setblocking(False)
        self.port = base.getsockname()[1]
        self._base = base
        return base

    def hold(self) -> None:
        """Accept, and do no more."""
        self._stop_serving()
        base = self._base or self._bind()
        asyncio.get_running_loop().add_reader(base, self._held.accept, base)

    def unhold(self) -> None:
        """End `hold`, and what was held."""
        if self._base is not None:
            asyncio.get_running_loop().remove_reader(self._base)
        self._held.reset_all()

    @property
    def held(self) -> int:
        """Connections that are held."""
        return len(self._held)

    def close(self) -> None:
        """Refuse: no socket of this listener is left."""
        self._stop_serving()
        if self._base is not None:
            self._base.close()
            self._base = None

    def _stop_serving(self) -> None:
        if self._serving is not None:
            self._serving.close()
            self._serving = None


class Listeners:
    """Everything of a node that listens.

    Attributes:
        http, https, tentacle: The listeners that this node has.
    """

    def __init__(self, services: Services, http: HttpServer, tentacles: Port | None) -> None:
        config = services.config
        self._services, self._http_server = services, http
        self._ending: asyncio.TimerHandle | None = None
        self._ports: list[Port] = [http]
        self.http: Listener | None = None
        self.https: Listener | None = None
        self.tentacle: Listener | None = None
        if config.http_port is not None:
            self.http = Listener(http.protocol, HeldSockets(services), config.host, config.http_port)
        if config.https_port is not None:
            self.https = Listener(
                http.protocol,
                HeldSockets(services),
                config.host,
                config.https_port,
                http.context,
                config.limits.handshake_s,
            )
        if config.tentacle_port is not None and tentacles is not None:
            held = HeldSockets(services, port="tentacle")
            self.tentacle = Listener(tentacles.protocol, held, config.tentacle_host, config.tentacle_port)
            self._ports.append(tentacles)

    async def watch(self) -> None:
        """End connections and requests that take longer than the web server waits."""
        await self._http_server.watch()

    @property
    def https_address(self) -> str | None:
        """Host and port by which others reach this node's HTTPS, if it has any."""
        return None if self.https is None else _joined(self._services.config.advertise, self.https.port)

    @property
    def own_address(self) -> str:
        """Host and port by which others reach this node."""
        listener = self.http or self.https
        return _joined(self._services.config.advertise, listener.port if listener else 0)

    @property
    def connection_count(self) -> int:
        """HTTP connections that are open, and all that are held."""
        return len(self._http_server.connections) + sum(listener.held for listener in self._all)

    @property
    def _all(self) -> list[Listener]:
        return [listener for listener in (self.http, self.https, self.tentacle) if listener is not None]

    async def start(self, condition: Condition) -> None:
        """Listen in this condition, the first one.

        Raises:
            OSError: an address is taken or does not exist here.
        """
        await self.follow(Condition(state=condition.state), condition, first=True)

    async def follow(self, before: Condition, now: Condition, *, first: bool = False) -> None:
        """Make listeners and connections what the condition wants."""
        if before.form is Form.BLACKHOLE and now.form is not Form.BLACKHOLE:
            self._end_silence()
        self._stop_ending()
        if now.refuses:
            if first:
                for listener in self._all:
                    await listener.open()  # An address that is taken must show now, not when the node comes back.
            for listener in self._all:
                listener.close()
            for port in self._ports:
                port.refuse()
            if now.form is Form.STOP:
                limit_s = self._services.config.limits.stop_s
                self._ending = asyncio.get_running_loop().call_later(limit_s, self._http_server.reset_all)
            await asyncio.sleep(0)  # The loop closes the listening handle in its next round.
        elif now.form is Form.BLACKHOLE:
            for listener in self._all:
                listener.hold()
            for port in self._ports:
                port.fall_silent()
        else:
            for listener in self._all:
                await listener.open()

    def _stop_ending(self) -> None:
        """Let requests live that a stop would have ended; the service is started again or stopped otherwise."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end_silence(self) -> None:
        for listener in self._all:
            listener.unhold()
        for port in self._ports:
            port.end_silence()

    async def stop(self, grace_s: float) -> None:
        """Refuse, let answers in flight finish for a while, then reset what is left."""
        if self._services.silent:
            self._end_silence()
        for listener in self._all:
            listener.close()
        for port in self._ports:
            await port.stop(grace_s)
        await asyncio.sleep(0)  # Aborted transports report their loss in the loop's next round.


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
