"""What the journal says of one exchange; a probe is a request on the ping path that is not an attempt of ours."""

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mocknode.mock.node.http.exchange import Exchange

# Enough for every header a balancer adds; more would let one client fill the journal.
HEADERS_MAX: Final = 64
HEADER_CHARS_MAX: Final = 512
# A journal is passed around; a real client's credentials are not.
SECRETS: Final = frozenset({b"x-octopus-apikey", b"x-nuget-apikey", b"authorization", b"cookie"})


class Lines:
    """The lines of one exchange, in order: `head` and `body` where they apply, and the last one."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._journal = exchange.node.journal
        self._probe = exchange.ping and exchange.attempt is None
        self._head_written = self._body_written = False

    def head(self) -> None:
        """The head of a request that may last."""
        if not self._probe:
            self._head_written = True
            self._add("head", self._exchange.t_ns, **self._head_facts())

    def body(self) -> None:
        """The body arrived whole: a delivery. Written once."""
        exchange = self._exchange
        if self._body_written or self._probe or not exchange.expects_body:
            return
        self._body_written = True
        self._add("body", time.monotonic_ns(), **self._body_facts())

    def last(self, end: str) -> None:
        """How it ended."""
        exchange, now = self._exchange, time.monotonic_ns()
        if self._probe:
            self._journal.add("probe", exchange.t_ns, **self._probe_facts(), ended_ns=now, end=end)
            return
        head = {} if self._head_written else self._head_facts()
        self._add(
            "end" if self._head_written else "whole",
            exchange.t_ns,
            **head,
            **self._body_facts(),
            complete=exchange.complete or not exchange.expects_body,
            status=exchange.status,
            answered_ns=exchange.answered_ns,
            answer_bytes=exchange.answer_bytes,
            end=end,
            faults=exchange.faults,
            package=exchange.package,
            ended_ns=now,
        )

    def _add(self, phase: str, t_ns: int, **facts: Any) -> None:
        self._journal.add("request", t_ns, phase=phase, req=self._exchange.req, **facts)

    def _head_facts(self) -> dict[str, Any]:
        exchange, protocol = self._exchange, self._exchange.protocol
        return {
            "conn": protocol.conn,
            "peer": protocol.peer,
            "tls": protocol.tls,
            "method": exchange.method,
            "target": exchange.target,
            "http_version": exchange.http_version,
            "attempt": exchange.attempt,
            "traceparent": exchange.header(b"traceparent"),
            "headers": [[_shown(key), _shown_value(key, value)] for key, value in exchange.headers[:HEADERS_MAX]],
        }

    def _body_facts(self) -> dict[str, Any]:
        exchange = self._exchange
        return {
            "received": exchange.received,
            "first_body_ns": exchange.first_body_ns,
            "last_body_ns": exchange.last_body_ns,
            "file_bytes": exchange.file_bytes,
            "sha1": exchange.sha1,
        }

    def _probe_facts(self) -> dict[str, Any]:
        exchange, protocol = self._exchange, self._exchange.protocol
        return {
            "req": exchange.req,
            "conn": protocol.conn,
            "peer": protocol.peer,
            "method": exchange.method,
            "target": exchange.target,
            "http_version": exchange.http_version,
            "host": exchange.header(b"host"),
            "user_agent": exchange.header(b"user-agent"),
            "forwarded": bool(exchange.header(b"x-forwarded-for") or exchange.header(b"forwarded")),
            "status": exchange.status,
            "answered_ns": exchange.answered_ns,
            "faults": exchange.faults,
        }


def _shown(text: bytes) -> str:
    return text.decode("latin-1")[:HEADER_CHARS_MAX]


def _shown_value(name: bytes, value: bytes) -> str:
    return "***" if name in SECRETS else _shown(value)
