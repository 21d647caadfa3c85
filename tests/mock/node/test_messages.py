"""Messages of a connection, cut into any pieces: heads, bodies by length and in chunks, trailers, and what ends them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.node.http.messages import KNOWN_MAX, KnownHeads, MessageReader
from mocknode.mock.node.http.request_head import RefusedRequestError
from mocknode.mock.node.web_server import KESTREL

HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /b HTTP/1.1\nHost: x\n\n"


class Taken:
    """What a reader handed over: one list for each message, of its path, its body and whether it is over."""

    def __init__(self):
        self.messages = []
        self.ready = True

    def head_came(self, head):
        self.messages.append([head.path, b"", False])

    def body_came(self, data):
        self.messages[-1][1] += data

    def message_over(self):
        self.messages[-1][2] = True


def read(*pieces):
    taken = Taken()
    reader = MessageReader(taken, KnownHeads(KESTREL))
    refused = None
    try:
        for piece in pieces:
            reader.feed(piece)
    except RefusedRequestError as exc:
        refused = exc.reason.value
    return taken.messages, refused


EXCHANGES = [
    (GET + GET, [["/b", b"", True]] * 2),
    (b"\r\n\n\r\n" + GET, [["/b", b"", True]]),
    (HEAD + b"Content-Length: 5\r\n\r\nhello" + GET, [["/a", b"hello", True], ["/b", b"", True]]),
    (HEAD + b"Content-Length: 0\r\n\r\n" + GET, [["/a", b"", True], ["/b", b"", True]]),
    (CHUNKED + b'5\r\nhello\r\n0001;a=b;"c"\r\n!\r\n0\r\n\r\n' + GET, [["/a", b"hello!", True], ["/b", b"", True]]),
    (CHUNKED + b"A\r\n0123456789\r\n0;x\r\nT: 1\r\nU: 2\n\r\n" + GET, [["/a", b"0123456789", True], ["/b", b"", True]]),
    (CHUNKED + b"0\r\n\n" + GET, [["/a", b"", True], ["/b", b"", True]]),
]


@pytest.mark.parametrize(("data", "messages"), EXCHANGES)
def test_messages_are_the_same_in_one_piece_and_byte_by_byte(data, messages):
    assert read(data) == (messages, None)
    assert read(*(data[at : at + 1] for at in range(len(data)))) == (messages, None)


@given(st.sampled_from(EXCHANGES), st.lists(st.integers(0, 200), max_size=6))
def test_the_cuts_do_not_matter(exchange, cuts):
    data, messages = exchange
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read(*(data[a:b] for a, b in itertools.pairwise(places))) == (messages, None)


@pytest.mark.parametrize(
    "body",
    [b"x\r\n", b"\r\n", b" 5\r\n", b"5 \r\n", b"0x5\r\n", b"+5\r\n", b"-1\r\n", b"5\nhello", b"5\rhello", b"5\r\nhello\n", b"5\r\nhelloX",
     b"5\r\nhello\r\r", b"80000000\r\n", b"000000001\r\n", b"5;a\nhello", b"5;a\rb\r\n", b";a\r\n"],
)  # fmt: skip
def test_chunks_are_refused(body):
    for pieces in ([CHUNKED + body], [CHUNKED, *(body[at : at + 1] for at in range(len(body)))]):
        messages, refused = read(*pieces)
        assert (refused, messages[0][2]) == ("chunk", False)


@pytest.mark.parametrize(
    ("trailers", "reason"),
    [
        (b"A : b\r\n\r\n", "header-field"),
        (b"Abc\r\n", "header-field"),
        (b"".join(b"t%d: 1\r\n" % n for n in range(99)), "header-fields-too-many"),
        (b"a: " + b"b" * 33000, "header-fields-too-long"),
    ],
)
def test_trailers_are_header_fields_and_count_with_them(trailers, reason):
    messages, refused = read(CHUNKED + b"0\r\n" + trailers)
    assert (refused, messages[0][2]) == (reason, False)


@pytest.mark.parametrize(
    ("begun", "reason"),
    [
        (b"G@T /a HTTP/1.1\r\n", "request-line"),
        (b"GET /a HTTP/1.1\r\nAbc\r\n", "header-field"),
        (b"GET /" + b"a" * 8192, "request-line-too-long"),
        (b"GET /a HTTP/1.1\r\na: " + b"b" * 32768, "header-fields-too-long"),
        (b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * 101, "header-fields-too-many"),
        (b"\x16\x03\x01\x02\x00", "tls-on-the-plain-port"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2-on-the-plain-port"),
    ],
)
def test_a_head_is_refused_as_soon_as_that_is_certain(begun, reason):
    assert read(begun) == ([], reason)


def test_the_next_message_waits_until_the_receiver_is_ready():
    taken = Taken()
    reader = MessageReader(taken, KnownHeads(KESTREL))
    taken.ready = False
    reader.feed(GET)
    reader.feed(GET[:5])
    assert (taken.messages, reader.waiting) == ([], True)
    taken.ready = True
    reader.feed(b"")
    assert (taken.messages, reader.within_head) == ([["/b", b"", True]], True)
    reader.feed(GET[5:])
    assert (len(taken.messages), reader.between) == (2, True)


def test_a_head_that_is_known_is_not_read_again_and_says_the_same():
    known, taken = KnownHeads(KESTREL), Taken()
    heads = []
    for data in (GET, GET, GET + GET, GET.replace(b"/b", b"/c")):
        reader = MessageReader(taken, known)
        reader.feed(data)
        heads.append(reader.head)
    assert heads[0] is heads[1]
    assert [path for path, _, over in taken.messages if over] == ["/b", "/b", "/b", "/b", "/c"]


def test_few_heads_are_kept_and_none_that_has_a_body_or_is_long():
    known = KnownHeads(KESTREL)
    for number in range(3 * KNOWN_MAX + 5):
        MessageReader(Taken(), known).feed(GET.replace(b"/b", b"/%d" % number))
        assert len(known) <= KNOWN_MAX
    before = len(known)
    for data in (HEAD + b"Content-Length: 1\r\n\r\n", CHUNKED, GET.replace(b"/b", b"/" + b"b" * 2000), GET + GET[:5]):
        MessageReader(Taken(), known).feed(data)
    assert len(known) == before + 1  # the whole head of the last


def test_the_rest_of_a_body_can_be_read_past_the_reader():
    taken = Taken()
    reader = MessageReader(taken, KnownHeads(KESTREL))
    reader.feed(HEAD + b"Content-Length: 10\r\n\r\nabc")
    assert reader.body_left == 7
    reader.body_taken()
    reader.feed(GET)
    assert [path for path, _, _ in taken.messages] == ["/a", "/b"]


@given(st.binary(max_size=100))
def test_nothing_but_a_refusal_comes_out_of_any_bytes(data):
    read(CHUNKED + data)
    read(data)
