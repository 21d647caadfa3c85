"""First bytes of a connection: told apart whatever the cuts, and read as the client sent them."""

import contextlib
import hashlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.tentacle.client_hello import (
    FIRST_BYTES_MAX,
    HELLO_MAX,
    ClientHello,
    FirstBytes,
    HelloError,
    HelloReader,
    client_hello,
)


def hello_bytes(name: str | None = "Node-1.corp.test", alpn: tuple[str, ...] = ()) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(list(alpn))
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = hello_bytes(alpn=("h2", "http/1.1"))


def read(data: bytes, cuts: list[int]) -> FirstBytes | None:
    reader, at = HelloReader(), 0
    for cut in [*sorted(cuts), len(data)]:
        if (opened := reader.feed(data[at:cut])) is not None:
            return opened
        at = cut
    return reader.eof()


def test_what_a_client_offered_is_read() -> None:
    hello = client_hello(HELLO)
    assert hello is not None
    assert hello.sni == "Node-1.corp.test"
    assert hello.alpn == ("h2", "http/1.1")
    assert "TLSv1.3" in hello.versions
    assert 0x1302 in hello.ciphers
    assert hello.size == len(HELLO) - 5


def test_a_client_without_name_or_alpn() -> None:
    hello = client_hello(hello_bytes(None))
    assert hello is not None
    assert (hello.sni, hello.alpn) == (None, ())


def made_hello(*, grease: bool) -> bytes:
    """A ClientHello by hand, with and without the GREASE values of RFC 8701."""
    extra = b"\x1a\x1a" if grease else b""
    ciphers = extra + bytes.fromhex("1301 c02f")
    extensions = (b"\x2a\x2a\x00\x00" if grease else b"") + bytes.fromhex(
        "000a 0006 0004 001d 0017" + "000b 0002 01 00" + "002b 0003 02 0304"
    )
    body = b"\x03\x03" + bytes(32) + b"\x00" + len(ciphers).to_bytes(2, "big") + ciphers + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def test_ja3_is_the_digest_of_its_definition_and_leaves_grease_out() -> None:
    text = "771,4865-49199,10-11-43,29-23,0"
    for grease in (False, True):
        hello = client_hello(made_hello(grease=grease))
        assert hello is not None
        assert hello.ja3 == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_a_hello_in_several_records_is_one() -> None:
    message = HELLO[5:]
    records = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
        for part in (message[at : at + 100] for at in range(0, len(message), 100))
    )
    assert client_hello(records) == client_hello(HELLO)


@given(st.lists(st.integers(0, len(HELLO)), max_size=8))
def test_any_cut_of_a_hello_reads_alike(cuts: list[int]) -> None:
    opened = read(HELLO, cuts)
    assert opened is not None
    assert (opened.opening, opened.hello) == ("tls", client_hello(HELLO))
    assert isinstance(opened.hello, ClientHello)


@pytest.mark.parametrize(
    ("data", "opening"),
    [
        (b"PROXY TCP4 192.0.2.1 127.0.0.1 1 10943\r\n" + HELLO, "proxy-v1"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + HELLO, "proxy-v2"),
        (b"GET / HTTP/1.1\r\n\r\n", "http"),
        (b"POST /handshake HTTP/1.1\r\n\r\n", "http"),
        (b"MX\r\n\r\nMX-SUBSCRIBER 1.0 poll://a/\r\n\r\n", "plain"),
        (b"PROXIMITY", "plain"),
        (b"\r\n\r\n", "plain"),
        (b"\x00", "plain"),
        (b"\x16garbage that is no TLS at all", "tls"),
    ],
)
@given(cuts=st.lists(st.integers(0, 20), max_size=4))
def test_what_is_not_tls_is_told_apart_whatever_the_cuts(data: bytes, opening: str, cuts: list[int]) -> None:
    opened = read(data, [min(cut, len(data)) for cut in cuts])
    assert opened is not None
    assert opened.opening == opening
    assert data.startswith(opened.first_bytes)
    assert len(opened.first_bytes) <= FIRST_BYTES_MAX
    if opening != "tls":
        assert opened.hello is None


@given(st.binary(max_size=600))
def test_no_bytes_break_it(data: bytes) -> None:
    for prefix in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        with contextlib.suppress(HelloError):
            client_hello(prefix + data)
        read(prefix + data, [len(data) // 2])


def test_a_hello_that_never_ends_is_given_up() -> None:
    endless = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(HELLO_MAX)
    opened = read(endless, [9, 1000])
    assert opened is not None
    assert opened.hello is None
