"""One request on its own connection over gevent's sockets: never repeated, and every byte counted.

locust's fast client has silently repeated failed requests, builds multipart bodies in memory, and verifies certificates only on
request. Uploads that are accounted for byte by byte need a client without these.
"""

import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

import gevent
import gevent.socket
import gevent.ssl
import h11

READ = 1 << 16
ATTEMPT_HEADER = "X-Mocknode-Attempt"
USER_AGENT = "mocknode-load"
CONNECT_S = 10.0
"""A balancer that takes longer than this to accept a connection counts as not accepting it."""

Told = Literal["acknowledged", "error", "nothing"]
"""What the client was told: a complete 2xx answer, another complete answer, or no complete answer."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """The balancer's front door.

    Attributes:
        url: `http://HOST:PORT` or `https://HOST:PORT`.
        address: Host to connect to instead of the URL's.
        name: Host header and TLS server name instead of the URL's.
        ca: PEM file of the authorities to trust; None means the system's.
        insecure: Accept any certificate.
    """

    url: str
    address: str | None = None
    name: str | None = None
    ca: str | None = None
    insecure: bool = False

    @cached_property
    def target(self) -> tuple[str, int]:
        """Host and port to connect to.

        Raises:
            ValueError: the URL is not an http or https URL with a host.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"host: got {self.url!r}, allowed: http://HOST:PORT or https://HOST:PORT")
        return self.address or parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]

    @cached_property
    def authority(self) -> str:
        """Value of the Host header."""
        return self.name or urlsplit(self.url).netloc

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """TLS settings, None for http."""
        if urlsplit(self.url).scheme != "https":
            return None
        # This class checks certificate and name by default. gevent's `create_default_context` returns a context that blocks.
        context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca:
            context.load_verify_locations(self.ca)
        else:
            context.load_default_certs()
        context.set_alpn_protocols(["http/1.1"])
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def connect(self) -> Any:
        """Return a connected socket, after the TLS handshake.

        Raises:
            OSError: nothing accepts the connection, or the certificate is not trusted.
        """
        sock = gevent.socket.create_connection(self.target, timeout=CONNECT_S)
        sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        if self.tls is not None:
            name = self.authority.rpartition(":")[0] or self.authority
            sock = self.tls.wrap_socket(sock, server_hostname=name.strip("[]"))
        sock.settimeout(None)
        return sock


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request and its outcome. All times are monotonic nanoseconds.

    Attributes:
        body: Pieces of the body; none for a GET.
        length: Content-Length of the body; None sends it chunked.
        link: Bytes a second to pace the body at; None means no limit.
        due_ns: When it should have started; latency counts from here.
        user_agent: The name of the client that sends such requests.
        answer_max: Bytes of the answer to keep; the rest is read and dropped.
        fine: Statuses other than 2xx that count as success for this client.
        sent: Bytes that the kernel took, including heads and framing, before encryption.
        sent_all: Whether the kernel took the whole request.
        end: `complete`, or how it broke: `refused` (no connection), `reset`, `eof`, `timeout`, `protocol-error`. A caller that
            understands the answer may set `foreign-answer`: it belongs to another request.
    """

    attempt: str
    method: str
    path: str
    headers: Sequence[tuple[str, str]] = ()
    body: Iterable[memoryview] = ()
    length: int | None = 0
    link: float | None = None
    timeout_s: float = 600.0
    user_agent: str = USER_AGENT
    answer_max: int = READ
    fine: frozenset[int] = frozenset()
    due_ns: int = 0
    start_ns: int = 0
    end_ns: int = 0
    sent: int = 0
    sent_all: bool = False
    status: int | None = None
    node: str | None = None
    told: Told = "nothing"
    end: str = "complete"
    error: str | None = None
    answer: bytes = b""
    _http: h11.Connection = field(default_factory=lambda: h11.Connection(our_role=h11.CLIENT))

    def run(self, door: Door) -> None:
        """Send the request and read the answer. Nothing is raised; the fields say what went wrong."""
        self.start_ns = time.monotonic_ns()
        self.due_ns = self.due_ns or self.start_ns
        sock = None
        try:
            with gevent.Timeout(self.timeout_s):
                sock = door.connect()
                self._converse(sock, door)
        except gevent.Timeout:
            self.end, self.error = "timeout", f"no complete answer within {self.timeout_s:g} s"
        except h11.ProtocolError as exc:
            self.end, self.error = "protocol-error", str(exc)
        except OSError as exc:
            self.end = "refused" if sock is None else "reset"
            self.error = str(exc) or type(exc).__name__
        finally:
            if sock is not None:
                sock.close()
            self.end_ns = time.monotonic_ns()
        if self.status is not None and self.end == "complete":
            self.told = "acknowledged" if 200 <= self.status < 300 or self.status in self.fine else "error"

    def _converse(self, sock: Any, door: Door) -> None:
        """Read while a second greenlet sends: a balancer may refuse, and stop reading, long before the body ends."""
        # Build the head here: an error in the other greenlet would get lost, and the reader would wait for an answer.
        head = self._http.send(self._head(door)) or b""
        sender = gevent.spawn(self._send, sock, head)
        try:
            self._read(sock)
        finally:
            sender.kill()

    def _send(self, sock: Any, head: bytes) -> None:
        try:
            self._write(sock, head)
            began, body = time.monotonic(), 0
            for piece in self.body:
                for part in self._http.send_with_data_passthrough(h11.Data(data=piece)) or ():
                    self._write(sock, part)
                body += len(piece)
                gevent.sleep(max(0.0, began + body / self.link - time.monotonic()) if self.link else 0)
            self._write(sock, self._http.send(h11.EndOfMessage()) or b"")
            self.sent_all = True
        except OSError as exc:
            # The reader still has to read what the balancer said before it closed, and ends this exchange.
            self.error = str(exc) or type(exc).__name__

    def _head(self, door: Door) -> h11.Request:
        framing = []
        if self.method != "GET":
            framing = [
                ("Transfer-Encoding", "chunked") if self.length is None else ("Content-Length", str(self.length))
            ]
        trace = self.attempt if len(self.attempt) == 32 else self.attempt.rjust(32, "0")
        ours = [
            ("Host", door.authority),
            ("User-Agent", self.user_agent),
            (ATTEMPT_HEADER, self.attempt),
            ("traceparent", f"00-{trace}-{trace[:15]}1-01"),
            ("Connection", "close"),
        ]
        return h11.Request(method=self.method, target=self.path, headers=[*ours, *framing, *self.headers])

    def _write(self, sock: Any, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            taken = sock.send(view)
            self.sent += taken
            view = view[taken:]

    def _read(self, sock: Any) -> None:
        closed = False
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                if not closed:
                    raise
                self.end, self.error = "eof", self.error or "the connection was closed before the answer was whole"
                return
            if event is h11.NEED_DATA:
                self._http.receive_data(data := sock.recv(READ))
                closed = not data
            elif isinstance(event, h11.Response):
                self.status = event.status_code
                self.node = next((v.decode("latin-1") for k, v in event.headers if k == b"octopus-node"), None)
            elif isinstance(event, h11.Data) and len(self.answer) < self.answer_max:
                self.answer += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            elif isinstance(event, h11.ConnectionClosed):
                self.end = "eof"
                return
