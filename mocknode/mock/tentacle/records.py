"""Journal records of a connection at a node's Tentacle port: up to four `connection` records, joined by `conn`.

All carry `port: "tentacle"` (records of the HTTP listeners have no `port`), `conn` from the same count as HTTP connections,
and a `phase`:

- `open`, at accept: `peer`, `local` (both `host:port`), `tls: null`.
- `hello`, once the first bytes show what the peer speaks: `opening` (one of `client_hello.Opening`), `first_bytes` (hex of at
  most 64), `hello` (`ClientHello.document()`, null unless `opening` is `tls` and the ClientHello could be read).
- `identified`, after the node decided on trust: `tls` (`version`, `cipher`), `thumbprint` of the client's certificate (40
  upper-case hex digits, null without one), `trusted`, and for trusted peers `identity` (`MX-SUBSCRIBER`, `MX-CLIENT`) and
  `subscription` (as sent; null for `MX-CLIENT`).
- `close`: `by` (`peer`, `node`), `how` (`fin`, `rst`), `bytes_in`, `requests` (finished exchanges, null messages included),
  `thumbprint` and `subscription` again, `cause` (one of `Cause`), `log` (the line that a real server logs) and `detail` (the
  exact problem; null without one).

An RPC over Halibut is a record of kind `rpc`, written when it is over: `conn` (null if no connection collected it),
`subscription`, `service`, `method`, `queued_ns`, `sent_ns`, `answered_ns`, `error` (null or text; at most `ERROR_MAX` characters
of the Tentacle's own message), `by` (`polling`, `listening`).
"""

from typing import Final, Literal

from mocknode.mock.halibut import ResponseMessage

ERROR_MAX: Final = 4096
"""Characters of a Tentacle's own message in the journal: enough for the reason in a .NET stack trace; a message may be 16 MiB."""

Cause = Literal[
    # The first bytes are not TLS, or TLS failed.
    "silent", "closed-in-handshake", "plain-text", "plain-http", "proxy-header-v1", "proxy-header-v2", "tls-failed",
    # TLS, but not Halibut.
    "nothing-sent", "page",
    # Halibut, but the node does not trust the peer.
    "no-certificate", "untrusted-certificate", "trust-removed",
    # A trusted conversation.
    "end", "eof", "reset", "timeout", "node-stopped", "node-refused", "fault",
    # Accepted while the node was a blackhole; such a record has only `by`, `how`, `bytes_in`, `requests` and `cause`.
    "held",
    # The peer broke the protocol; the causes are those of `mocknode.mock.halibut.events.Cause`.
    "line-too-long", "bad-line", "identity-empty", "identity-unfinished", "identity-unknown", "identity-unexpected",
    "subscription-missing", "subscription-invalid", "expected-proceed", "expected-next-or-end", "bad-deflate",
    "document-too-large", "bad-document", "wrong-message", "end-for-response", "unexpected-stream",
    "stream-size-mismatch", "too-many-streams", "out-of-turn",
]  # fmt: skip
"""Reasons why a connection at the Tentacle port ends."""


def error_of(response: ResponseMessage) -> str | None:
    """Return the `error` of an `rpc` record."""
    if response.error is None:
        return None
    text = response.error.message
    return text if len(text) <= ERROR_MAX else f"{text[:ERROR_MAX]}... ({len(text)} characters)"
