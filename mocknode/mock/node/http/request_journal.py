"""The journal records of one request. A probe is a request on the ping path that carries no attempt id."""

import time
from collections.abc import Callable
from typing import Any, Final

from mocknode.mock.node.http.request_facts import RequestFacts

# Enough for every header a balancer adds; more would let one client fill the journal.
HEADERS_MAX: Final = 64
HEADER_CHARS_MAX: Final = 512
# A journal is passed around; a real client's credentials are not.
SECRETS: Final = frozenset({b"x-octopus-apikey", b"x-nuget-apikey", b"authorization", b"cookie"})


class RequestJournal:
    """The records of one request, in order: `head` and `body` where they apply, and the last one.

    Args:
        note: Writes a record.
    """

    def __init__(self, note: Callable[..., None], facts: RequestFacts) -> None:
        self._note, self._facts = note, facts
        self._probe = facts.ping and facts.attempt is None
        self._head_written = self._body_written = False

    def head(self) -> None:
        """Record the head of a request that may last."""
        if not self._probe:
            self._head_written = True
            self._add("head", self._facts.t_ns, **self._head_facts())

    def body(self) -> None:
        """Record, once, that the whole body arrived: a delivery."""
        if self._body_written or self._probe or not self._facts.expects_body:
            return
        self._body_written = True
        self._add("body", time.monotonic_ns(), **self._body_facts())

    def last(self, end: str) -> None:
        """Record how the request ended."""
        facts, now = self._facts, time.monotonic_ns()
        if self._probe:
            self._note("probe", facts.t_ns, **self._probe_facts(), ended_ns=now, end=end)
            return
        head = {} if self._head_written else self._head_facts()
        self._add(
            "end" if self._head_written else "whole",
            facts.t_ns,
            **head,
            **self._body_facts(),
            complete=facts.complete or not facts.expects_body,
            status=facts.status,
            answered_ns=facts.answered_ns,
            answer_bytes=facts.answer_bytes,
            end=end,
            faults=facts.faults,
            refused=facts.refused,
            package=facts.package,
            ended_ns=now,
        )

    def _add(self, phase: str, t_ns: int, **facts: Any) -> None:
        self._note("request", t_ns, phase=phase, req=self._facts.req, **facts)

    def _head_facts(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "conn": facts.connection.conn,
            "peer": facts.connection.peer,
            "tls": facts.connection.tls,
            "method": facts.method,
            "target": facts.target,
            "http_version": facts.http_version,
            "attempt": facts.attempt,
            "traceparent": facts.header(b"traceparent"),
            "headers": [[_shown(key), _shown_value(key, value)] for key, value in facts.headers[:HEADERS_MAX]],
        }

    def _body_facts(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "received": facts.received,
            "first_body_ns": facts.first_body_ns,
            "last_body_ns": facts.last_body_ns,
            "file_bytes": facts.file_bytes,
            "sha1": facts.sha1,
        }

    def _probe_facts(self) -> dict[str, Any]:
        facts = self._facts
        return {
            "req": facts.req,
            "conn": facts.connection.conn,
            "peer": facts.connection.peer,
            "method": facts.method,
            "target": facts.target,
            "http_version": facts.http_version,
            "host": facts.header(b"host"),
            "user_agent": facts.header(b"user-agent"),
            "forwarded": bool(facts.header(b"x-forwarded-for") or facts.header(b"forwarded")),
            "status": facts.status,
            "answered_ns": facts.answered_ns,
            "faults": facts.faults,
            "refused": facts.refused,
        }


def _shown(text: bytes) -> str:
    return text.decode("latin-1")[:HEADER_CHARS_MAX]


def _shown_value(name: bytes, value: bytes) -> str:
    return "***" if name in SECRETS else _shown(value)
