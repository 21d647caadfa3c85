"""Reasons why a connection at the Tentacle port ends, with the line that a real server logs.

Source of the log lines: `SecureListener.cs` and `MessageExchangeProtocol.cs` of Halibut.
"""

from dataclasses import dataclass
from typing import Final, get_args

from mocknode.mock.halibut import events
from mocknode.mock.tentacle.client_hello import Opening
from mocknode.mock.tentacle.records import Cause

EMPTY_REQUEST: Final = "Ignoring empty request"
BROWSER: Final = "Appears to be a web browser, sending friendly HTML response"
NOT_IDENTIFIED: Final = "Remote failed to identify itself."
NO_MESSAGES: Final = (
    "No messages received from client for timeout period. This may be due to network problems. "
    "Connection will be re-opened when required."
)
_IDENTITY: Final = frozenset(
    cause for cause in get_args(events.Cause) if cause.startswith(("identity", "subscription"))
)
_NOT_TLS: Final[dict[Opening, Cause]] = {
    "plain": "plain-text",
    "http": "plain-http",
    "proxy-v1": "proxy-header-v1",
    "proxy-v2": "proxy-header-v2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The reason why a connection ended.

    Attributes:
        log: Log line of the real server; None where it writes none.
        detail: The exact problem.
    """

    cause: Cause
    log: str | None = None
    detail: str | None = None


def not_tls(opening: Opening, peer: str) -> Ending:
    """Return the ending of a connection whose first bytes are not TLS."""
    return Ending(cause=_NOT_TLS[opening], log=unauthenticated(peer))


def unauthenticated(peer: str) -> str:
    """Return the log line of a failed or missing TLS handshake."""
    return f"Client failed authentication: {peer}"


def socket_error(peer: str) -> str:
    """Return the log line of a broken connection."""
    return f"Socket IO exception: {peer}"


def unhandled(peer: str) -> str:
    """Return the log line of every error that the real server has no message for."""
    return f"Unhandled error when handling request from client: {peer}"


def no_certificate(peer: str) -> Ending:
    """Return the ending of a Halibut peer without a certificate."""
    return Ending(
        cause="no-certificate",
        log=f"A client at {peer} connected, and attempted a message exchange, but did not present a client certificate",
    )


def untrusted(peer: str, thumbprint: str) -> Ending:
    """Return the ending of a Halibut peer whose certificate is not registered."""
    return Ending(
        cause="untrusted-certificate",
        log=f"A client at {peer} connected, and attempted a message exchange, but it presented a client certificate with "
        f"the thumbprint '{thumbprint}' which is not in the list of thumbprints that we trust",
    )


def broken(failed: events.Failed, peer: str) -> Ending:
    """Return the ending of a peer that broke the protocol."""
    if failed.cause == "eof":
        return Ending(cause="eof", log=unhandled(peer), detail=failed.text)
    log = NOT_IDENTIFIED if failed.cause in _IDENTITY else unhandled(peer)
    return Ending(cause=failed.cause, log=log, detail=failed.text)
