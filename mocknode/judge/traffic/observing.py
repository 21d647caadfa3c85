"""What a client notes while an exchange runs, and the attempt made from these notes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from mocknode.judge.record.history import Attempt, End, Told
from mocknode.judge.traffic.connecting import NotConnectedError
from mocknode.judge.traffic.framing import Segment
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.pace import BreakOff, Due, Rest, Step
from mocknode.judge.traffic.spec import RequestSpec

BODY_KEPT = 2048
"""Characters of a response body that an attempt keeps: enough to recognize whose error page it is."""

NODE_HEADER = "octopus-node"

# A history is passed around; keys are not.
SECRETS = frozenset({"x-octopus-apikey", "x-nuget-apikey", "authorization", "cookie"})


class Notes:
    """Notes of one exchange, filled in while it runs; every time is `time.monotonic_ns()`."""

    def __init__(self, spec: RequestSpec, front: FrontDoor, version: Literal["1.0", "1.1", "2"]) -> None:
        self.spec = spec
        self.front = front
        self.version: Literal["1.0", "1.1", "2"] = version
        self.started_ns = time.monotonic_ns()
        self.connection = ""
        self.source = front.source or ""
        self.head_sent_ns: int | None = None
        self.body_sent_ns: int | None = None
        self.body_bytes = 0
        self.response_ns: int | None = None
        self.status: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.interim: list[int] = []
        self.marks: dict[str, int] = {}
        self.answer = bytearray()
        self.whole = False
        self.end: End | None = None
        self.error: str | None = None
        self.ended_ns: int | None = None
        self.broken_off = False

    def mark(self, name: str) -> None:
        """Note the current time under this name."""
        self.marks[name] = time.monotonic_ns()

    def mark_head_sent(self) -> None:
        """Note that the last byte of the head was handed to the kernel."""
        self.head_sent_ns = time.monotonic_ns()

    def answered(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        """Note that the final response's head is complete."""
        self.response_ns = time.monotonic_ns()
        self.status, self.headers = status, headers

    def received(self, data: bytes | bytearray) -> None:
        """Note bytes of the response body."""
        room = 4 * BODY_KEPT - len(self.answer)  # a character has up to four bytes
        if room > 0:
            self.answer += data[:room]

    def ended(self, end: End, error: str | None = None) -> None:
        """Note how the exchange ended; only the first call counts. If the client itself broke it off, it ended as `aborted`."""
        if self.end is None:
            self.end, self.error = "aborted" if self.broken_off else end, error
            self.ended_ns = time.monotonic_ns()

    def complete(self) -> None:
        """Note that the whole answer arrived."""
        self.whole = True
        self.ended("complete")

    def attempt(self, sha1: str | None) -> Attempt:
        """Return the attempt, once `ended` was called."""
        assert self.end is not None
        assert self.ended_ns is not None
        package = self.spec.body.package if self.spec.body else None
        return Attempt(
            id=self.spec.attempt,
            check=self.spec.check,
            variant=self.spec.variant,
            method=self.spec.method,
            url=self.front.url,
            target=self.spec.target,
            http_version=self.version,
            connection=self.connection,
            source=self.source,
            started_ns=self.started_ns,
            head_sent_ns=self.head_sent_ns,
            body_sent_ns=self.body_sent_ns,
            body_bytes=self.body_bytes,
            file_bytes=package.size if package else None,
            sha1=sha1,
            response_ns=self.response_ns,
            ended_ns=self.ended_ns,
            told=self._told(),
            end=self.end,
            status=self.status,
            headers=self.headers,
            node=next((value for name, value in self.headers if name.lower() == NODE_HEADER), None),
            body=self.answer.decode(errors="replace")[:BODY_KEPT],
            interim=tuple(self.interim),
            marks=dict(self.marks),
            error=self.error,
            sent_headers=self._sent(),
        )

    def _sent(self) -> tuple[tuple[str, str], ...]:
        """Return the head as it was sent; nobody asks for that of a request that went well."""
        if self.status is None or self.status < 400:
            return ()
        return tuple((name, "" if name.lower() in SECRETS else value) for name, value in self.spec.fields(self.front))

    def _told(self) -> Told:
        if not self.whole or self.status is None:
            return "nothing"
        return "acknowledged" if 200 <= self.status < 300 else "error"


async def observe(notes: Notes, run: Callable[[Notes], Awaitable[None]]) -> Attempt:
    """Run one exchange within its time, and compute the digest of its package meanwhile.

    `run` calls `notes.ended` unless it raises `NotConnectedError` or runs out of time.
    """
    package = notes.spec.body.package if notes.spec.body else None
    digest = asyncio.ensure_future(package.digest()) if package else None
    try:
        try:
            async with asyncio.timeout(notes.spec.timeout_s):
                await run(notes)
        except TimeoutError:
            notes.ended("timeout", f"no complete answer within {notes.spec.timeout_s:g} s")
        except NotConnectedError as error:
            notes.ended(error.end, str(error))
        return notes.attempt(await digest if digest else None)
    finally:
        if digest:
            digest.cancel()


async def send_steps(
    steps: Iterable[Step], notes: Notes, write: Callable[[bytes | memoryview], Awaitable[int]]
) -> BreakOff | None:
    """Carry out a plan with `write`, which sends at least one byte for each call and returns how many.

    Returns:
        The abort to carry out, None when everything was sent.
    """
    loop = asyncio.get_running_loop()
    schedule = loop.time()
    for step in steps:
        if isinstance(step, Segment):
            await _send_segment(step, notes, write)
        elif isinstance(step, Due):
            await asyncio.sleep(max(0.0, schedule + step.offset_s - loop.time()))
        elif isinstance(step, Rest):
            suffix = f"-{step.number}" if step.number > 1 else ""
            notes.mark(f"pause{suffix}")
            await asyncio.sleep(step.seconds)
            notes.mark(f"continue{suffix}")
            schedule += step.seconds
        else:
            _note_end(notes)
            await asyncio.sleep(step.after_s)
            return step
    _note_end(notes)
    return None


async def _send_segment(segment: Segment, notes: Notes, write: Callable[[bytes | memoryview], Awaitable[int]]) -> None:
    view, sent, before = memoryview(segment.data), 0, notes.body_bytes
    while sent < len(view):
        sent += await write(view[sent:])
        notes.body_bytes = before + segment.body_in(sent)


def _note_end(notes: Notes) -> None:
    spec = notes.spec
    if spec.body is not None and notes.body_bytes == spec.total and not spec.framing.truncated:
        notes.body_sent_ns = time.monotonic_ns()
