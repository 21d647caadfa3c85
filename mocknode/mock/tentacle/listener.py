"""A node's Tentacle port: TLS that takes any certificate or none, the first bytes, trust, and the reason of each end.

Each connection is a `PortConnection` without a task of its own, as thousands idle here. The conversation is in `serving`; the
port reaches its node (journal, trust, faults) through `Site`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Literal, Protocol, cast

from mocknode.mock.tentacle import endings
from mocknode.mock.tentacle.client_hello import FirstBytes, HelloReader
from mocknode.mock.tentacle.endings import Ending
from mocknode.mock.tentacle.handshake_queue import HandshakeQueue
from mocknode.mock.tentacle.identity import Identity
from mocknode.mock.tentacle.queues import Queues
from mocknode.mock.tentacle.serving import Limits, Serving
from mocknode.mock.tentacle.tls import Tls, TlsError, server_context
from mocknode.system.tcp import keep_alive, reset_on_close

PORT: Final = "tentacle"
EARLY_MAX: Final = 64 * 1024
"""Bytes that may wait for the handshake queue; after these the connection is not read until its handshake goes on."""
CLOSING_S: Final = 5.0
"""Time for the last written bytes to leave; after it the connection is reset."""
HALF_CLOSED_S: Final = 60.0
"""How long the peer of a half-closed connection may go on sending; the HTTP port has the same limit."""

Cut = Literal["fin", "reset"]


class Site(Protocol):
    """The node, as far as its Tentacle port needs it."""

    def next_connection(self) -> int:
        """Return the number of a new connection."""

    def note(self, kind: str, t_ns: int, **facts: Any) -> None:
        """Write a journal record."""

    def trusts(self, thumbprint: str) -> bool | Awaitable[bool]:
        """Tell whether a certificate is registered; without waiting where that is known."""

    def met(self, connection: "PortConnection") -> None:
        """Let faults act on a new connection."""


class TentaclePort:
    """The Tentacle port of one node.

    Attributes:
        queues: Requests that wait for polling Tentacles.
        connections: Open connections.
        exchanges: Number of finished exchanges on closed connections.
    """

    def __init__(self, site: Site, identity: Identity, limits: Limits) -> None:
        self.site, self.limits = site, limits
        self.queues = Queues()
        self.connections: set[PortConnection] = set()
        self.exchanges = 0
        self.context = server_context(identity)
        self.handshakes = HandshakeQueue()

    def protocol(self) -> "PortConnection":
        """Return the protocol of a new connection."""
        return PortConnection(self)

    def refuse(self) -> None:
        """Close idle connections, and the others when their calls have ended."""
        for connection in list(self.connections):
            connection.retire()

    def fall_silent(self) -> None:
        """Stop answering on every connection."""
        for connection in self.connections:
            connection.fall_silent()

    def end_all(self, ending: Ending) -> None:
        """Reset every connection, as a real server does when it stops."""
        for connection in list(self.connections):
            connection.break_off("reset", ending)

    def distrust(self, trusted: Callable[[str], bool]) -> None:
        """Reset the connections of peers that are no longer trusted."""
        for connection in list(self.connections):
            if connection.client is not None and connection.admitted and not trusted(connection.client):
                connection.break_off("reset", Ending(cause="trust-removed"))

    def summary(self) -> dict[str, Any]:
        """Return counters for the node's status."""
        serving = [connection.serving for connection in self.connections]
        subscriptions = {item.subscription for item in serving if item is not None and item.subscription is not None}
        return {
            "connections": len(self.connections),
            "subscriptions": len(subscriptions),
            "exchanges": self.exchanges + sum(item.exchanges for item in serving if item is not None),
        }

    def polling(self) -> dict[str, int]:
        """Return the number of open connections by subscription, spelled as it was sent."""
        found: dict[str, int] = {}
        for connection in self.connections:
            if connection.serving is not None and connection.serving.subscription is not None:
                name = connection.serving.subscription
                found[name] = found.get(name, 0) + 1
        return found


