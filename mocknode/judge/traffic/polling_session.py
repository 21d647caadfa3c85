"""Polling connections of a check: a simulated Tentacle that polls one address, and the `Session` that it recorded.

The session is recorded whatever became of the connection. These Tentacles accept any thumbprint: one that refused a wrong
certificate at once would never show what else is wrong behind it.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from OpenSSL import SSL

from mocknode.judge.record.history import Session
from mocknode.mock.halibut import RequestMessage, ResponseMessage
from mocknode.mock.halibut.events import DataStream
from mocknode.mock.tentacle.identity import Identity
from mocknode.mock.tentacle.polling_tentacle import (
    CONNECT_LIMIT_S,
    REQUEST_LIMIT_S,
    PollingTentacle,
    TentacleError,
    UnreachableError,
)
from mocknode.mock.tentacle.services import Services
from mocknode.mock.tentacle.tls import Credential, client_context

OPEN_S_MAX: Final = 10.0
"""How long a connection may take until the server has identified itself. TCP, TLS and two lines take milliseconds; a connection that
a balancer keeps waiting longer than this does not count as connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingAddress:
    """Where one node is polled through the balancer.

    Attributes:
        sni: Server name to send. Empty sends the host unless that is an address, as real Tentacles do; None sends none.
    """

    node: str
    host: str
    port: int
    sni: str | None = ""

    @property
    def address(self) -> str:
        """Return `host:port`, with an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedServices(Services):
    """Services that note when a call arrived, even if nobody is left to receive the answer.

    Attributes:
        called: Set when the first call has arrived.
        came_ns: When each call arrived.
    """

    called: asyncio.Event = field(default_factory=asyncio.Event)
    came_ns: list[int] = field(default_factory=list)

    async def answer(self, request: RequestMessage, streams: Sequence[DataStream]) -> ResponseMessage:
        """Answer as a Tentacle does, after `takes_s`."""
        self.came_ns.append(time.monotonic_ns())
        self.called.set()
        # Not super(): `slots=True` replaces the class, and super() would still refer to the first one.
        return await Services.answer(self, request, streams)


@dataclass(frozen=True, slots=True)
class Poller:
    """The Tentacle that polls: one certificate and one set of TLS settings for all connections of a run."""

    identity: Identity
    credential: Credential
    context: SSL.Context

    @classmethod
    def of(cls, identity: Identity) -> "Poller":
        """Return a poller with this certificate."""
        return cls(identity, Credential.of(identity), client_context())

    def session(
        self, place: PollingAddress, check: str, variant: str = "", *, sni: str | None = "", alpn: Sequence[str] = (),
        pieces: int = 1, services: NotedServices | None = None, hello: bool = False, id_: str | None = None,
    ) -> "PollingSession":  # fmt: skip
        """Return a connection that is still to be opened.

        Args:
            sni: Replaces the place's own; empty keeps that.
            pieces: Number of TCP segments in which the ClientHello is sent.
            hello: Whether to record the ClientHello.
        """
        return PollingSession(
            self, place, check, variant, sni if sni != "" else place.sni, alpn, pieces, services, hello, id_
        )


@dataclass(slots=True)
class PollingSession:
    """One polling connection.

    Attributes:
        id: Unique; its subscription is `poll://<id>/`.
    """

    poller: Poller
    place: PollingAddress
    check: str
    variant: str
    sni: str | None
    alpn: Sequence[str]
    pieces: int
    services: NotedServices | None
    keep_hello: bool
    given_id: str | None
    id: str = ""
    marks: dict[str, int] = field(default_factory=dict)
    polls: list[int] = field(default_factory=list)
    _tentacle: PollingTentacle | None = None
    _started_ns: int = 0
    _identified_ns: int | None = None
    _error: str | None = None
    _how: str | None = None
    _polling: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.id = self.given_id or f"mocknode-{secrets.token_hex(8)}"

    @property
    def subscription(self) -> str:
        """The subscription whose queue it polls."""
        return f"poll://{self.id}/"

    @property
    def ready(self) -> bool:
        """Whether the server has identified itself and nobody has ended the connection."""
        return self._identified_ns is not None and self._tentacle is not None and not self._tentacle.ended.done()

    @property
    def ended(self) -> "asyncio.Future[Any]":
        """Done when the connection is over, whoever ended it. Available once it was opened."""
        assert self._tentacle is not None
        return self._tentacle.ended

    async def open(self, limit_s: float = OPEN_S_MAX) -> bool:
        """Open the connection, and return whether the server identified itself within `limit_s`. Failures are recorded."""
        options: dict[str, Any] = {} if self.services is None else {"services": self.services}
        tentacle = PollingTentacle(
            self.poller.credential, self.subscription, self.place.host, self.place.port, sni=self.sni, alpn=self.alpn,
            hello_pieces=self.pieces, context=self.poller.context, **options,
        )  # fmt: skip
        self._tentacle, self._started_ns = tentacle, time.monotonic_ns()
        try:
            async with asyncio.timeout(limit_s):
                await tentacle.connect(CONNECT_LIMIT_S)
            self._identified_ns = time.monotonic_ns()
        except UnreachableError as exc:
            self._how, self._error = "refused", str(exc)
        except TimeoutError:
            self._how, self._error = "silence", f"the server did not identify itself within {limit_s:g} s"
        except TentacleError as exc:
            self._error = str(exc)
        return self.ready

    def keep_polling(self) -> None:
        """Poll until the connection is over, and answer messages as a Tentacle does."""
        self._polling = asyncio.create_task(self._poll())

    async def poll(self, limit_s: float = REQUEST_LIMIT_S) -> bool:
        """Wait for one message, answer it, and return whether the server went on.

        A call adds the marks `answered` and `proceeded`. The null message, which means that there is no call, adds none.
        """
        assert self._tentacle is not None
        try:
            polled = await self._tentacle.receive(limit_s)
            self.polls.append(polled.at_ns)
            answered_ns = time.monotonic_ns()
            if polled.request is not None:
                self.marks["answered"] = answered_ns
            await self._tentacle.advance()
            if polled.request is not None:
                self.marks["proceeded"] = time.monotonic_ns()
        except (TentacleError, TimeoutError) as exc:
            self._error = str(exc)
            return False
        return True

    def half_close(self) -> None:
        """Stop sending, and go on reading; adds the mark `half-closed`."""
        assert self._tentacle is not None
        self._tentacle.half_close()
        self.marks["half-closed"] = time.monotonic_ns()

    async def close(self) -> Session:
        """Close the connection, and return what it saw."""
        tentacle = self._tentacle
        assert tentacle is not None
        ended = tentacle.ended.result() if tentacle.ended.done() else None
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await tentacle.aclose(end=ended is None and "half-closed" not in self.marks)
        last = ended or (tentacle.ended.result() if tentacle.ended.done() else None)
        by, how, at_ns = ("nobody", "refused", time.monotonic_ns()) if last is None else (last.by, last.how, last.at_ns)
        if self.services is not None and self.services.came_ns:
            self.marks["message"] = self.services.came_ns[0]
        if self._how is not None:
            by, how = "nobody", self._how
        return Session(
            id=self.id,
            check=self.check,
            variant=self.variant,
            node=self.place.node,
            address=self.place.address,
            sni=(tentacle.hello.sni if tentacle.hello is not None else None),
            source=tentacle.local,
            started_ns=self._started_ns,
            identified_ns=self._identified_ns,
            polls=tuple(self.polls),
            ended_ns=at_ns,
            by=by,
            how=how,
            stage=tentacle.stage,
            server=tentacle.thumbprint,
            subject=tentacle.subject,
            client=self.poller.identity.thumbprint,
            hello=tentacle.hello.document() if self.keep_hello and tentacle.hello is not None else None,
            marks=dict(self.marks),
            error=self._error,
        )

    async def _poll(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while await self.poll():
                pass
