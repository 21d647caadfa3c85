"""Calls from a server to a Tentacle, through the queue that it polls or by dialling it, and the health check.

A `Caller` reaches one Tentacle in one way. Limits and retries are those of a fresh server's machine policy.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from OpenSSL import SSL

from mocknode.mock.halibut import Connection, RequestMessage, ResponseMessage, events
from mocknode.mock.tentacle import calls
from mocknode.mock.tentacle.addresses import host_and_port
from mocknode.mock.tentacle.initiating import (
    EndedError,
    Initiator,
    TentacleError,
    UnexpectedCertificateError,
)
from mocknode.mock.tentacle.queues import Call, CallFailedError, Queues
from mocknode.mock.tentacle.records import error_of
from mocknode.mock.tentacle.tls import Credential

COLLECT_LIMIT_S: Final = 120.0
"""`PollingRequestQueueTimeout`: how long a Tentacle may take to collect a request."""
RESPONSE_LIMIT_S: Final = 300.0
"""`TcpClientReceiveResponseTimeout`: how long a call may run."""
TRIES: Final = 5
"""`RetryCountLimit`: attempts to connect to a listening Tentacle, before any byte of the request has left."""
TRY_APART_S: Final = 1.0
"""`RetryListeningSleepInterval`."""
_PAUSE_S: Final = 0.3
_PAUSE_LIMIT_S: Final = 5.0
"""First and longest pause between two status requests for a script."""
_NOT_COLLECTED: Final = (
    "A request was sent to a polling endpoint, but the polling endpoint did not collect the request within the allowed time "
    "({}), so the request timed out."
)

Note = Callable[..., None]


class Caller(Protocol):
    """A way to call one Tentacle.

    Attributes:
        growth: Factor by which the pauses between two status requests grow.
    """

    growth: float

    async def call(self, call: tuple[str, str, tuple[Any, ...]]) -> ResponseMessage:
        """Call the Tentacle and return its response.

        Raises:
            CallFailedError: no response came.
        """


class Numbers:
    """Numbers calls, as the id of a request contains the number."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = itertools.count(1)

    def request(self, uri: str, thumbprint: str, call: tuple[str, str, tuple[Any, ...]]) -> RequestMessage:
        """Return the message of a call."""
        return calls.request_to(uri, thumbprint, call, next(self._numbers))


class QueueCaller:
    """Calls a polling Tentacle through its queue."""

    growth = 1.4

    def __init__(
        self,
        queues: Queues,
        uri: str,
        thumbprint: str,
        numbers: Numbers,
        note: Note,
        collect_limit_s: float = COLLECT_LIMIT_S,
    ) -> None:
        self._queues, self._uri, self._thumbprint, self._numbers, self._note = queues, uri, thumbprint, numbers, note
        self._limit_s = collect_limit_s

    async def call(self, call: tuple[str, str, tuple[Any, ...]]) -> ResponseMessage:
        """Queue the call and wait; the connection that sends it limits how long it may run."""
        queued = Call(self._numbers.request(self._uri, self._thumbprint, call))
        self._queues.put(self._uri, queued)
        try:
            await asyncio.wait([queued.response], timeout=self._limit_s)
            if queued.sent_ns is None:
                text = _NOT_COLLECTED.format(time.strftime("%H:%M:%S", time.gmtime(self._limit_s)))
                self._note(
                    "rpc", conn=None, subscription=self._uri, service=call[0], method=call[1], queued_ns=queued.queued_ns,
                    sent_ns=None, answered_ns=None, error=text, by="polling",
                )  # fmt: skip
                raise CallFailedError(text, connecting=True)
            return await queued.response
        finally:
            self._queues.withdraw(self._uri, queued)
            queued.response.cancel()


