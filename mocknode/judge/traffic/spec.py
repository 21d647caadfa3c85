"""What a client is asked to send, and the bytes of a request's head. Does no I/O."""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import mocknode
from mocknode.judge.traffic.framing import ONE_SEGMENT, Framing, Segment, plain
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.pace import AbortAt, Pace, Step, plan
from mocknode.judge.traffic.package import Body, new_attempt_id

ATTEMPT_HEADER = "X-Mocknode-Attempt"
ATTEMPT_QUERY = "mocknode-id"
"""Query parameter that nodes read when the header did not arrive."""
USER_AGENT = f"mocknode/{mocknode.__version__}"

REQUEST_TIMEOUT_S = 30.0
"""Default timeout of a request with a small body: longer than the portal's own 20 s, short enough not to delay a run."""

CONTINUE_WAIT_S = 1.0
"""How long a client that sent `Expect: 100-continue` waits before it sends the body anyway, as curl does."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSpec:
    """One request, down to its bytes.

    Attributes:
        check, variant: The check that sends it, and its variant.
        target: Path and query, sent unchanged.
        headers: Sent after ours, in order; a name that we use too replaces ours.
        framing: How the body is framed. Over HTTP/2 chunks mean that Content-Length is left out.
        abort: Where to break off on purpose.
        timeout_s: From connecting to the last byte of the answer; then the client resets.
        attempt: Id of the attempt; made with the spec, unless the body's package has one.
        http_version: `1.0` changes the request line only; the connection decides on HTTP/2.
    """

    check: str
    variant: str = ""
    method: str = "GET"
    target: str
    headers: Headers = ()
    body: Body | None = None
    framing: Framing = field(default_factory=Framing.length)
    pace: Pace | None = None
    abort: AbortAt | None = None
    expect_continue: bool = False
    continue_wait_s: float = CONTINUE_WAIT_S
    timeout_s: float = REQUEST_TIMEOUT_S
    attempt: str = ""
    http_version: Literal["1.0", "1.1"] = "1.1"

    def __post_init__(self) -> None:
        for text in (self.method, self.target, *(part for item in self.headers for part in item)):
            if "\r" in text or "\n" in text or not text.isprintable():
                raise ValueError(f"a request head has printable characters on one line, got {text!r}")
        if " " in self.target or not self.target:
            raise ValueError(f"a request target is not empty and has no spaces, got {self.target!r}")
        if not self.attempt:
            package = self.body.package if self.body else None
            object.__setattr__(self, "attempt", package.attempt if package else new_attempt_id())

    @property
    def total(self) -> int:
        """Return the size of the body in bytes, 0 without one."""
        return self.body.total if self.body else 0

    def fields(self, front: FrontDoor) -> list[tuple[str, str]]:
        """Return the header fields in the order they are sent, without HTTP/2's pseudo-headers."""
        ours = [
            ("Host", front.authority),
            ("User-Agent", USER_AGENT),
            ("Accept", "*/*"),
            (ATTEMPT_HEADER, self.attempt),
            ("traceparent", traceparent(self.attempt)),
        ]
        if self.body is not None:
            ours += [("Content-Type", self.body.content_type)] if self.body.content_type else []
            ours += self.framing.headers(self.body)
        elif self.method in ("POST", "PUT", "PATCH"):
            ours.append(("Content-Length", "0"))
        if self.expect_continue:
            ours.append(("Expect", "100-continue"))
        replaced = {name.lower() for name, _ in self.headers}
        return [item for item in ours if item[0].lower() not in replaced] + list(self.headers)

    def target_at(self, front: FrontDoor) -> str:
        """Return the target to ask for at this front door."""
        if not front.tagged:
            return self.target
        return f"{self.target}{'&' if '?' in self.target else '?'}{ATTEMPT_QUERY}={self.attempt}"

    def head(self, front: FrontDoor) -> bytes:
        """Return the head as HTTP/1 sends it."""
        lines = [f"{self.method} {self.target_at(front)} HTTP/{self.http_version}"]
        lines += [f"{name}: {value}" for name, value in self.fields(front)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def in_one_piece(self, front: FrontDoor) -> Segment | None:
        """Return head and body as one segment, as HTTP/1 clients send a small body; None if the body is sent separately.

        A balancer can repeat only what it received together with the head: nginx without request buffering keeps nothing that came later.
        With two writes it would be chance whether a replay is seen.
        """
        if self.body is None or self.total > ONE_SEGMENT or self.framing != Framing.length():
            return None
        if self.pace is not None or self.abort is not None or self.expect_continue:
            return None
        head = self.head(front)
        return Segment(b"".join((head, *self.body.pieces())), len(head), self.total)

    def steps(self, *, framed: bool = True) -> Iterator[Step]:
        """Return the steps that send the body: framed as in HTTP/1, or the plain bytes.

        Raises:
            ValueError: a pause lies beyond the body.
        """
        segments: Iterator[Segment] = iter(())
        if self.body is not None:
            segments = self.framing.segments(self.body) if framed else plain(self.body)
        abort = self.abort
        if abort is None and self.framing.truncated:
            abort = AbortAt(bytes=self.total, how="fin")
        return plan(segments, self.total, self.pace, abort)


def traceparent(attempt: str) -> str:
    """Return a W3C trace context. Its trace id is the attempt id if that has 32 hexadecimal digits, otherwise its digest."""
    plain_id = len(attempt) == 32 and set(attempt) <= set("0123456789abcdef")
    trace = attempt if plain_id else hashlib.sha256(attempt.encode()).hexdigest()[:32]
    return f"00-{trace}-{secrets.token_hex(8)}-01"
