"""Framing and pacing as pure functions: nothing lost, everything where it was asked for."""

import hashlib
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.judge.traffic import AbortAt, Body, Framing, Pace, Pause, RequestSpec, package_body
from mocknode.judge.traffic.framing import Segment, plain
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.pace import BreakOff, Due, Rest, plan

ATTEMPT = "0123456789abcdef0123456789abcdef"
FRONT = FrontDoor(scheme="http", host="lb.test", port=80)

sizes = st.lists(st.integers(1, 40_000), min_size=1, max_size=6)


def parsed_by_a_server(wire: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and trailers as an HTTP/1.1 server understands the bytes."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(wire)
    assert isinstance(parser.next_event(), h11.Request)
    body = bytearray()
    while isinstance(event := parser.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage), event
    return bytes(body), list(event.headers)


def wire_of(spec: RequestSpec) -> bytes:
    return spec.head(FRONT) + b"".join(step.data for step in spec.steps() if isinstance(step, Segment))


@settings(max_examples=40, deadline=None)
@given(size=st.integers(0, 20_000) | st.just(300_000), chunks=sizes.filter(lambda c: sum(c) > 50))
def test_any_chunks_sum_up_to_the_same_file(size: int, chunks: list[int]) -> None:
    body = package_body(ATTEMPT, size)
    spec = RequestSpec(check="x", method="POST", target="/", body=body, framing=Framing.chunked(*chunks))
    received, _ = parsed_by_a_server(wire_of(spec))
    file = received[len(body.prologue) : len(received) - len(body.epilogue)]
    assert body.package is not None
    assert (len(file), hashlib.sha1(file).hexdigest()) == (size, body.package.sha1())
    assert sum(segment.body for segment in spec.framing.segments(body)) == body.total


def test_chunks_are_the_ones_asked_for() -> None:
    framing = Framing.chunked(1, 3, extensions=(";a=1", ""), trailers=(("X-Sum", "7"),))
    body = Body(prologue=b"abcdefg")
    assert b"".join(segment.data for segment in framing.segments(body)) == (
        b"1;a=1\r\na\r\n3\r\nbcd\r\n1;a=1\r\ne\r\n2\r\nfg\r\n0\r\nX-Sum: 7\r\n\r\n"
    )
    assert framing.headers(body) == [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
    spec = RequestSpec(check="x", method="POST", target="/", body=body, framing=framing)
    assert parsed_by_a_server(wire_of(spec)) == (b"abcdefg", [(b"x-sum", b"7")])


def test_truncated_chunks_lack_the_last_one_and_end_in_fin() -> None:
    spec = RequestSpec(
        check="x", method="POST", target="/", body=Body(prologue=b"abc"), framing=Framing.chunked(2, truncated=True)
    )
    steps = list(spec.steps())
    assert b"".join(step.data for step in steps if isinstance(step, Segment)) == b"2\r\nab\r\n1\r\nc\r\n"
    assert isinstance(steps[-1], BreakOff)
    assert steps[-1].how == "fin"


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 5_000),
    chunks=st.none() | sizes,
    rate=st.none() | st.integers(1_000, 10**7),
    pauses=st.lists(st.floats(0, 1), max_size=4),
    share=st.none() | st.floats(0, 1),
)
def test_a_plan_keeps_every_byte_and_every_position(
    size: int, chunks: list[int] | None, rate: int | None, pauses: list[float], share: float | None
) -> None:
    body = package_body(ATTEMPT, size)
    framing = Framing.chunked(*chunks) if chunks else Framing.length()
    asked = sorted(int(part * body.total) for part in pauses)
    pace = Pace(rate=rate, pauses=tuple(Pause(at=at, seconds=1) for at in asked))
    abort = None if share is None else AbortAt(share=share)
    end = body.total if abort is None else abort.position(body.total)
    steps = list(plan(framing.segments(body), body.total, pace, abort))

    whole = b"".join(segment.data for segment in framing.segments(body))
    sent = b"".join(step.data for step in steps if isinstance(step, Segment))
    assert whole == sent if end == body.total else whole.startswith(sent)
    assert sum(step.body for step in steps if isinstance(step, Segment)) == end
    assert all(step.body_in(len(step.data)) == step.body for step in steps if isinstance(step, Segment))

    position, rested, due = 0, [], []
    for step in steps:
        if isinstance(step, Segment):
            position += step.body
        elif isinstance(step, Rest):
            rested.append(position)
        elif isinstance(step, Due):
            assert rate is not None
            assert step.offset_s == pytest.approx(position / rate)
            due.append(step.offset_s)
    assert rested == [at for at in asked if at <= end]
    assert all(later - earlier <= 0.051 + 1 / (rate or 1) for earlier, later in pairwise(due))
    assert isinstance(steps[-1], BreakOff) if abort else not any(isinstance(step, BreakOff) for step in steps)


@given(lead=st.integers(0, 5), body=st.integers(1, 20), trail=st.integers(0, 2), data=st.data())
def test_cut_segments_count_the_same_bytes(lead: int, body: int, trail: int, data: st.DataObject) -> None:
    segment = Segment(bytes(range(lead + body + trail)), lead, body)
    first, second = segment.cut(data.draw(st.integers(0, body)))
    assert bytes(first.data) + bytes(second.data) == segment.data
    assert first.body + second.body == body
    assert [segment.body_in(sent) for sent in (0, lead, lead + 1, lead + body, 99)] == [0, 0, 1, body, body]


def test_a_pause_beyond_the_body_is_refused() -> None:
    body = Body(prologue=b"abc")
    with pytest.raises(ValueError, match="within the body of 3 bytes, got 4"):
        plan(plain(body), body.total, Pace(pauses=(Pause(at=4, seconds=1),)), None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Framing.chunked(0), "at least 1 byte"),
        (lambda: Framing(truncated=True), "need chunks"),
        (lambda: Pace(rate=0), "more than 0"),
        (lambda: AbortAt(), "bytes=None and share=None"),
        (lambda: AbortAt(share=1.5), "from 0 to 1, got 1.5"),
        (lambda: AbortAt(bytes=1, how="kill"), "rst or fin, got 'kill'"),
        (lambda: RequestSpec(check="x", target="/a b"), "no spaces"),
        (lambda: RequestSpec(check="x", target="/", headers=(("A", "b\r\nC: d"),)), "on one line"),
        (lambda: FrontDoor(scheme="ftp", host="a", port=1), "http or https, got 'ftp'"),
        (lambda: FrontDoor(scheme="http", host="a", port=0), "1 to 65535, got 0"),
    ],
)
def test_what_cannot_be_sent_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
