"""The plain ping, answered where its head was parsed: no ASGI, no task, no exchange, the same bytes and the same journal record.

Probers ask all the time and from many sides, and what a node spends on them is lost to uploads. A request is taken here only if
nothing else concerns it: `GET` of exactly the ping's path, HTTP/1.1, kept alive, without a body, without an attempt id, at a
node that is online or draining with no fault set and no trigger pending, where neither HTTPS is forced nor pings are limited.
Everything else goes the ordinary way, which defines what a ping is: the answer is made of the same document and headers.
"""

import time
from collections.abc import Mapping
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.http.answers import Headers
from mocknode.mock.node.http.ping import PATH, PingState, ping_answer
from mocknode.mock.node.http.request_facts import ConnectionFacts
from mocknode.mock.node.http.request_head import Head
from mocknode.mock.node.http.site import Site

_TARGET: Final = PATH.encode()
# A header that makes a request more than a plain ping. `connection` may say keep-alive, which the parser judges.
_NOT_PLAIN: Final = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"x-mocknode-attempt"})


class QuickPings:
    """The plain pings of one node.

    Args:
        default_headers: What the server puts before every answer's own headers.
    """

    def __init__(self, site: Site, config: NodeConfig, default_headers: Headers) -> None:
        self._site, self._config, self._default_headers = site, config, default_headers
        self._state: PingState | None = None
        self._answer = b""
        self._status = 0

    def takes(self, head: Head, *, tls: bool) -> bool:
        """Return whether a request is a plain ping."""
        return (
            head.target == _TARGET
            and head.method == "GET"
            and head.version == "1.1"
            and head.keep_alive
            and self._site.pings_are_plain
            and not (tls and self._config.web.hsts_s is not None)  # Answers over TLS have one header more.
            and _NOT_PLAIN.isdisjoint(head.named)
        )

    def answer(self, connection: ConnectionFacts, headers: Mapping[bytes, bytes], begun_ns: int) -> bytes:
        """Record the ping in the journal, and return the whole answer."""
        site = self._site
        state = site.ping_state()
        if state != self._state:
            self._state = state
            self._render(state)
        now = time.monotonic_ns()
        site.note(
            "probe", begun_ns, req=site.count_ping(), conn=connection.conn, peer=connection.peer, method="GET", target=PATH,
            http_version="1.1", host=_text(headers.get(b"host")), user_agent=_text(headers.get(b"user-agent")),
            forwarded=bool(headers.get(b"x-forwarded-for") or headers.get(b"forwarded")), status=self._status, answered_ns=now,
            faults=(), refused=None, ended_ns=now, end="complete",
        )  # fmt: skip
        return self._answer

    def _render(self, state: PingState) -> None:
        self._status, headers, body = ping_answer("GET", self._config, state)
        lines = [STATUS_LINE[self._status], *(b"%b: %b\r\n" % pair for pair in (*self._default_headers, *headers))]
        self._answer = b"".join([*lines, b"\r\n", body])


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
