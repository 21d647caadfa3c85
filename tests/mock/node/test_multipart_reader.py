import itertools
import mmap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mocknode.mock.node.packages.multipart import FilePart, MultipartError, boundary_of, disposition_file_name

BOUNDARY = b"b0undary"


def read(*pieces, boundary=BOUNDARY):
    part = FilePart(boundary)
    content = b"".join(bytes(view) for piece in pieces for view in part.feed(piece))
    part.finish()
    return part.file_name, content


def wire(content, *, disposition='form-data; name="file"; filename="a.1.0.zip"', head=b"", tail=b"--\r\n"):
    lines = b"--" + BOUNDARY + b"\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n"
    return head + lines + content + b"\r\n--" + BOUNDARY + tail


def batch_of(piece):
    batch = mmap.mmap(-1, len(piece))
    batch[:] = piece
    return batch


# Content made of what looks like a boundary finds errors that random bytes do not.
CONTENT = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"--b0undar", b"\r\n--b0undarX", b"x", b"\0" * 50])
).map(b"".join)


@given(content=CONTENT, cuts=st.lists(st.integers(0, 400), max_size=8))
@example(content=b"\r\n--b0undar", cuts=[60, 66, 70])
def test_the_file_does_not_depend_on_how_the_bytes_were_cut(content, cuts):
    whole = wire(content)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    assert read(*pieces) == ("a.1.0.zip", content)
    assert read(*map(batch_of, filter(None, pieces))) == ("a.1.0.zip", content)


@given(content=st.binary(max_size=300))
def test_a_file_byte_by_byte_is_the_same_file(content):
    whole = wire(content)
    if b"\r\n--" + BOUNDARY not in content:
        assert read(*(bytes([byte]) for byte in whole)) == ("a.1.0.zip", content)


@pytest.mark.parametrize(
    ("case", "body"),
    [
        ("crlf before the first boundary", wire(b"data", head=b"\r\n")),
        ("a preamble", wire(b"data", head=b"This is multipart.\r\n")),
        ("no final --", wire(b"data", tail=b"\r\n")),
        ("nothing after the last boundary", wire(b"data", tail=b"")),
        ("an epilogue", wire(b"data", tail=b"--\r\nbye\r\n--b0undary")),
        ("blanks after the boundary", wire(b"data", tail=b"  \r\n")),
        ("unquoted parameters", wire(b"data", disposition="form-data; name=file; filename=a.1.0.zip")),
        ("no name", wire(b"data", disposition='form-data; filename="a.1.0.zip"')),
        (
            "filename* beside filename",
            wire(b"data", disposition="form-data; name=file; filename=x; filename*=utf-8''a.1.0.zip"),
        ),
        ("another case", wire(b"data", disposition='Form-Data; Name="file"; FileName="a.1.0.zip"')),
        ("no blanks", wire(b"data", disposition='form-data;name="file";filename="a.1.0.zip"')),
    ],
)
def test_every_form_that_clients_send_is_read(case, body):
    assert read(body) == ("a.1.0.zip", b"data"), case
    assert read(*(bytes([byte]) for byte in body)) == ("a.1.0.zip", b"data"), case


def test_other_parts_are_skipped():
    field = b'--b0undary\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    second = b'\r\nContent-Disposition: form-data; name="f"; filename="b.1.0.zip"\r\n\r\nother\r\n--b0undary--\r\n'
    assert read(wire(b"data", head=field, tail=second)) == ("a.1.0.zip", b"data")


def test_a_part_without_headers_is_skipped():
    assert read(wire(b"data", head=b"--b0undary\r\n\r\nbare\r\n")) == ("a.1.0.zip", b"data")


def test_an_empty_file_is_a_file():
    assert read(wire(b"")) == ("a.1.0.zip", b"")


def test_large_chunks_are_not_copied():
    part = FilePart(BOUNDARY)
    part.feed(wire(b"").removesuffix(b"\r\n--b0undary--\r\n"))
    chunk = batch_of(b"x" * 100_000)
    views = part.feed(chunk)
    assert sum(map(len, views)) == 100_000
    assert views[-1].obj is chunk


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (wire(b"data")[:-20], "ended before the boundary"),
        (b"--b0undary--\r\n", "A package file must be provided"),
        (b"no multipart at all", "A package file must be provided"),
        (
            b'--b0undary\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b0undary--',
            "A package file must be",
        ),
        (b"--b0undary\r\n" + b"X: y\r\n" * 4000, "more than 16384 bytes"),
    ],
)
def test_what_is_no_upload_is_refused(body, message):
    with pytest.raises(MultipartError, match=message):
        read(body)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a b"', b"a b"),
        ('Multipart/Form-Data; charset=utf-8; Boundary="abc"', b"abc"),
        ("multipart/form-data; boundary=--=_x; x=y", b"--=_x"),
    ],
)
def test_a_boundary_is_found(content_type, boundary):
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type", [None, "", "application/octet-stream", "multipart/form-data", "multipart/mixed; boundary=x"]
)
def test_another_content_type_is_refused(content_type):
    with pytest.raises(MultipartError):
        boundary_of(content_type)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (' form-data; name="f"; filename="C:\\dir\\a.1.0.zip"', "C:\\dir\\a.1.0.zip"),
        (' form-data; filename="a\\"b.zip"', 'a"b.zip'),
        (" form-data; filename*=UTF-8''%E2%82%AC.1.0.zip; filename=x", "€.1.0.zip"),
        (" form-data; filename*=bogus''a.zip", "a.zip"),
        (" form-data; filename*=idna''" + "%ff" * 50 + ".zip", "\ufffd" * 50 + ".zip"),
        (' form-data; filename="a;b.zip"; x=y', "a;b.zip"),
        (' form-data; name="f"', None),
        (' form-data; filename=""', ""),
    ],
)
def test_file_names_are_read(header, name):
    assert disposition_file_name(header) == name
