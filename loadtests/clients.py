"""The clients of the benchmarks: one sends large uploads from memory, the other sends small requests as fast as they are answered."""

import asyncio
import contextlib
import mmap
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stage import HOST

WARM_UP_BYTES = 1 << 20
"""Size of the upload that warms up a server."""
# The form of curl's boundaries; the longer a boundary, the faster the search for it.
BOUNDARY = b"------------------------d74496d66958873e"
PATTERN_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 32 * 1024
"""Chunk size of the Go CLI, whose `io.Copy` reads this much at a time."""
FRAME = b"%x\r\n" % CHUNK_BYTES
FRAMED_BYTES = len(FRAME) + CHUNK_BYTES + 2
TLS_BLOCK_BYTES = 256 * 1024
UPLOAD_TIMEOUT_S = 600.0
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
STORED = "/api/packages/raw"


class UploadRefusedError(Exception):
    """The answer was not a success; the message holds it."""


@dataclass(frozen=True)
class Form:
    """Framing of an upload: multipart/form-data or the plain body, chunked or with Content-Length, over TLS or plain TCP."""

    multipart: bool = True
    chunked: bool = False
    tls: ssl.SSLContext | None = None
    path: str = STORED


PLAIN = Form()


@dataclass(frozen=True)
class Pattern:
    """Memory that is sent again and again, as a plain body and as a chunked one."""

    plain: int
    framed: int
    view: memoryview
    framed_view: memoryview

    def part(self, offset: int, size: int) -> Iterator[memoryview]:
        """Yield the bytes of an upload that begins at `offset`."""
        while size:
            at = offset % PATTERN_BYTES
            view = self.view[at : at + size]
            yield view
            offset, size = offset + len(view), size - len(view)


