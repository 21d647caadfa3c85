"""What a node's journal holds of a connection at its Tentacle port: up to four `connection` records, joined by `conn`.

All carry `port: "tentacle"` (records of the HTTP listeners have no `port`), `conn` from the same count as HTTP connections,
and a `phase`:

- `open`, at accept: `peer`, `local` (both `host:port`), `tls: null`.
- `hello`, once the first bytes tell what they are: `opening` (one of `client_hello.Opening`), `first_bytes` (hex of at most
  64), `hello` (`ClientHello.document()`, null unless `opening` is `tls` and the ClientHello could be read).
- `identified`, when the peer was judged after its preamble: `tls` (`version`, `cipher`), `thumbprint` of the client's
  certificate (40 upper-case hex digits, null without one), `trusted`, and of those that are trusted `identity`
  (`MX-SUBSCRIBER`, `MX-CLIENT`) and `subscription` (as sent; null for `MX-CLIENT`).
- `close`: `by` (`peer`, `node`), `how` (`fin`, `rst`), `bytes_in`, `requests` (exchanges that were finished, null messages
  included), `thumbprint`, `subscription` once more, `cause` (one of `Cause`), `log`, the line that a real server writes, and
  `detail`, what exactly was wrong (null where nothing was).

An RPC over Halibut is a record of kind `rpc`, written when it is over: `conn` (null while nothing collected it), `subscription`,
`service`, `method`, `queued_ns`, `sent_ns`, `answered_ns`, `error` (null or text; of the Tentacle's own at most `ERROR_MAX`
characters), `by` (`polling`, `listening`).
"""

from typing import Final, Literal

from mocknode.mock.halibut import ResponseMessage

ERROR_MAX: Final = 4096
"""Characters of a Tentacle's own words in the journal: a stack trace of .NET has its reason in them, and a message may be 16 MiB."""

Cause = Literal[
    # Nothing that is TLS came.
    "silent", "closed-in-handshake", "plain-text", "plain-http", "proxy-header-v1", "proxy-header-v2", "tls-failed",
    # TLS, and no Halibut.
    "nothing-sent", "page",
    # Halibut, and nobody whom the node trusts.
    "no-certificate", "untrusted-certificate", "trust-removed",
    # A conversation that was over in order, or not.
    "end", "eof", "reset", "timeout", "node-stopped", "node-refused", "fault",
    # Accepted while the node was a blackhole: its record has `by`, `how`, `bytes_in`, `requests` and `cause` only.
    "held",
    # The peer broke the protocol: as `mocknode.mock.halibut.events.Cause` has it.
    "line-too-long", "bad-line", "identity-empty", "identity-unfinished", "identity-unknown", "identity-unexpected",
    "subscription-missing", "subscription-invalid", "expected-proceed", "expected-next-or-end", "bad-deflate",
    "document-too-large", "bad-document", "wrong-message", "end-for-response", "unexpected-stream",
    "stream-size-mismatch", "too-many-streams", "out-of-turn",
]  # fmt: skip
"""Why a connection at the Tentacle port ended."""


def error_of(response: ResponseMessage) -> str | None:
    """What an `rpc` record says of an answer."""
    if response.error is None:
        return None
    text = response.error.message
    return text if len(text) <= ERROR_MAX else f"{text[:ERROR_MAX]}... ({len(text)} characters)"
