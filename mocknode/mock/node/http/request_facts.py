"""The facts of one request, as the journal, faults and resources read them, and of the connection it came over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from mocknode.mock.node.faults.selection import Candidate
from mocknode.mock.node.http.ping import is_ping
from mocknode.mock.node.http.proxies import client_address, is_trusted
from mocknode.mock.node.http.request_head import Head, Refusal
from mocknode.mock.node.web import Network

ATTEMPT_QUERY: Final = "mocknode-id"
"""Query parameter that stands for `X-Mocknode-Attempt` where that header did not arrive."""

UPLOAD_ENDS: Final = ("/packages/raw", "/nuget/packages", "/delta")
"""Path suffixes of the upload endpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """One connection of a client.

    Attributes:
        conn: Its number at this node.
        peer: `host:port` of the TCP peer; `host` is the first part.
        tls: Whether it is encrypted.
    """

    conn: int
    peer: str
    host: str
    tls: bool


class RequestFacts:
    """One request: its head, how far its body has come, and what was answered.

    Attributes:
        req: Its number at this node.
        t_ns: When its first byte came.
        attempt: Id of the client's attempt; None without one.
        ping: Whether it is on the ping path.
        length: Declared length of the body; None when it is chunked or there is none.
        expects_body: Whether a body follows the head.
        upload: Whether that body is a package.
        received: Body bytes so far, including those that no resource has read.
        complete: Whether the whole body has arrived.
        file_bytes, sha1, package: Set by an upload; see the journal.
        faults: Ids of the faults that acted on it.
        refused: Why the web server refused it, before or beside the application.
    """

    __slots__ = (
        "_first", "answer_bytes", "answered_ns", "attempt", "complete", "connection", "expects_body", "faults", "file_bytes",
        "first_body_ns", "headers", "http_version", "last_body_ns", "length", "method", "package", "ping", "received",
        "refused", "req", "sha1", "status", "t_ns", "target", "upload",
    )  # fmt: skip

    def __init__(
        self,
        connection: ConnectionFacts,
        head: Head,
        *,
        req: int,
        t_ns: int,
    ) -> None:
        self.connection, self.req, self.t_ns, self.ping = connection, req, t_ns, is_ping(head.path)
        self.method, self.http_version, self.headers = head.method, head.version, head.headers
        self.target = target = head.target.decode("latin-1")
        self._first = head.named
        # Some balancers remove headers that they do not know, so the query may carry the id instead.
        self.attempt = self.header(b"x-mocknode-attempt") or attempt_in(target)
        self.length = head.length
        self.expects_body = head.chunked or bool(self.length)
        upload_path = head.path.rstrip("/").lower().endswith(UPLOAD_ENDS)
        self.upload = self.expects_body and head.method in ("POST", "PUT") and upload_path
        self.received = 0
        self.first_body_ns: int | None = None
        self.last_body_ns: int | None = None
        self.complete = False
        self.file_bytes: int | None = None
        self.sha1: str | None = None
        self.package: dict[str, Any] | None = None
        self.status: int | None = None
        self.answered_ns: int | None = None
        self.answer_bytes = 0
        self.faults: list[str] = []
        self.refused: Refusal | None = None

    def header(self, name: bytes) -> str | None:
        """Return the first value of a request header, by lower-case name."""
        value = self._first.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def candidate(self) -> Candidate:
        """What the selection of faults looks at."""
        return Candidate(ping=self.ping, attempt=self.attempt, has_body=self.expects_body, length=self.length)

    def client(self, trusted: Sequence[Network]) -> str:
        """Return the client's address, looking through trusted proxies."""
        lines = [value.decode("latin-1") for key, value in self.headers if key == b"x-forwarded-for"]
        return client_address(self.connection.host, lines, trusted)

    def secure(self, trusted: Sequence[Network]) -> bool:
        """Return whether the client speaks TLS, to this node or, according to a trusted proxy, to that proxy."""
        if self.connection.tls:
            return True
        said = (self.header(b"x-forwarded-proto") or "").partition(",")[0].strip().lower()
        return said == "https" and is_trusted(self.connection.host, trusted)


def attempt_in(target: str) -> str | None:
    """Return the attempt id in a request target's query, `mocknode-id`; None without one."""
    _, question, query = target.partition("?")
    if not question or ATTEMPT_QUERY not in query:
        return None
    return dict(parse_qsl(query)).get(ATTEMPT_QUERY)