class PortConnection(asyncio.Protocol):
    """One connection at the Tentacle port.

    Attributes:
        conn: Number of the connection at this node.
        peer: `host:port` of the peer.
        client: Thumbprint of the presented certificate, once the node has to decide on trust.
        admitted: Whether the peer is trusted.
        serving: The conversation, once TLS has begun.
        gone: Whether the connection is closed.
    """

    __slots__ = (
        "_bytes_in", "_deaf", "_early", "_ended", "_ending", "_eof", "_hello", "_port", "_timer", "_tls", "_transport",
        "admitted", "client", "conn", "gone", "lost", "peer", "serving",
    )  # fmt: skip

    def __init__(self, port: TentaclePort) -> None:
        self._port = port
        self.conn = 0
        self.peer = ""
        self.client: str | None = None
        self.serving: Serving | None = None
        self.admitted = self.gone = False
        self.lost: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport
        self._tls: Tls | None = None
        self._hello: HelloReader | None = HelloReader()
        # Bytes of an unfinished handshake, which wait in the handshake queue.
        self._early = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._bytes_in = 0
        self._deaf = self._eof = False
        self._ending: Ending | None = None
        self._ended: tuple[str, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the new connection and start the timer for its identity."""
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport.get_extra_info("socket"))
        self.peer = _address(transport.get_extra_info("peername"))
        self.conn = self._port.site.next_connection()
        self._port.connections.add(self)
        local = _address(transport.get_extra_info("sockname"))
        self._note("open", peer=self.peer, local=local, tls=None)
        self.arm(self._port.limits.opening_s, self._opening_over)
        self._port.site.met(self)

    def data_received(self, data: bytes) -> None:
        """Decrypt the data, or queue it until the handshake is complete."""
        self._bytes_in += len(data)
        if self._deaf or self._transport.is_closing():
            return
        if self._tls is not None and self._tls.handshaken and not self._early:
            self._decrypt(self._tls, data)
            return
        if not self._early:
            self._port.handshakes.put(self._shake_hands)
        self._early += data
        if len(self._early) > EARLY_MAX:
            self._transport.pause_reading()

    def _shake_hands(self) -> None:
        """Look at the first bytes and continue the handshake."""
        if not self._early or self._deaf or self.gone or self._ending is not None:
            return
        data = bytes(self._early)
        self._early.clear()
        if len(data) > EARLY_MAX:
            self.release()
        first = self._hello is not None and self._hello.empty
        if self._hello is not None and (opened := self._hello.feed(data)) is not None:
            self._opened(opened)
        if self._tls is None:
            if data[0] != 0x16 or not first:
                return
            self._tls = Tls.accept(self._port.context)
            self.serving = Serving(self, self._port.queues, self._port.limits)
        self._decrypt(self._tls, data)

    def _decrypt(self, tls: Tls, data: bytes) -> None:
        assert self.serving is not None
        try:
            plain = tls.receive(data)
        except TlsError as exc:
            if self._hello is not None and (opened := self._hello.eof()) is not None:
                self._opened(opened)
            self._flush(tls)
            self.end(Ending(cause="tls-failed", log=endings.unauthenticated(self.peer), detail=str(exc)))
            return
        self._flush(tls)
        if plain:
            self.serving.received(plain)
        if tls.closed and not self._transport.is_closing():
            self._left()

    def _opened(self, opened: FirstBytes) -> None:
        self._note_hello(opened)
        if opened.opening != "tls":
            self.end(endings.not_tls(opened.opening, self.peer))

    def _note_hello(self, opened: FirstBytes) -> None:
        self._hello = None
        hello = opened.hello.document() if opened.hello else None
        self._note("hello", opening=opened.opening, first_bytes=opened.first_bytes.hex(), hello=hello)

    def eof_received(self) -> bool:
        """Handle the end of the peer's bytes."""
        self._eof = True
        if self._deaf or self._transport.is_closing():
            return False
        return self._left()

    def _left(self) -> bool:
        """Handle a peer that has left; return True while the connection stays open."""
        self._shake_hands()
        if self._hello is not None and (opened := self._hello.eof()) is not None:
            self._opened(opened)
        if self._ending is not None:
            return False
        if self.serving is None or self._tls is None or not self._tls.handshaken:
            self._ending = Ending(cause="closed-in-handshake", log=endings.unhandled(self.peer))
            return False
        return self.serving.eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how the connection ended."""
        if self._hello is not None and self._early and (opened := self._hello.feed(bytes(self._early))) is not None:
            self._note_hello(opened)
        self.gone = True
        self._disarm()
        self._port.connections.discard(self)
        by, how = self._ended or ("peer", "fin" if exc is None else "rst")
        ending = self._ending or Ending(
            cause="eof" if exc is None else "reset",
            log=endings.socket_error(self.peer),
            detail=str(exc) if exc else None,
        )
        if self.serving is not None:
            self.serving.over(ending.detail or endings.socket_error(self.peer))
            self._port.exchanges += self.serving.exchanges
        self._note(
            "close", by=by, how=how, bytes_in=self._bytes_in, requests=self.serving.exchanges if self.serving else 0,
            thumbprint=self.client,
            subscription=self.serving.subscription if self.serving else None,
            cause=ending.cause, log=ending.log, detail=ending.detail,
        )  # fmt: skip
        if self.lost is not None and not self.lost.done():
            self.lost.set_result(None)

    def _opening_over(self) -> None:
        if self._hello is not None and (opened := self._hello.eof()) is not None:
            self._opened(opened)
        if self._bytes_in == 0:
            self.end(Ending(cause="silent", log=endings.socket_error(self.peer)))
        else:
            limit = f"not identified within {self._port.limits.opening_s:g} s"
            self.end(Ending(cause="timeout", log=endings.socket_error(self.peer), detail=limit))

    def judge(self) -> None:
        """Find out whether the peer is trusted; no more bytes are handled until then."""
        assert self._tls is not None
        presented = self._tls.peer
        if presented is None:
            self._refuse(endings.no_certificate(self.peer))
            return
        self.client = presented.thumbprint
        trusted = self._port.site.trusts(self.client)
        if isinstance(trusted, bool):
            self._decide(trusted)
        else:
            task = asyncio.ensure_future(trusted)
            task.add_done_callback(lambda done: self._decide(not done.cancelled() and done.result()))

    def _decide(self, trusted: bool) -> None:
        assert self.client is not None
        assert self.serving is not None
        if self.gone or self._ending is not None:
            return
        if trusted:
            self.admitted = True
            self.serving.admit()
        else:
            self._refuse(endings.untrusted(self.peer, self.client))

    def _refuse(self, ending: Ending) -> None:
        self._note(
            "identified", tls=self._facts(), thumbprint=self.client, trusted=False, identity=None, subscription=None
        )
        self.end(ending)

    def identified(self, identity: str, subscription: str | None) -> None:
        """Note the identity that the peer sent."""
        assert self.client is not None
        self._note("identified", tls=self._facts(), thumbprint=self.client, trusted=True, identity=identity,
                   subscription=subscription)  # fmt: skip

    def _facts(self) -> dict[str, Any]:
        assert self._tls is not None
        return {"version": self._tls.version, "cipher": self._tls.cipher}

    def write(self, parts: Iterable[bytes]) -> None:
        """Send each part as a TLS record of its own."""
        assert self._tls is not None
        if self._deaf or self._transport.is_closing():
            return
        for part in parts:
            self._tls.send(part)
        self._flush(self._tls)

    def _flush(self, tls: Tls) -> None:
        if (out := tls.outgoing()) and not self._transport.is_closing():
            self._transport.write(out)

    def arm(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` after this time; it replaces the action set before."""
        self._disarm()
        if not self._deaf and not self.gone and self._ending is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def note(self, kind: str, **facts: Any) -> None:
        """Write a journal record."""
        self._port.site.note(kind, time.monotonic_ns(), **facts)

    def _note(self, phase: str, **facts: Any) -> None:
        self.note("connection", phase=phase, conn=self.conn, port=PORT, **facts)

    def end(self, ending: Ending, *, by_peer: bool = False) -> None:
        """Close as the real server does: without close_notify, by FIN, or by RST if bytes are unread."""
        if self._ending is not None or self.gone:
            return
        self._disarm()
        self._ending, self._ended = ending, ("peer" if by_peer else "node", "fin")
        self._transport.close()
        self._timer = asyncio.get_running_loop().call_later(CLOSING_S, self._transport.abort)

    def break_off(self, how: Cut, ending: Ending) -> None:
        """End the connection now, by FIN or RST; after FIN, arriving bytes are read and dropped."""
        if self._ending is not None or self.gone:
            return
        self._ending, self._ended = ending, ("node", "fin" if how == "fin" else "rst")
        self._deaf = True
        self._disarm()
        if how == "reset":
            reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()
        else:
            self._transport.write_eof()
            self._timer = asyncio.get_running_loop().call_later(HALF_CLOSED_S, self._transport.close)

    def retire(self) -> None:
        """Close as soon as no call is in progress."""
        if self.serving is None or not self.admitted:
            self.end(Ending(cause="node-refused"))
        else:
            self.serving.retire()

    def fall_silent(self) -> None:
        """Ignore what arrives and write nothing; the peer has to give up."""
        self._deaf = True
        self._disarm()

    def hold(self) -> None:
        """Stop reading until `release`."""
        self._transport.pause_reading()

    def release(self) -> None:
        """Continue reading."""
        if not self.gone and not self._transport.is_closing():
            self._transport.resume_reading()

    def losing(self) -> asyncio.Future[None]:
        """Return a future that is done when the connection is closed."""
        if self.lost is None:
            self.lost = asyncio.get_running_loop().create_future()
            if self.gone:
                self.lost.set_result(None)
        return self.lost


def _address(pair: Any) -> str:
    return f"{pair[0]}:{pair[1]}" if pair else ""
