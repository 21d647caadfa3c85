"""Whole conversations of both kinds, for any cut of their bytes; and peers that break them."""

import hashlib
import itertools
import random
import uuid
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.mock.halibut import (
    Connection,
    OutOfTurnError,
    RequestMessage,
    ResponseMessage,
    ServerError,
    State,
    events,
)
from mocknode.mock.halibut.elements import too_many_elements
from mocknode.mock.halibut.envelope import BrokenMessageError, DocumentReader, compress, stream_parts
from mocknode.mock.halibut.events import Event
from mocknode.mock.halibut.limits import (
    CONTROL_LINE_MAX,
    DEFLATED_MAX,
    DOCUMENT_MAX,
    ELEMENTS_MAX,
    PREAMBLE_MAX,
    STREAMS_MAX,
    UNREAD_MAX,
)
from mocknode.mock.halibut.messages import encode_document, stream_document

FILE = uuid.UUID("9a4b47b7-7463-4740-842e-eb1da0ade39b")
OTHER = uuid.UUID("8c381b65-bb84-4e47-a84b-d665b55f8b7f")
SUBSCRIPTION = "poll://bcdefghjkmnpqrstuvwx/"
PAYLOAD = b"package" * 1000
UPLOAD = RequestMessage(
    id="IFileTransferService::UploadFileAsync[1] / x",
    activity_id=OTHER,
    service="IFileTransferService",
    method="UploadFile",
    params=("/tmp/a.zip", stream_document(FILE, len(PAYLOAD), declared=True)),  # a path on the wire
)
STORED = ResponseMessage(id=UPLOAD.id, result={"$type": "UploadResult", "Length": bson.Int64(len(PAYLOAD))})
REFUSED = ResponseMessage(id="y", error=ServerError(message="no", details="because"))
ARRIVED = events.DataStream(id=str(FILE), length=len(PAYLOAD), sha1=hashlib.sha1(PAYLOAD).hexdigest())


class Wire:
    """One end with its transcript: what the other end is given may be cut anywhere."""

    def __init__(self, cut: Callable[[bytes], Sequence[bytes]]) -> None:
        self.cut = cut

    def give(self, to: Connection, parts: Sequence[bytes]) -> list[Event]:
        return [event for piece in self.cut(b"".join(parts)) for event in to.receive(piece)]


def whole(data: bytes) -> Sequence[bytes]:
    return [data]


def pieces(seed: int) -> Callable[[bytes], Sequence[bytes]]:
    rng = random.Random(seed)

    def cut(data: bytes) -> Sequence[bytes]:
        at, found = 0, []
        while at < len(data):
            size = rng.choice((1, 1, 2, 3, 7, 100, 5000))
            found.append(data[at : at + size])
            at += size
        return found

    return cut


