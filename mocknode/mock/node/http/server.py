"""A node's listeners, and how they follow its condition.

The node opens its own sockets (SO_REUSEADDR and SO_REUSEPORT, as its controller may hold the port bound without listening),
so that a dead node's port refuses. Serving accepts on a duplicate of the listening socket; a blackhole accepts on the socket
itself and reads nothing; refusing closes both.
"""

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from mocknode.mock.node.http.held_connections import HeldSockets
from mocknode.mock.node.http.protocol import NodeProtocol
from mocknode.mock.node.http.quick_ping import QuickPings
from mocknode.mock.node.lifecycle import Condition, Form
from mocknode.mock.node.node import Node

BACKLOG: Final = 2048
# As the real server sends them on everything. Source: OctopusDeploy/Issues 3659 and the vendor's page on `configure`.
SECURITY_HEADERS: Final = (
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "1; mode=block"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "frame-ancestors 'none'"),
)


class Listener:
    """One address of a node."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        held: HeldSockets,
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._protocol, self._held, self._host, self.port, self._context = protocol, held, host, port, context
        self._base: socket.socket | None = None
        self._serving: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Listen, on the same port as before, and serve."""
        base = self._base or self._bind()
        if self._serving is None:
            self._serving = await asyncio.get_running_loop().create_server(
                self._protocol, sock=base.dup(), ssl=self._context, backlog=BACKLOG
            )

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


class Server:
    """Everything of a node that listens."""

    def __init__(self, node: Node, app: Any) -> None:
        config = node.config
        self._node = node
        self._uvicorn = Config(
            app, interface="asgi3", loop="none", http=NodeProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, date_header=False, timeout_keep_alive=config.keep_alive_s,
            headers=[("Octopus-Node", config.name), *SECURITY_HEADERS],
        )  # fmt: skip
        self._uvicorn.load()
        self._state = ServerState()
        self._state.default_headers = self._uvicorn.encoded_headers
        hsts_s = config.web.hsts_s
        hsts = [] if hsts_s is None else [(b"strict-transport-security", f"max-age={hsts_s}".encode())]
        self.tls_headers = [*self._uvicorn.encoded_headers, *hsts]
        node.quick_pings = QuickPings(node, self._uvicorn.encoded_headers)
        self._server_names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self.http: Listener | None = None
        self.https: Listener | None = None
        self.tentacle: Listener | None = None
        if config.http_port is not None:
            self.http = Listener(self.protocol, HeldSockets(node), config.host, config.http_port)
        if config.https_port is not None:
            context = self._context()
            self.https = Listener(self.protocol, HeldSockets(node), config.host, config.https_port, context)
        if config.tentacle_port is not None and node.tentacles is not None:
            held = HeldSockets(node, port="tentacle")
            self.tentacle = Listener(node.tentacles.port.protocol, held, config.tentacle_host, config.tentacle_port)

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self._node.config.certificate), self._node.config.key)
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = self._note_server_name
        return context

    def _note_server_name(self, ssl_object: Any, name: str | None, _context: ssl.SSLContext) -> None:
        if name is not None:
            self._server_names[ssl_object] = name

    def tls_facts(self, ssl_object: Any) -> dict[str, Any]:
        """Version, cipher, SNI and ALPN of a TLS connection."""
        cipher = ssl_object.cipher()
        return {
            "version": ssl_object.version(),
            "cipher": cipher[0] if cipher else None,
            "sni": self._server_names.get(ssl_object),
            "alpn": ssl_object.selected_alpn_protocol(),
        }

    def protocol(self) -> NodeProtocol:
        """The protocol of a new connection."""
        return NodeProtocol(self._uvicorn, self._state, self._node)

    @property
    def https_address(self) -> str | None:
        """Host and port by which others reach this node's HTTPS, if it has any."""
        return None if self.https is None else _joined(self._node.config.advertise, self.https.port)

    @property
    def own_address(self) -> str:
        """Host and port by which others reach this node."""
        listener = self.http or self.https
        return _joined(self._node.config.advertise, listener.port if listener else 0)

    @property
    def connection_count(self) -> int:
        """Connections that are open."""
        return len(self._state.connections) + sum(listener.held for listener in self._listeners)

    @property
    def _connections(self) -> list[NodeProtocol]:
        return [connection for connection in self._state.connections if isinstance(connection, NodeProtocol)]

    @property
    def _listeners(self) -> list[Listener]:
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
        if now.form is Form.REFUSE:
            if first:
                for listener in self._listeners:
                    await listener.open()  # An address that is taken must show now, not when the node comes back.
            for listener in self._listeners:
                listener.close()
            for connection in self._connections:
                connection.shutdown()
            if self._node.tentacles is not None:
                self._node.tentacles.port.refuse()
            await asyncio.sleep(0)  # The loop closes the listening handle in its next round.
        elif now.form is Form.BLACKHOLE:
            for listener in self._listeners:
                listener.hold()
            for connection in self._connections:
                connection.fall_silent()
            if self._node.tentacles is not None:
                self._node.tentacles.port.fall_silent()
        else:
            for listener in self._listeners:
                await listener.open()

    def _end_silence(self) -> None:
        for listener in self._listeners:
            listener.unhold()
        for connection in self._connections:
            connection.break_off("reset")
        if self._node.tentacles is not None:
            self._node.tentacles.end_silence()

    async def stop(self, grace_s: float) -> None:
        """Refuse, let answers in flight finish for a while, then reset what is left."""
        if self._node.condition.form is Form.BLACKHOLE:
            self._end_silence()
        for listener in self._listeners:
            listener.close()
        for connection in self._connections:
            connection.shutdown()
        if self._connections:
            await asyncio.wait([connection.lost for connection in self._connections], timeout=grace_s)
        for connection in self._connections:
            connection.break_off("reset")
        if self._node.tentacles is not None:
            self._node.tentacles.stop()
        await asyncio.sleep(0)  # Aborted transports report their loss in the loop's next round.


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
