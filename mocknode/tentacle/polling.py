"""One simulated polling Tentacle, step by step, for checks and tests.

    async with PollingTentacle(identity, "poll://abc/", "127.0.0.1", 10943, pinned=thumbprint) as tentacle:
        polled = await tentacle.poll()         # one message from the server, answered; NEXT sent, PROCEED read
    tentacle.hello, tentacle.thumbprint        # the ClientHello it sent, the certificate it saw
    await tentacle.ended                       # a future: how the connection ended, whoever ended it

To register it before it connects (any time is good enough: trust is read when the preamble came):

    async with ControlClient(control) as client:
        nodes = await client.nodes()           # each: ["tentacle"] = {"host", "port", "thumbprint"} or None
        await client.register_tentacle("name", identity.thumbprint, "poll://abc/")      # POST /tentacles: all nodes know it
        await client.register_tentacle("other", other.thumbprint, "https://host:10933/")   # a listening one
        await client.tentacles()               # [{"name", "thumbprint", "uri", "style", "nodes": {"node-1": {...}}}]
        answer = await client.call_tentacle("node-1", "name", "health")   # or "capabilities"; "script" with body=...
        await client.unregister_tentacle("name")

A step that takes longer than its limit ends in `TimeoutError`; any other end in one of the errors below.
"""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["new", "tcp", "tls", "greeted", "identified"]
"""How far a connection came: connected, handshake done, preamble and identity sent, MX-SERVER received."""


class TentacleError(Exception):
    """A connection of a simulated Tentacle failed.

    Attributes:
        stage: How far it had come.
    """

    def __init__(self, text: str, stage: Stage) -> None:
        super().__init__(text)
        self.stage = stage


class UnreachableError(TentacleError):
    """No TCP connection: refused, unreachable, no such host."""


class UnexpectedCertificateError(TentacleError):
    """The server presented another certificate than the pinned one; the text is the real Tentacle's.

    Attributes:
        expected, got: Thumbprints.
        subject: Of the certificate that was presented, such as `CN=lb.corp.test`.
    """

    def __init__(self, text: str, *, expected: str, got: str, subject: str) -> None:
        super().__init__(text, "tls")
        self.expected, self.got, self.subject = expected, got, subject


class EndedError(TentacleError):
    """The connection ended while something was still to come; `end` says how."""

    def __init__(self, text: str, stage: Stage, end: "End") -> None:
        super().__init__(text, stage)
        self.end = end


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a connection ended.

    Attributes:
        by: `peer` (balancer or node), or `self`.
        how: `fin`, `rst`, or `timeout` for a kernel that gave up.
        at_ns: Monotonic.
        stage: How far it had come.
    """

    by: Literal["peer", "self"]
    how: Literal["fin", "rst", "timeout"]
    at_ns: int
    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What one poll brought.

    Attributes:
        request: `IService.Method`; None for the null message.
        at_ns: When the message was there, monotonic.
    """

    request: str | None
    at_ns: int


# The class, whose attributes are: identity, subscription, stage, hello (ClientHello, once sent), thumbprint and subject (of
# the certificate it saw), ended (asyncio.Future[End]), local (`host:port`).
#
#   PollingTentacle(identity, subscription, host, port, *,
#       pinned: str | None = None,       None pins nothing: it notes what it saw and goes on
#       sni: str | None = "",            "" = as the real one: the host unless it is an address; None = none
#       alpn: Sequence[str] = (),        the real one offers none; long ones make the ClientHello > 1500 bytes
#       hello_pieces: int = 1,           TCP segments that the ClientHello is cut into, 50 ms apart
#       newline="\n", presents=True,     presents=False: no client certificate
#       services: Services | None = None)
#   await connect(limit_s=60) -> None    `async with` does it; TCP, TLS, preamble, identity, MX-SERVER
#   await poll(limit_s=60) -> Polled     one message; a request is answered by `services`; then NEXT and PROCEED
#   await receive(limit_s) -> Polled     only the message, NEXT not yet sent (for silences); `await advance()` does that
#   half_close(), reset(), pause(), resume()
#   await aclose(end=True)               END, FIN; `async with` does it
#
# Identity (mocknode.tentacle.identity): Identity.generate(common_name="Octopus Tentacle"), identities(directory, count)
# (made once, reused), .thumbprint, .certificate_pem, .key_pem.
