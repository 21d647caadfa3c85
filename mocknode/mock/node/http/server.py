"""The HTTP side of one node: the protocol of its connections, and how those follow the node's condition."""

import asyncio
import ssl
import time
import weakref
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.http.batches import Batches
from mocknode.mock.node.http.held_connections import PeerWatch
from mocknode.mock.node.http.messages import KnownHeads
from mocknode.mock.node.http.patience import LOOK_S
from mocknode.mock.node.http.protocol import NodeProtocol, Shared
from mocknode.mock.node.http.quick_ping import QuickPings
from mocknode.mock.node.http.site import Site

# The real server sends them on every answer. Source: OctopusDeploy/Issues 3659 and the vendor's page on `configure`.
SECURITY_HEADERS: Final = (
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "1; mode=block"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "frame-ancestors 'none'"),
)

# Thousands of connections may have to be ended in the same second; pings are answered in between.
LOOKS_AT_ONCE: Final = 100


class HttpServer:
    """The HTTP connections of one node.

    Args:
        app: The ASGI app that answers; it finds its `Exchange` in the scope's extension `mocknode`.

    Attributes:
        context: The TLS side of HTTPS; None for a node without it.
    """

    def __init__(self, config: NodeConfig, site: Site, app: Any) -> None:
        self._uvicorn = Config(
            app, interface="asgi3", loop="none", http=NodeProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, date_header=False, headers=[("Octopus-Node", config.name), *SECURITY_HEADERS],
        )  # fmt: skip
        self._uvicorn.load()
        self._state = ServerState()
        headers = self._state.default_headers = self._uvicorn.encoded_headers
        hsts_s = config.web.hsts_s
        hsts = [] if hsts_s is None else [(b"strict-transport-security", f"max-age={hsts_s}".encode())]
        self._shared = Shared(
            site=site, config=config, batches=Batches(), watch=PeerWatch(site.spawn),
            quick_pings=QuickPings(site, config, headers), heads=KnownHeads(config.limits), tls_headers=[*headers, *hsts], tls_facts=self._tls_facts,
        )  # fmt: skip
        self._server_names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self.context = None if config.https_port is None else self._context(config)

    def _context(self, config: NodeConfig) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(config.certificate), config.key)
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = self._note_server_name
        return context

    def _note_server_name(self, ssl_object: Any, name: str | None, _context: ssl.SSLContext) -> None:
        if name is not None:
            self._server_names[ssl_object] = name

    def _tls_facts(self, ssl_object: Any) -> dict[str, Any]:
        cipher = ssl_object.cipher()
        return {
            "version": ssl_object.version(),
            "cipher": cipher[0] if cipher else None,
            "sni": self._server_names.get(ssl_object),
            "alpn": ssl_object.selected_alpn_protocol(),
        }

    async def watch(self) -> None:
        """Look at every connection once a second: the web server's patience has limits."""
        last = time.monotonic_ns()
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic_ns()
            for number, connection in enumerate(self.connections, 1):
                connection.look(now, (now - last) / 1e9)
                if number % LOOKS_AT_ONCE == 0:
                    await asyncio.sleep(0)
            last = now

    def protocol(self) -> NodeProtocol:
        """Return the protocol of a new connection."""
        return NodeProtocol(self._uvicorn, self._state, self._shared)

    @property
    def connections(self) -> list[NodeProtocol]:
        """Connections that are open."""
        return [connection for connection in self._state.connections if isinstance(connection, NodeProtocol)]

    def refuse(self) -> None:
        """Close what is idle; let answers in flight finish."""
        for connection in self.connections:
            connection.shutdown()

    def fall_silent(self) -> None:
        """Read and write nothing more."""
        for connection in self.connections:
            connection.fall_silent()

    def end_silence(self) -> None:
        """Reset every connection that was held in silence."""
        self.reset_all()

    def reset_all(self) -> None:
        """Reset every connection."""
        for connection in self.connections:
            connection.break_off("reset")

    async def stop(self, grace_s: float) -> None:
        """Let answers in flight finish for a while, then reset what is left."""
        self.refuse()
        if self.connections:
            await asyncio.wait([connection.lost for connection in self.connections], timeout=grace_s)
        for connection in self.connections:
            connection.break_off("reset")
