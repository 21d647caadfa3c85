"""The plain ping, answered where its head was parsed: no ASGI, no task, no exchange, the same bytes and the same journal line.

Probers ask all the time and from many sides, and what a node spends on them it takes from uploads. A request is taken here only
if nothing wants to look at it: `GET` of exactly the ping's path, HTTP/1.1, kept alive, without a body, not an attempt of ours,
at a node that is online or draining with no fault set and no trigger pending, where neither HTTPS is forced nor pings are
limited. Everything else goes the ordinary way, which is the one that defines what a ping is: the answer is made of the same
document and headers.
"""

import time
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from mocknode.mock.node.http.ping import PATH, ping_answer

if TYPE_CHECKING:
    from mocknode.mock.node.http.protocol import NodeProtocol
    from mocknode.mock.node.node import Node

_TARGET: Final = PATH.encode()
# A header that makes a request more than a plain ping. `connection` may say keep-alive, which the parser judges.
_NOT_PLAIN: Final = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"x-mocknode-attempt"})


class QuickPings:
    """The answers of one node. `default_headers` is what its server puts before every answer's own headers."""

    def __init__(self, node: "Node", default_headers: list[tuple[bytes, bytes]]) -> None:
        self._node, self._default_headers = node, default_headers
        self._of: tuple[bool, float, int] | None = None
        self._answer = b""
        self._status = 0

    def takes(self, protocol: "NodeProtocol") -> dict[bytes, bytes] | None:
        """The headers of the request whose head was just parsed, by name, if it is a plain ping."""
        parser = protocol.parser
        if not (
            protocol.url == _TARGET
            and parser.get_method() == b"GET"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and self._node.pings_are_plain
            and self._same_headers(protocol.tls)
        ):
            return None
        headers = dict(protocol.headers)
        # One that is there twice has a first value, which the ordinary way knows to find.
        return headers if len(headers) == len(protocol.headers) and _NOT_PLAIN.isdisjoint(headers) else None

    def _same_headers(self, tls: bool) -> bool:
        """Whether answers to this connection have the headers of plain ones."""
        return not tls or self._node.config.web.hsts_s is None

    def answer(self, protocol: "NodeProtocol", headers: dict[bytes, bytes], begun_ns: int) -> bytes:
        """The whole answer, for which the journal has its line."""
        node = self._node
        of = (node.draining, node.heartbeat.last_seen_s, node.heartbeat.task_cap)
        if of != self._of:
            self._of = of
            self._render()
        now = time.monotonic_ns()
        node.journal.add(
            "probe", begun_ns, req=node.next_request(), conn=protocol.conn, peer=protocol.peer, method="GET", target=PATH,
            http_version="1.1", host=_text(headers.get(b"host")), user_agent=_text(headers.get(b"user-agent")),
            forwarded=bool(headers.get(b"x-forwarded-for") or headers.get(b"forwarded")), status=self._status, answered_ns=now,
            faults=(), ended_ns=now, end="complete",
        )  # fmt: skip
        node.pings += 1
        return self._answer

    def _render(self) -> None:
        node = self._node
        self._status, headers, body = ping_answer(
            "GET", node.ping_document(), draining=node.draining, head_ping=node.config.web.head_ping
        )
        lines = [STATUS_LINE[self._status], *(b"%b: %b\r\n" % pair for pair in (*self._default_headers, *headers))]
        self._answer = b"".join([*lines, b"\r\n", body])


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