class DialledCaller(Initiator):
    """Calls a listening Tentacle over one connection; made by `dialled`."""

    growth = 1.15

    def __init__(
        self, credential: Credential, context: SSL.Context, uri: str, thumbprint: str, numbers: Numbers, note: Note
    ) -> None:
        host, port = host_and_port(uri)
        super().__init__(credential, Connection.dial(), host, port, pinned=thumbprint, context=context)
        self._uri, self._numbers, self._note = uri, numbers, note
        self._used = False

    async def call(self, call: tuple[str, str, tuple[Any, ...]]) -> ResponseMessage:
        """Send the call and wait for its response."""
        queued_ns = time.monotonic_ns()
        sent_ns, error = None, None
        try:
            if self._used:
                self._write(self._halibut.send_next())
                await self._event(60.0, "PROCEED")
            self._used = True
            self._write(self._halibut.send_request(self._numbers.request(self._uri, str(self.thumbprint), call)))
            sent_ns = time.monotonic_ns()
            event = await self._event(RESPONSE_LIMIT_S, "a response")
            assert isinstance(event, events.ResponseReceived)
        except (TentacleError, TimeoutError) as exc:
            error = f"An error occurred when sending a request to '{self._uri}', after the request began: {exc}"
            raise CallFailedError(error, connecting=False) from exc
        else:
            error = error_of(event.response)
            return event.response
        finally:
            self._note(
                "rpc", conn=None, subscription=self._uri, service=call[0], method=call[1], queued_ns=queued_ns, sent_ns=sent_ns,
                answered_ns=None if sent_ns is None else time.monotonic_ns(), error=error, by="listening",
            )  # fmt: skip


@asynccontextmanager
async def dialled(make: Callable[[], DialledCaller], uri: str) -> "AsyncIterator[DialledCaller]":
    """Connect to a listening Tentacle, in several attempts, and close with END when the block ends.

    Raises:
        CallFailedError: no attempt succeeded.
    """
    caller = await _connected(make, uri)
    try:
        yield caller
    finally:
        await caller.aclose()


async def _connected(make: Callable[[], DialledCaller], uri: str) -> DialledCaller:
    attempt = 0
    while True:
        caller, attempt = make(), attempt + 1
        try:
            await caller.connect()
            return caller
        except (TentacleError, TimeoutError) as exc:
            await caller.aclose(end=False)
            # No retry after a wrong certificate, or when the Tentacle closes after the preamble, as it would do so again.
            final = isinstance(exc, UnexpectedCertificateError) or (
                isinstance(exc, EndedError) and exc.stage == "greeted"
            )
            if final or attempt == TRIES:
                text = f"An error occurred when sending a request to '{uri}', before the request could begin: {exc}"
                raise CallFailedError(text, connecting=True) from exc
            await asyncio.sleep(TRY_APART_S)


async def capabilities(caller: Caller) -> list[str]:
    """Return the capabilities of a Tentacle.

    Raises:
        CallFailedError: no response came, or an error.
    """
    result = _result(await caller.call(calls.get_capabilities()))
    return [str(name) for name in result["SupportedCapabilities"]]


async def script(caller: Caller, body: str) -> dict[str, Any]:
    """Run a script to its end and return its exit code and output.

    Raises:
        CallFailedError: no response came, or an error.
    """
    ticket = uuid.uuid4().hex
    status = _result(await caller.call(calls.start_script(ticket, body)))
    logs, pause_s = list(status["Logs"]), _PAUSE_S
    while status["State"] != calls.COMPLETE:
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * caller.growth, _PAUSE_LIMIT_S)
        status = _result(await caller.call(calls.get_status(ticket, int(status["NextLogSequence"]))))
        logs += status["Logs"]
    await caller.call(calls.complete_script(ticket))
    return {"exit_code": int(status["ExitCode"]), "output": [str(line["Text"]) for line in logs]}


async def health(caller: Caller) -> dict[str, Any]:
    """Check a Tentacle's health: ask for its capabilities, then run a script that prints its version.

    Raises:
        CallFailedError: no response came, or an error.
    """
    found = await capabilities(caller)
    ran = await script(caller, calls.HEALTH_SCRIPT)
    healthy = ran["exit_code"] == 0 and bool(ran["output"])
    return {"healthy": healthy, "version": (ran["output"] or [None])[0], "capabilities": found, **ran}


def _result(response: ResponseMessage) -> Any:
    if response.error is not None:
        raise CallFailedError(response.error.message, connecting=False)
    return response.result
