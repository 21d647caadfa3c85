"""One simulated polling Tentacle, step by step, for checks and tests.

    async with PollingTentacle(identity, "poll://abc/", "127.0.0.1", 10943, pinned=thumbprint) as tentacle:
        polled = await tentacle.poll()         # one message from the server, answered; NEXT sent, PROCEED read
    tentacle.hello, tentacle.thumbprint        # the ClientHello it sent, the certificate it saw
    await tentacle.ended                       # a future: how the connection ended, whoever ended it

Register it at any time before or after it connects, as the node reads trust after the preamble:

    async with ControlClient(control) as client:
        nodes = await client.nodes()           # each: ["tentacle"] = {"host", "port", "thumbprint"} or None
        await client.register_tentacle("name", identity.thumbprint, "poll://abc/")      # POST /tentacles: all nodes know it
        await client.register_tentacle("other", other.thumbprint, "https://host:10933/")   # a listening one
        await client.tentacles()               # [{"name", "thumbprint", "uri", "style", "nodes": {"node-1": {...}}}]
        answer = await client.call_tentacle("node-1", "name", "health")   # or "capabilities"; "script" with body=...
        await client.unregister_tentacle("name")

A step that takes longer than its limit raises `TimeoutError`; any other failure raises one of the errors of `initiating`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from OpenSSL import SSL

from mocknode.mock.halibut import Connection, events
from mocknode.mock.halibut.lines import Newline
from mocknode.mock.tentacle.handshake_queue import HandshakeQueue
from mocknode.mock.tentacle.identity import Identity
from mocknode.mock.tentacle.initiating import (
    CONNECT_LIMIT_S,
    HEARTBEAT_LIMIT_S,
    End,
    EndedError,
    Initiator,
    Stage,
    TentacleError,
    UnexpectedCertificateError,
    UnreachableError,
)
from mocknode.mock.tentacle.services import Services
from mocknode.mock.tentacle.tls import Credential

__all__ = [
    "CONNECT_LIMIT_S", "End", "EndedError", "Polled", "PollingTentacle", "Stage", "TentacleError",
    "UnexpectedCertificateError", "UnreachableError",
]  # fmt: skip

REQUEST_LIMIT_S: Final = 60.0
"""`TcpClientReceiveRequestTimeoutForPolling`: after this long without a message a Tentacle reconnects."""
_SERVICES: Final = Services()


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """The result of one poll.

    Attributes:
        request: `IService.Method`; None for the null message.
        at_ns: Monotonic time at which the message was complete.
    """

    request: str | None
    at_ns: int


class PollingTentacle(Initiator):
    """One Tentacle polling one address; `Initiator` describes the other arguments and attributes.

    Args:
        subscription: The queue that it polls, such as `poll://abc/`.
        pinned: Thumbprint that the server must have.
        services: Its answers.
    """

    def __init__(
        self, identity: Identity | Credential | None, subscription: str, host: str, port: int, *,
        pinned: str | None = None, sni: str | None = "", alpn: Sequence[str] = (), hello_pieces: int = 1,
        newline: Newline = "\n", services: Services = _SERVICES, context: SSL.Context | None = None,
        handshakes: HandshakeQueue | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            identity, Connection.poll(subscription, newline), host, port,
            pinned=pinned, sni=sni, alpn=alpn, hello_pieces=hello_pieces, context=context,
            handshakes=handshakes,
        )  # fmt: skip
        self.subscription = subscription
        self._services = services

    async def poll(self, limit_s: float = REQUEST_LIMIT_S) -> Polled:
        """Receive one message, answer it if it is a request, then exchange NEXT and PROCEED.

        Raises:
            EndedError, TimeoutError: the connection ended, or a step took too long.
        """
        polled = await self.receive(limit_s)
        await self.advance()
        return polled

    async def receive(self, limit_s: float = REQUEST_LIMIT_S) -> Polled:
        """Receive the next message and answer it if it is a request.

        Raises:
            EndedError, TimeoutError: the connection ended, or no message came in time.
        """
        event = await self._event(limit_s, "a message")
        at_ns = time.monotonic_ns()
        if not isinstance(event, events.RequestReceived):
            return Polled(request=None, at_ns=at_ns)
        response = await self._services.answer(event.request, event.streams)
        if self.ended.done():
            raise self._ended_error("a response was sent")
        self._write(self._halibut.send_response(response))
        return Polled(request=f"{event.request.service}.{event.request.method}", at_ns=at_ns)

    async def advance(self, limit_s: float = HEARTBEAT_LIMIT_S) -> None:
        """Send NEXT and wait for PROCEED.

        Raises:
            EndedError, TimeoutError: the connection ended, or PROCEED did not come in time.
        """
        self._write(self._halibut.send_next())
        await self._event(limit_s, "PROCEED")