def polling(wire: Wire) -> tuple[Connection, Connection, list[Event]]:
    """A Tentacle that polls and the server that it polls, greeted."""
    tentacle, server = Connection.poll(SUBSCRIPTION), Connection.accept()
    seen = wire.give(server, tentacle.open())
    seen += server.authorize()
    seen += wire.give(tentacle, server.welcome())
    return tentacle, server, seen


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_polling(seed: int) -> None:
    wire = Wire(pieces(seed))
    tentacle, server, seen = polling(wire)
    assert seen == [
        events.Preamble(newline="\n"),
        events.Identified(name="MX-SUBSCRIBER", subscription=SUBSCRIPTION),
        events.Identified(name="MX-SERVER", subscription=None),
    ]
    for _ in range(2):
        assert wire.give(tentacle, server.send_null()) == [events.NullReceived()]
        assert wire.give(server, tentacle.send_next()) == [events.NextReceived()]
        assert wire.give(tentacle, server.send_proceed()) == [events.ProceedReceived()]
    got = wire.give(tentacle, server.send_request(UPLOAD, {FILE: PAYLOAD}))
    assert got == [events.RequestReceived(request=UPLOAD, streams=(ARRIVED,))]
    # A real Tentacle sends both at once.
    both = (*tentacle.send_response(STORED), *tentacle.send_next())
    assert wire.give(server, both) == [events.ResponseReceived(response=STORED, streams=()), events.NextReceived()]
    assert wire.give(tentacle, server.send_proceed()) == [events.ProceedReceived()]
    last = tentacle.send_end()
    assert wire.give(server, last) == []
    assert server.state is State.TURN
    server.send_null()
    assert server.proceed() == [events.Ended(by="END")]
    assert tentacle.over
    assert server.over


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_listening(seed: int) -> None:
    wire = Wire(pieces(seed))
    server, tentacle = Connection.dial("\r\n"), Connection.accept()
    assert wire.give(tentacle, server.open()) == [events.Preamble(newline="\r\n")]
    assert tentacle.authorize() == [events.Identified(name="MX-CLIENT", subscription=None)]
    assert wire.give(server, tentacle.welcome()) == [events.Identified(name="MX-SERVER", subscription=None)]
    for answer in (STORED, REFUSED):
        assert wire.give(tentacle, server.send_request(UPLOAD, {FILE: PAYLOAD})) == [
            events.RequestReceived(request=UPLOAD, streams=(ARRIVED,))
        ]
        got = wire.give(server, tentacle.send_response(answer))
        assert got == [events.ResponseReceived(response=answer, streams=())]
        assert wire.give(tentacle, server.send_next()) == [events.NextReceived()]
        assert wire.give(server, tentacle.send_proceed()) == [events.ProceedReceived()]
    assert wire.give(tentacle, (*server.send_request(RequestMessage(
        id="1", activity_id=OTHER, service="S", method="M")),)) != []  # fmt: skip
    assert wire.give(server, tentacle.send_response(ResponseMessage(id="1"))) != []
    assert wire.give(tentacle, server.send_end()) == [events.Ended(by="END")]


REQUEST = RequestMessage(id="1", activity_id=OTHER, service="S", method="M")


def tentacle_that_awaits() -> Connection:
    return polling(Wire(whole))[0]


def server_that_awaits(step: str) -> Connection:
    server = polling(Wire(whole))[1]
    if step == "response":
        server.send_request(REQUEST)
    else:
        server.send_null()
    return server


def failure(found: list[Event]) -> events.Failed:
    assert isinstance(found[-1], events.Failed), found
    return found[-1]


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"\r\n", "identity-empty"),
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "identity-unfinished"),
        (b"MX-CLIENT 1.0\r\n\r\n", "identity-unexpected"),
        (b"MX-SERVER 1.0\rX", "bad-line"),
        (b"M" * (CONTROL_LINE_MAX + 1), "line-too-long"),
    ],
)
def test_answers_that_are_no_server(sent: bytes, cause: str) -> None:
    tentacle = Connection.poll(SUBSCRIPTION)
    tentacle.open()
    assert failure(tentacle.receive(sent)).cause == cause
    assert tentacle.over
    assert tentacle.receive(b"more") == []


@pytest.mark.parametrize(
    ("sent", "cause", "read_out"),
    [
        (b"MX-SERVER 1.0\r\n\r\n", "identity-unexpected", False),
        (b"MX-SUBSCRIBER 1.0\r\n\r\n", "subscription-missing", True),
        (b"MX-SUBSCRIBER 1.0 nothing\r\n\r\n", "subscription-invalid", False),
        (b"mx-client 1.0\r\n\r\n", "identity-unknown", True),
        (b"  \r\n\r\n", "identity-unknown", True),
    ],
)
def test_identities_that_are_none(sent: bytes, cause: str, read_out: bool) -> None:
    server = Connection.accept()
    server.receive(b"MX\n\n")
    server.authorize()
    found = server.receive(sent)
    if read_out:
        # All that such a peer says is read before it fails, in bounded memory.
        assert found == []
        assert server.receive(b"x" * (2 * UNREAD_MAX)) == []
        found = server.receive_eof()
    assert failure(found).cause == cause


@pytest.mark.parametrize("version", ["", "9.9", "1.0 extra"])
def test_the_version_is_never_looked_at(version: str) -> None:
    server = Connection.accept()
    server.receive(b"MX\r\n\r\n")
    server.authorize()
    assert server.receive(f"MX-CLIENT {version}\r\n\r\n".encode()) == [
        events.Identified(name="MX-CLIENT", subscription=None)
    ]