@contextlib.contextmanager
def pattern_file() -> Iterator[Pattern]:
    """Provide 64 MiB of random bytes."""
    with contextlib.ExitStack() as stack:
        plain, framed = os.memfd_create("pattern"), os.memfd_create("pattern-framed")
        stack.callback(os.close, plain)
        stack.callback(os.close, framed)
        for _ in range(PATTERN_BYTES // CHUNK_BYTES):
            block = os.urandom(CHUNK_BYTES)
            os.write(plain, block)
            os.write(framed, FRAME + block + b"\r\n")
        maps = [mmap.mmap(fd, 0, access=mmap.ACCESS_READ) for fd in (plain, framed)]
        views = [memoryview(one) for one in maps]
        for one in [*maps[::-1], *views[::-1]]:
            stack.callback(one.release if isinstance(one, memoryview) else one.close)
        yield Pattern(plain, framed, *views)


def send(
    port: int, pattern: Pattern, size: int, *, key: str, name: str, form: Form = PLAIN, offset: int = 0
) -> float:  # fmt: skip
    """Send `size` bytes of the pattern from `offset` on; return the seconds from the connection to the head of the answer.

    A chunked upload begins at 0 and consists of whole chunks.

    Raises:
        UploadRefusedError: the answer was not 200 or 201.
    """
    if form.chunked and (size % CHUNK_BYTES or offset):
        raise ValueError(
            f"a chunked upload has whole chunks of {CHUNK_BYTES} bytes from 0 on, got {size} from {offset}"
        )
    head, tail = b"", b""
    content_type = b"application/octet-stream"
    if form.multipart:
        content_type = b"multipart/form-data; boundary=" + BOUNDARY
        disposition = b'Content-Disposition: form-data; name="file"; filename="%s"' % name.encode()
        head = b"--" + BOUNDARY + b"\r\n" + disposition + b"\r\n\r\n"
        tail = b"\r\n--" + BOUNDARY + b"--\r\n"
    framing = b"Content-Length: %d" % (size + len(head) + len(tail))
    if form.chunked:
        framing = b"Transfer-Encoding: chunked"
        head, tail = _chunk(head), _chunk(tail) + b"0\r\n\r\n"
    request = (
        b"POST %s HTTP/1.1\r\nHost: bench\r\nX-Octopus-ApiKey: %s\r\nContent-Type: %s\r\n%s\r\nConnection: close\r\n\r\n"
        % (form.path.encode(), key.encode(), content_type, framing)
    )
    with socket.create_connection((HOST, port)) as plain:
        plain.settimeout(UPLOAD_TIMEOUT_S)
        started = time.perf_counter()
        # A socket with a time limit does not block, and sendfile would send only a part.
        sock = plain if form.tls is None else form.tls.wrap_socket(plain, server_hostname=HOST)
        with sock:
            sock.settimeout(None if form.tls is None else UPLOAD_TIMEOUT_S)
            sock.sendall(request + head)
            _send_body(sock, pattern, size, offset, form)
            sock.sendall(tail)
            sock.settimeout(UPLOAD_TIMEOUT_S)
            answer = sock.recv(4096)
            elapsed = time.perf_counter() - started
    if answer.split(b" ", 2)[1:2] not in ([b"200"], [b"201"]):
        raise UploadRefusedError(repr(answer[:200]))
    return elapsed


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _send_body(sock: socket.socket, pattern: Pattern, size: int, offset: int, form: Form) -> None:
    source, view, whole = pattern.plain, pattern.view, PATTERN_BYTES
    if form.chunked:
        source, view, whole = pattern.framed, pattern.framed_view, PATTERN_BYTES // CHUNK_BYTES * FRAMED_BYTES
        size = size // CHUNK_BYTES * FRAMED_BYTES
    end = offset + size
    while offset < end:
        at = offset % whole
        left = min(end - offset, whole - at)
        if form.tls is None:
            offset += os.sendfile(sock.fileno(), source, at, left)
        else:
            block = view[at : at + min(left, TLS_BLOCK_BYTES)]
            sock.sendall(block)
            offset += len(block)


def at_once(pushes: Sequence[Callable[[], Any]]) -> float:
    """Run all at the same time, each in a thread; return the seconds until the last one has ended.

    Raises:
        Exception: the first exception of a thread.
    """
    failed: list[BaseException] = []

    def run(push: Callable[[], Any]) -> None:
        try:
            push()
        except BaseException as exc:  # noqa: BLE001  # raised below, by the thread that measures
            failed.append(exc)

    threads = [threading.Thread(target=run, args=(push,)) for push in pushes]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    if failed:
        raise failed[0]
    return elapsed


class Client(asyncio.Protocol):
    """A connection that sends its next request when it has its answer; it reconnects when the server closes.

    Args:
        requests: Requests to send; clients may share the iterator.
        over: Future that is done when no requests are left, or fails when an answer is not a success.
        reconnect: Opens a connection for this client.
    """

    def __init__(
        self, requests: Iterator[bytes], over: "asyncio.Future[None]", reconnect: Callable[["Client"], None]
    ) -> None:
        self.answers = 0
        self._requests, self._over, self._reconnect = requests, over, reconnect
        self._got = bytearray()
        self._asked = self._begun = False

    def connection_made(self, transport: Any) -> None:
        """Keep the connection; after a reconnect, send the next request."""
        self.transport = transport
        if self._begun:
            self.ask()

    def ask(self) -> None:
        """Send the next request, or finish if there is none."""
        self._begun = True
        if self._over.done():
            return
        request = next(self._requests, None)
        self._asked = request is not None
        if request is None:
            self._over.set_result(None)
        else:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect an answer, which may arrive in pieces."""
        self._got += data
        if _whole(self._got):
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of an answer without a length, or of a connection that the server keeps for one request."""
        if self._over.done():
            return
        if self._asked and self._got:
            self._take()
        if self._asked:
            self._over.set_exception(UploadRefusedError(f"the connection ended without an answer: {exc}"))
        elif not self._over.done():
            self._reconnect(self)

    def _answered(self) -> None:
        closes = b"connection: close" in self._got.lower() or self._got.startswith(b"HTTP/1.0")
        self._take()
        if closes:
            self.transport.close()
        else:
            self.ask()

    def _take(self) -> None:
        self._asked = False
        if not self._got.startswith((b"HTTP/1.1 20", b"HTTP/1.0 20")) and not self._over.done():
            self._over.set_exception(UploadRefusedError(f"no success: {bytes(self._got[:300])!r}"))
        self._got.clear()
        self.answers += 1


def _whole(answer: bytearray) -> bool:
    """Tell whether an answer is complete; without length and chunks it is complete when its connection ends."""
    head = answer.find(b"\r\n\r\n") + 4
    if head < 4:
        return False
    if match := LENGTH.search(answer, 0, head):
        return len(answer) >= head + int(match[1])
    return b"chunked" in answer[:head].lower() and answer.endswith(b"\r\n0\r\n\r\n")


@contextlib.asynccontextmanager
async def connections(ports: Sequence[int], count: int, requests: Iterator[bytes]) -> Any:
    """Open `count` connections spread over the ports; yield the clients, which have sent nothing yet, and their futures."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    opening: set[asyncio.Task[Any]] = set()

    async def open_(client: Client, port: int) -> None:
        try:
            await loop.create_connection(lambda: client, HOST, port)
        except OSError as exc:
            if not client._over.done():
                client._over.set_exception(exc)

    def again(port: int) -> Callable[[Client], None]:
        def reconnect(client: Client) -> None:
            task = loop.create_task(open_(client, port))
            opening.add(task)
            task.add_done_callback(opening.discard)

        return reconnect

    overs = [loop.create_future() for _ in range(count)]
    try:
        for number, over in enumerate(overs):
            port = ports[number % len(ports)]
            clients.append(
                (await loop.create_connection(lambda o=over, p=port: Client(requests, o, again(p)), HOST, port))[1]
            )
        yield clients, overs
    finally:
        for over in overs:
            over.cancel()
        for client in clients:
            client.transport.abort()
        if opening:
            await asyncio.gather(*opening, return_exceptions=True)


def ask_all(ports: Sequence[int], count: int, requests: Sequence[bytes]) -> float:
    """Send all requests; return the seconds from the first byte to the last answer.

    Raises:
        UploadRefusedError: an answer was not a success.
    """
    import uvloop

    async def go() -> float:
        async with connections(ports, count, iter(requests)) as (clients, overs):
            started = time.perf_counter()
            for client in clients:
                client.ask()
            await asyncio.gather(*overs)
            return time.perf_counter() - started

    return uvloop.run(go())


def ask_for(ports: Sequence[int], count: int, request: bytes, seconds: float) -> int:
    """Send this request again and again for some seconds; return the number of answers.

    Raises:
        UploadRefusedError: an answer was not a success.
    """
    import uvloop

    def forever() -> Iterator[bytes]:
        while True:
            yield request

    async def go() -> int:
        async with connections(ports, count, forever()) as (clients, overs):
            for client in clients:
                client.ask()
            done, _ = await asyncio.wait(overs, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for over in done:
                over.result()
            return sum(client.answers for client in clients)

    return uvloop.run(go())


def small_upload(key: str, name: str, body: bytes, path: str = "/api/Spaces-1/packages/raw") -> bytes:
    """Return a complete upload as curl sends it."""
    part = b'--%b\r\nContent-Disposition: form-data; name="data"; filename="%b.zip"\r\n' % (BOUNDARY, name.encode())
    whole = part + b"Content-Type: application/octet-stream\r\n\r\n" + body + b"\r\n--" + BOUNDARY + b"--\r\n"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nX-Octopus-ApiKey: {key}\r\nContent-Length: {len(whole)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n\r\n"
    )
    return head.encode() + whole
