"""The rules of a request's head: what the real web server refuses and why, and what it lets pass."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.node.http.request_head import Head, Refusal, RefusedRequestError, decoded_path
from mocknode.mock.node.web_server import HTTP_SYS, KESTREL

LINE = b"GET /a HTTP/1.1\r\n"
HOST = b"Host: x\r\n"


def read(data, limits=KESTREL):
    head = Head()
    head.read(data, limits)
    return head


def refusal(data, limits=KESTREL):
    with pytest.raises(RefusedRequestError) as caught:
        read(data, limits)
    return caught.value.reason, caught.value.status


def lined(line, *fields):
    return b"\r\n".join([line, *fields, b"", b""])


@pytest.mark.parametrize(
    ("line", "reason", "status"),
    [
        (b"GET /a", Refusal.REQUEST_LINE, 400),
        (b"GET", Refusal.REQUEST_LINE, 400),
        (b" /a HTTP/1.1", Refusal.REQUEST_LINE, 400),
        (b"GET  /a HTTP/1.1", Refusal.REQUEST_LINE, 400),
        (b"GET /a  HTTP/1.1", Refusal.REQUEST_LINE, 400),
        (b"GET /a HTTP/1.1 ", Refusal.REQUEST_LINE, 400),
        (b"G(T /a HTTP/1.1", Refusal.REQUEST_LINE, 400),
        (b"G\xc3\xa9T /a HTTP/1.1", Refusal.REQUEST_LINE, 400),
        (b"GET /a HTTP/1.10", Refusal.REQUEST_LINE, 400),
        (b"GET /a HTTP/1.2", Refusal.VERSION, 505),
        (b"GET /a HTTP/0.9", Refusal.VERSION, 505),
        (b"GET /a HTTP/2.0", Refusal.VERSION, 505),
        (b"GET /a http/1.1", Refusal.VERSION, 505),
        (b"GET api/a HTTP/1.1", Refusal.TARGET, 400),
        (b"GET ?a HTTP/1.1", Refusal.TARGET, 400),
        (b"GET api HTTP/1.1", Refusal.TARGET_CONNECT, 405),
        (b"GET a:80 HTTP/1.1", Refusal.TARGET_CONNECT, 405),
        (b"GET * HTTP/1.1", Refusal.TARGET_OPTIONS, 405),
        (b"GET http:/a HTTP/1.1", Refusal.TARGET, 400),
        (b"GET http://x:99999/a HTTP/1.1", Refusal.TARGET, 400),
        (b"GET http:///a HTTP/1.1", Refusal.TARGET, 400),
        (b"GET /a\0 HTTP/1.1", Refusal.TARGET, 400),
        (b"GET /%00 HTTP/1.1", Refusal.TARGET, 400),
        (b"GET /\xc3\xa9 HTTP/1.1", Refusal.TARGET, 400),
        (b"GET /a?\0 HTTP/1.1", Refusal.TARGET, 400),
        (b"GET /a?\xff HTTP/1.1", Refusal.TARGET, 400),
    ],
)
def test_a_request_line_is_refused(line, reason, status):
    assert refusal(lined(line, b"Host: x")) == (reason, status)


@pytest.mark.parametrize("method", [b"get", b"Get", b"BREW", b"M-SEARCH", b"a!#$%&'*+.^_`|~9"])
def test_every_token_is_a_method_and_its_case_does_not_matter(method):
    assert read(lined(method + b" /a HTTP/1.1", b"Host: x")).method == method.decode().upper()


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_both_line_ends_are_taken(end):
    head = read(end.join([b"GET /a?b HTTP/1.1", b"Host: x", b"A:  b\t", b"", b""]))
    assert (head.path, head.query, head.headers) == ("/a", b"b", [(b"host", b"x"), (b"a", b"b")])


@pytest.mark.parametrize(
    "host",
    ["a b", "a/b", "a@b", "a,b", "a%62", "a*", "a+", "a;", "a=", "a:", "a:b", "a:80:80", "a:-1", ":80", "é", "[::1", "[::]", "[::1]:",
     "[::1]80", "[g::1]", "[::1]:x", "::1", 'a"b', "a#b", "a?b", "a\\b", "<a>", "http://x"],
)  # fmt: skip
def test_what_is_no_host(host):
    reason, status = refusal(lined(b"GET /a HTTP/1.1", b"Host: " + host.encode()))
    assert (reason, status) == (Refusal.HOST_INVALID, 400)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a",
        "A",
        "a_b",
        "a..b",
        ".",
        "-",
        "~!$&'()",
        "a:0",
        "a:99999",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:80",
        "[1.2]",
        "[....]",
    ],
)
def test_what_is_a_host(host):
    assert read(lined(b"GET /a HTTP/1.1", b"Host: " + host.encode())).named[b"host"] == host.encode()


@pytest.mark.parametrize(
    ("line", "fields", "reason"),
    [
        (b"GET /a HTTP/1.1", [], Refusal.HOST_MISSING),
        (b"GET /a HTTP/1.1", [b"Host: a", b"Host: a"], Refusal.HOST_REPEATED),
        (b"GET /a HTTP/1.0", [b"Host: a", b"host: b"], Refusal.HOST_REPEATED),
        (b"GET /a HTTP/1.0", [], None),
        (b"GET http://x/a HTTP/1.1", [b"Host: x"], None),
        (b"GET http://x/a HTTP/1.1", [b"Host: x:80"], None),
        (b"GET http://x:80/a HTTP/1.1", [b"Host: x"], None),
        (b"GET http://x:81/a HTTP/1.1", [b"Host: x:81"], None),
        (b"GET http://u@x/a HTTP/1.1", [b"Host: x"], None),
        (b"GET https://x/a HTTP/1.1", [b"Host: x:443"], None),
        (b"GET http://x/a HTTP/1.1", [], Refusal.HOST_MISSING),
        (b"GET http://x/a HTTP/1.0", [], None),
        (b"GET http://x/a HTTP/1.1", [b"Host: y"], Refusal.HOST_OTHER),
        (b"GET http://x/a HTTP/1.1", [b"Host: "], Refusal.HOST_OTHER),
        (b"GET http://x:81/a HTTP/1.1", [b"Host: x"], Refusal.HOST_OTHER),
        (b"CONNECT a:80 HTTP/1.1", [b"Host: a:80"], None),
        (b"CONNECT a:80 HTTP/1.1", [b"Host: a"], Refusal.HOST_OTHER),
        (b"OPTIONS * HTTP/1.1", [b"Host: anything"], None),
    ],
)
def test_the_host_belongs_to_the_target(line, fields, reason):
    data = lined(line, *fields)
    if reason is None:
        read(data)
    else:
        assert refusal(data) == (reason, 400)


@pytest.mark.parametrize(
    ("path", "decoded"),
    [
        (b"/", "/"), (b"/a%20b", "/a b"), (b"/a%2Fb", "/a%2Fb"), (b"/a%2fb", "/a%2fb"), (b"/%25", "/%"), (b"/a+b", "/a+b"),
        (b"/%zz", "/%zz"), (b"/%", "/%"), (b"/%4", "/%4"), (b"/%C3%A9", "/é"), (b"/%C3", "/%C3"), (b"/%C3a", "/%C3a"),
        (b"/%FF%41", "/%FFA"), (b"/%C0%AF", "/%C0%AF"), (b"/%ED%A0%80", "/%ED%A0%80"), (b"/%E2%98%83%2f", "/☃%2f"),
        (b"/a/../b", "/b"), (b"/a/%2e%2e/b", "/b"), (b"/a/.%2E/b", "/b"), (b"/a/./b", "/a/b"), (b"/..", "/"), (b"/../../a", "/a"),
        (b"/a/..", "/"), (b"/a/.", "/a/"), (b"/a/b/../", "/a/"), (b"//a", "//a"), (b"/a//../b", "/a/b"), (b"/a#b", "/a#b"),
        (b"/...", "/..."), (b"/.a", "/.a"), (b"/a..", "/a.."),
    ],
)  # fmt: skip
def test_a_path_is_decoded_once_and_its_dots_are_resolved(path, decoded):
    assert decoded_path(path) == decoded
    assert read(lined(b"GET " + path + b"?q=%2F HTTP/1.1", b"Host: x")).query == b"q=%2F"


@given(st.text(st.sampled_from("/.%2eEfFcC3aA9é0\u2603"), max_size=30))
def test_a_decoded_path_has_no_dot_segments(text):
    path = "/" + "".join(char if char.isascii() else "".join(f"%{byte:02X}" for byte in char.encode()) for char in text)
    try:
        decoded = decoded_path(path.encode())
    except RefusedRequestError:
        assert "%0" in path
        return
    assert decoded.startswith("/")
    assert not {".", ".."} & set(decoded.split("/"))


@pytest.mark.parametrize(
    "field",
    [
        b"A : b",
        b"A\t: b",
        b" A: b",
        b"A: b\r\n c",
        b"Abc",
        b": b",
        b"",
        b"A: b\0",
        b"A: b\rc",
        b"A\0: b",
        b"A\xc3\xa9: b",
        b"A: \xe9",
    ],
)
def test_a_header_field_is_refused(field):
    data = LINE + HOST + field + b"\r\n\r\n"
    if field:
        assert refusal(data) == (Refusal.FIELD, 400)
    else:
        assert read(data).headers == [(b"host", b"x")]


@pytest.mark.parametrize(
    "field", [b"A@: b", b"A(b: c", b"A:b", b"A:", b"A: \xc3\xa9", b"A: \x01\x7f", b"A: b:c", b"A:\t b \t"]
)
def test_a_header_field_is_taken(field):
    name, _, value = field.partition(b":")
    assert read(LINE + HOST + field + b"\r\n\r\n").headers[1] == (name.lower(), value.strip())


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"5", 5),
        (b"+5", 5),
        (b"-0", 0),
        (b"007", 7),
        (b"0" * 5000 + b"1", 1),
        (b"9223372036854775807", 2**63 - 1),
    ],
)
def test_a_length_is_taken(value, length):
    assert read(lined(b"POST /a HTTP/1.1", b"Host: x", b"Content-Length: " + value)).length == length


@pytest.mark.parametrize(
    "value",
    [b"", b"-1", b"+-1", b"5, 5", b"5 5", b"0x5", b"5.0", b"abc", b"9223372036854775808", b"9" * 5000, b"\xd9\xa3"],
)
def test_a_length_is_refused(value):
    assert refusal(lined(b"POST /a HTTP/1.1", b"Host: x", b"Content-Length: " + value)) == (Refusal.LENGTH, 400)


@pytest.mark.parametrize(
    ("line", "fields", "got"),
    [
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: chunked"], (True, None, True)),
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: gzip, Chunked"], (True, None, True)),
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"], (True, None, True)),
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: chunked", b"Content-Length: 5"], (True, None, False)),
        (b"POST /a HTTP/1.0", [b"Transfer-Encoding: chunked"], (True, None, False)),
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: chunked, gzip"], Refusal.CODING),
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: identity"], Refusal.CODING),
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: "], Refusal.CODING),
        (b"POST /a HTTP/1.1", [b"Transfer-Encoding: xchunked"], Refusal.CODING),
        (b"POST /a HTTP/1.1", [b"Content-Length: 5", b"Content-Length: 5"], Refusal.LENGTH_REPEATED),
        (b"POST /a HTTP/1.1", [], (False, None, True)),
        (b"POST /a HTTP/1.0", [], Refusal.LENGTH_REQUIRED),
        (b"PUT /a HTTP/1.0", [], Refusal.LENGTH_REQUIRED),
        (b"DELETE /a HTTP/1.0", [], (False, None, False)),
        (b"GET /a HTTP/1.0", [b"Connection: Keep-Alive"], (False, None, True)),
        (b"GET /a HTTP/1.0", [b"Connection: keep-alive, close"], (False, None, False)),
        (b"GET /a HTTP/1.1", [b"Connection: x", b"Connection: upgrade ,Close"], (False, None, False)),
    ],
)
def test_how_a_body_is_delimited_and_whether_the_connection_lasts(line, fields, got):
    data = lined(line, b"Host: x", *fields)
    if isinstance(got, Refusal):
        assert refusal(data) == (got, 400)
    else:
        head = read(data)
        assert (head.chunked, head.length, head.keep_alive) == got


@pytest.mark.parametrize("limits", [KESTREL, HTTP_SYS])
def test_the_limits_are_reached_and_not_passed(limits):
    rest = len(b"GET / HTTP/1.1\r\n")
    line = b"GET /" + b"a" * (limits.line_bytes - rest) + b" HTTP/1.1\r\n"
    read(line + HOST + b"\r\n", limits)
    assert refusal(line.replace(b"/a", b"/aa", 1) + HOST + b"\r\n", limits) == (Refusal.REQUEST_LINE_LONG, 414)
    few = [b"x%d: 1" % number for number in range(limits.fields - 1)]
    read(lined(b"GET / HTTP/1.1", b"Host: x", *few), limits)
    assert refusal(lined(b"GET / HTTP/1.1", b"Host: x", *few, b"y: 1"), limits) == (Refusal.FIELDS_MANY, 431)
    long = b"y: " + b"a" * (limits.fields_bytes - len(HOST) - len(b"y: \r\n")) + b"\r\n"
    read(LINE + HOST + long + b"\r\n", limits)
    assert refusal(LINE + HOST + b"z" + long + b"\r\n", limits) == (Refusal.FIELDS_LONG, 431)


@pytest.mark.parametrize(
    ("version", "value", "waits"),
    [(b"1.1", b"100-Continue", True), (b"1.0", b"100-continue", False), (b"1.1", b"x", False)],
)
def test_who_waits_for_the_interim_answer(version, value, waits):
    head = read(lined(b"POST /a HTTP/" + version, b"Host: x", b"Content-Length: 1", b"Expect: " + value))
    assert head.expects_continue is waits


@given(st.binary(max_size=200))
def test_nothing_but_a_refusal_comes_out_of_any_bytes(data):
    try:
        head = read(LINE + data + b"\r\n\r\n")
    except RefusedRequestError as exc:
        status = exc.status
    else:
        assert head.method == "GET"
        return
    assert status in (400, 431)


@given(st.text(string.printable, min_size=1, max_size=60))
def test_any_request_line_is_taken_or_refused(text):
    try:
        head = read(text.replace("\n", "").encode() + b"\r\n" + HOST + b"\r\n")
    except RefusedRequestError as exc:
        status = exc.status
    else:
        assert head.version in ("1.0", "1.1")
        return
    assert status in (400, 405, 505)