def bomb() -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = (2**31 - 1).to_bytes(4, "little")
    return deflate.compress(head) + b"".join(deflate.compress(bytes(2**20)) for _ in range(64)) + deflate.flush()


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"\xff" * 30, "bad-deflate"),
        (bomb(), "document-too-large"),
        (compress((DOCUMENT_MAX + 1).to_bytes(4, "little")), "document-too-large"),
        (compress(b"Some invalid json/bson"), "document-too-large"),
        (compress(b"abc"), "bad-document"),
        (compress((100).to_bytes(4, "little") + bytes(10)), "bad-document"),
        (compress((10).to_bytes(4, "little") + bytes(20)), "bad-document"),
        (compress((-5).to_bytes(4, "little", signed=True) + bytes(10)), "bad-document"),
        (compress(bson.encode({"message": None})), "bad-document"),
        (compress(bson.encode({"Message": 1})), "bad-document"),
        (compress(encode_document(ResponseMessage(id="1"))), "bad-document"),
        (compress(bson.encode({"Message": {"id": 1}})), "bad-document"),
    ],
)
def test_messages_that_are_none(sent: bytes, cause: str) -> None:
    assert failure(tentacle_that_awaits().receive(sent)).cause == cause


@pytest.mark.parametrize("cut", [DEFLATED_MAX - 1, DEFLATED_MAX, DEFLATED_MAX + 1, 2**20 + 1])
def test_a_message_that_never_ends_is_cut_off_at_the_limit(cut: int) -> None:
    stored = b"\0\0\0\xff\xff"  # a block of nothing, and not the last one
    endless = (stored * (DEFLATED_MAX // len(stored) + 1))[: DEFLATED_MAX + 1]
    peer = tentacle_that_awaits()
    pieces = [endless[at : at + cut] for at in range(0, len(endless), cut)]
    found = [peer.receive(piece) for piece in pieces]
    assert not any(found[:-1])
    [end] = found[-1]
    assert isinstance(end, events.Failed)
    assert (end.cause, peer.over) == ("document-too-large", True)
    assert f"{DEFLATED_MAX} bytes of DEFLATE" in end.text


def test_a_message_may_end_at_the_limit() -> None:
    message = compress(encode_document(RequestMessage(id="1", activity_id=OTHER, service="S", method="M", params=())))
    stored = b"\0\0\0\xff\xff"
    sent = stored * ((DEFLATED_MAX - len(message)) // len(stored)) + message
    assert isinstance(tentacle_that_awaits().receive(sent)[0], events.RequestReceived)


pieces_of_a_message = st.one_of(
    st.just(b"\0\0\0\xff\xff"),
    st.binary(max_size=20),
    st.integers(4, 40).map(lambda size: compress(size.to_bytes(4, "little") + bytes(size - 4))),
)


@given(parts=st.lists(pieces_of_a_message, max_size=25), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_the_limit_is_met_at_the_same_byte_wherever_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    def read(pieces: list[bytes]) -> Any:
        reader = DocumentReader(deflated_max=64)
        for number, piece in enumerate(pieces):
            try:
                document, rest = reader.feed(piece)
            except BrokenMessageError as error:
                return error.cause, str(error)
            if document is not None:
                return document, rest + b"".join(pieces[number + 1 :])
        return None

    sent = b"".join(parts)
    bounds = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    whole = read([sent])
    assert read([sent[a:b] for a, b in itertools.pairwise(bounds)]) == whole
    assert read([sent[at : at + 1] for at in range(len(sent))]) == whole


def test_deep_nesting_is_no_crash() -> None:
    document = b"\0"
    for _ in range(20_000):
        document = (len(document) + 8).to_bytes(4, "little") + b"\x03a\0" + document + b"\0"
    sent = compress(document)
    assert failure(tentacle_that_awaits().receive(sent)).cause == "bad-document"


ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.floats() | st.text() | st.binary() | st.dates().map(lambda day: datetime(
        day.year, day.month, day.day, tzinfo=UTC)) | st.just(bson.Regex("a", "i")) | st.just(bson.Code("x", {"a": 1})) | st.just(bson.Code("x"))
    | st.just(bson.ObjectId()) | st.just(bson.Decimal128("1")) | st.just(bson.Timestamp(1, 2)) | st.just(bson.MinKey()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
)  # fmt: skip


@given(before=ANY_VALUE, inside=st.booleans())
@settings(max_examples=20, deadline=None)
def test_every_element_counts_whatever_stands_before_it(before: Any, inside: bool) -> None:
    def document(count: int) -> bytes:
        nulls = [None] * count
        return bson.encode({"x": before, "y": bson.Code("x", {"z": nulls}) if inside else {"z": nulls}})

    assert too_many_elements(document(ELEMENTS_MAX))
    assert not too_many_elements(document(ELEMENTS_MAX // 2))


@pytest.mark.parametrize("item", [b"\x0a\0", b"\x03\0\5\0\0\0\0", b"\x04\0\5\0\0\0\0", b"\x05\0\0\0\0\0\4"])
def test_a_bomb_of_small_elements_is_not_decoded(item: bytes) -> None:
    elements = item * ((DOCUMENT_MAX - 100) // len(item))
    document = b"\x04Message\0" + (len(elements) + 5).to_bytes(4, "little") + elements + b"\0\0"
    sent = compress((len(document) + 4).to_bytes(4, "little") + document)
    assert f"{ELEMENTS_MAX} elements" in failure(tentacle_that_awaits().receive(sent)).text


HEAD, BODY, TAIL = stream_parts(FILE, b"12345678")
CARRIES = compress(
    encode_document(
        RequestMessage(id="1", activity_id=OTHER, service="S", method="M", params=(stream_document(FILE, 8),))
    )
)


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (CARRIES + stream_parts(OTHER, b"x")[0], "unexpected-stream"),
        (CARRIES + HEAD + BODY + bytes(8), "stream-size-mismatch"),
        # Longer than declared: the rest of the payload stands where the second length should.
        (CARRIES + HEAD + BODY + b"9abcdefg" + TAIL, "stream-size-mismatch"),
        (CARRIES + FILE.bytes_le + (-1).to_bytes(8, "little", signed=True), "stream-size-mismatch"),
    ],
)
def test_streams_that_lie(sent: bytes, cause: str) -> None:
    assert failure(tentacle_that_awaits().receive(sent)).cause == cause


def test_too_many_streams() -> None:
    params = tuple(stream_document(uuid.UUID(int=n), 0) for n in range(STREAMS_MAX + 1))
    request = RequestMessage(id="1", activity_id=OTHER, service="S", method="M", params=params)
    assert failure(tentacle_that_awaits().receive(compress(encode_document(request)))).cause == "bad-document"


def test_control_lines_that_are_none() -> None:
    assert failure(server_that_awaits("next").receive(b"\r\nPROCEED\r\n")).text == "Expected NEXT or END, got: PROCEED"
    tentacle = tentacle_that_awaits()
    tentacle.receive(compress(encode_document(None)))
    tentacle.send_next()
    assert failure(tentacle.receive(b"\r\n\r\nNEXT\r\n")).text == "Expected PROCEED, got: NEXT"


def test_a_null_message_is_no_response() -> None:
    assert failure(server_that_awaits("response").receive(compress(encode_document(None)))).cause == "wrong-message"


@settings(max_examples=20)
@given(rest=st.binary(max_size=20), seed=st.integers(0, 2**32))
def test_a_goodbye_where_a_response_should_begin_is_named_however_it_is_cut(rest: bytes, seed: int) -> None:
    server = server_that_awaits("response")
    found = [event for piece in pieces(seed)(b"END\r\n" + rest) for event in server.receive(piece)]
    assert found == [events.Failed(cause="end-for-response", text="END came where a response should begin")]
    assert failure(server_that_awaits("response").receive(b"END\r\t" + rest)).cause == "bad-deflate"
    assert failure(tentacle_that_awaits().receive(b"END\r\n" + rest)).cause == "bad-deflate"


def test_an_end_before_the_first_byte_of_a_response_is_told_from_one_within() -> None:
    before, within = server_that_awaits("response"), server_that_awaits("response")
    assert failure(before.receive_eof()).text == "Attempted to read past the end of the stream."
    assert not before.message_begun
    within.receive(compress(encode_document(STORED))[:5])
    assert failure(within.receive_eof()).cause == "eof"
    assert within.message_begun


def test_what_comes_before_its_turn_waits_within_a_limit() -> None:
    server = polling(Wire(whole))[1]
    assert server.receive(b"NEXT\r\n") == []
    server.send_null()
    assert server.proceed() == [events.NextReceived()]
    assert failure(server.receive(b"x" * (UNREAD_MAX + 1))).cause == "out-of-turn"


def test_only_what_follows_is_sent() -> None:
    tentacle = tentacle_that_awaits()
    with pytest.raises(OutOfTurnError, match="awaits a request"):
        tentacle.send_next()
    with pytest.raises(OutOfTurnError):
        Connection.accept().authorize()
    with pytest.raises(OutOfTurnError):
        Connection.accept().welcome()


def test_first_bytes_that_are_no_preamble() -> None:
    server = Connection.accept()
    head = b"POST /handshake HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    assert server.receive(head + b"rest") == [events.NotHalibut(head=head)]
    endless = Connection.accept()
    found = endless.receive(b"y" * (PREAMBLE_MAX + 5))
    assert found == [events.NotHalibut(head=b"y" * PREAMBLE_MAX)]


def test_ends_of_the_stream() -> None:
    silent = Connection.accept()
    assert silent.receive_eof() == [events.NothingSent()]
    one = Connection.accept()
    one.receive(b"M")
    assert failure(one.receive_eof()).cause == "eof"
    greeted = Connection.accept()
    greeted.receive(b"MX")
    assert greeted.receive_eof() == [events.Preamble(newline="\n")]
    assert failure(greeted.authorize()).cause == "eof"
    assert tentacle_that_awaits().receive_eof() == [events.Ended(by="eof")]
    cut = tentacle_that_awaits()
    cut.receive(compress(encode_document(REQUEST))[:5])
    assert failure(cut.receive_eof()).cause == "eof"
    assert failure(server_that_awaits("response").receive_eof()).cause == "eof"
    assert server_that_awaits("next").receive_eof() == [events.Ended(by="eof")]
    half = server_that_awaits("next")
    half.receive(b"NE")
    assert failure(half.receive_eof()).cause == "eof"


def start(kind: int) -> Connection:
    """An end that is about to read each of the things that there are to read."""
    if kind == 0:
        return Connection.accept()
    if kind == 1:
        server = Connection.accept()
        server.receive(b"MX\n\n")
        server.authorize()
        return server
    if kind == 2:
        tentacle = Connection.poll(SUBSCRIPTION)
        tentacle.open()
        return tentacle
    if kind == 3:
        return tentacle_that_awaits()
    return server_that_awaits("next" if kind == 5 else "response")


VALID = (
    b"MX\n\nMX-CLIENT 1.0\r\n\r\n",
    b"MX-SUBSCRIBER 1.0 poll://a/\r\n\r\nNEXT\r\n",
    b"MX-SERVER 1.0\r\n\r\n" + compress(encode_document(REQUEST)),
    CARRIES + HEAD + BODY + TAIL,
    compress(encode_document(STORED)) + b"NEXT\r\n",
    b"\r\nNEXT\r\nEND\r\n",
    b"END\r\n",
)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.integers(0, 6),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    noise=st.binary(max_size=40),
    seed=st.integers(0, 2**32),
)
def test_any_bytes_give_the_same_events_however_they_are_cut(
    kind: int, edits: list[tuple[int, int]], noise: bytes, seed: int
) -> None:
    data = bytearray(VALID[kind] + noise)
    for at, byte in edits:
        data[at % len(data)] = byte
    at_once, cut = start(kind), start(kind)
    expected = at_once.receive(bytes(data)) + at_once.receive_eof()
    got = [event for piece in pieces(seed)(bytes(data)) for event in cut.receive(piece)] + cut.receive_eof()
    assert got == expected
