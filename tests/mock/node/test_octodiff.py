"""Octodiff's formats without I/O; vectors of `signaturebuilder_test.go` and `deltabuilder_test.go` of go-octodiff."""

import hashlib
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from octodiff_client import delta_of

from mocknode.mock.node.packages.octodiff.delta import GROWTH_MAX, Copy, DeltaError, DeltaReader
from mocknode.mock.node.packages.octodiff.signature import HEAD, RECORD, records, rolling_checksum, signature_size

# A delta against nothing holds the whole file: this is that of the vectors, a certificate.
FULL = bytes.fromhex(
    "4f43544f44454c544101045348413114000000330bd06982d3b5dbda6c1a6ad16687a0cdb03c0d3e3e3e80080200000000000030820204308201aba0030201"
    "02021418d83f07718be4121df0a18d7610faf8d7a3bec4300a06082a8648ce3d0403023058310b30090603550406130241553113301106035504080c0a536f"
    "6d652d537461746531173015060355040a0c0e4f63746f707573204465706c6f79310c300a060355040b0c03522644310d300b06035504030c045445535430"
    "1e170d3233303332303039343834325a170d3234303331393039343834325a3058310b30090603550406130241553113301106035504080c0a536f6d652d53"
    "7461746531173015060355040a0c0e4f63746f707573204465706c6f79310c300a060355040b0c03522644310d300b06035504030c04544553543059301306"
    "072a8648ce3d020106082a8648ce3d03010703420004504b77248d83e2e3e209bbb2297a0e4d24ff45e79eff88dd165e6419ae98512dabd2219da46e93d7ff"
    "98d5a1cb80314a57f37d0931ecf7f3bd4bce212cfd2cbaa3533051301d0603551d0e04160414badd278a31e012776afbfda4ead8fdce904f0efc301f060355"
    "1d23041830168014badd278a31e012776afbfda4ead8fdce904f0efc300f0603551d130101ff040530030101ff300a06082a8648ce3d040302034700304402"
    "20599cef920115b64a7d0bc7de55a84bba7f05ee78b9e903af7cb52b4a5dcc8ea2022006575445dab9c21325a48de3bd7ce51a34612015a74648787c7a7e03"
    "26453770"
)
FILE = FULL[-520:]
SIGNATURE = "4f43544f5349470104534841310741646c657233323e3e3e0802f79fa2f0330bd06982d3b5dbda6c1a6ad16687a0cdb03c0d"
SMALL_CHUNKS = (
    "4f43544f5349470104534841310741646c657233323e3e3e8000951f26e719f3978cb607e80a9aab3abbcac8bb1ecbcecf3e80001f18260f0f73196c2aa578"
    "77ee5e31291a59b5afca4493658000e035f42a42c4a73471dea3b9746e22dd93893fd8549f11bd8000dd2ff46b72e00e30ecae4c70ee07721d221a3b8a6d18"
    "47fa08008a02860c21d4023a8ba580ecdba742e7400aa40b6e449bb3"
)
NO_CHANGE = "4f43544f44454c544101045348413114000000330bd06982d3b5dbda6c1a6ad16687a0cdb03c0d3e3e3e6000000000000000000802000000000000"
PREPENDED = (
    "4f43544f44454c54410104534841311400000"
    "0e5ca5051b8cf462ed567a8f88802fd9e62a0f0e83e3e3e800100000000000000aa6000000000000000000802000000000000"
)


def sign(data, chunk_bytes=2048):
    return HEAD + b"".join(records(data, chunk_bytes))


def apply(basis, delta, *, cuts=()):
    """The new file, the delta fed in pieces."""
    reader, made = DeltaReader(len(basis)), bytearray()
    edges = [0, *sorted(cut % (len(delta) + 1) for cut in cuts), len(delta)]
    for start, end in itertools.pairwise(edges):
        for piece in reader.feed(delta[start:end]):
            made += basis[piece.offset : piece.offset + piece.length] if isinstance(piece, Copy) else piece
    reader.finish(hashlib.sha1(made).hexdigest())
    return bytes(made)


@pytest.mark.verified
def test_signatures_are_those_of_go_octodiff():
    assert sign(FILE).hex() == SIGNATURE
    assert sign(FILE, 128).hex() == SMALL_CHUNKS


@pytest.mark.verified
@pytest.mark.parametrize(
    ("basis", "delta", "made"),
    [(b"", FULL, FILE), (FILE, bytes.fromhex(NO_CHANGE), FILE), (FILE, bytes.fromhex(PREPENDED), b"\xaa" + FILE)],
)
def test_deltas_of_go_octodiff_apply(basis, delta, made):
    assert apply(basis, delta) == made


@pytest.mark.verified
def test_the_client_of_these_tests_makes_the_deltas_of_go_octodiff():
    assert delta_of(sign(b""), FILE) == FULL
    assert delta_of(sign(FILE), FILE).hex() == NO_CHANGE
    assert delta_of(sign(FILE, 128), b"\xaa" + FILE).hex() == PREPENDED


@given(st.binary(max_size=400))
def test_the_rolling_checksum_is_two_sums_modulo_65536(data):
    a, b = 1, 0
    for byte in data * 40:
        a = (a + byte) % 65536
        b = (b + a) % 65536
    assert rolling_checksum(data * 40) == b << 16 | a


EDIT = st.tuples(st.integers(0, 20_000), st.integers(0, 600), st.binary(max_size=300))


@given(st.binary(max_size=64), st.integers(0, 300), st.lists(EDIT, max_size=4), st.lists(st.integers(0), max_size=6))
def test_sign_delta_apply_gives_the_new_file(seed, times, edits, cuts):
    old = b"".join(hashlib.sha1(seed + bytes([n % 256])).digest() + seed for n in range(times))
    new = old
    for at, gone, put in edits:
        new = new[:at] + put + new[at + gone :]
    signature = sign(old, 128)
    assert len(signature) == signature_size(len(old), 128)
    assert apply(old, delta_of(signature, new), cuts=cuts) == new


def test_a_small_change_is_a_small_delta():
    old = b"".join(hashlib.sha1(bytes([n % 256, n >> 8])).digest() for n in range(10_000))
    new = old[:50_000] + b"changed" + old[50_003:]
    assert len(delta_of(sign(old), new)) < 2 * 2048 + 200


def head(sha1=b"\0" * 20):
    return b"OCTODELTA\x01\x04SHA1\x14\0\0\0" + sha1 + b">>>"


@pytest.mark.parametrize(
    ("delta", "reason"),
    [
        (b"", "ends within a command"),
        (b"PK\x03\x04 an archive", "allowed: an Octodiff delta with SHA-1"),
        (b"OCTODELTA\x02", "allowed: an Octodiff delta with SHA-1"),
        (b"OCTODELTA\x01\x04SHA1\x10\0\0\0" + b"\0" * 40, "allowed: an Octodiff delta with SHA-1"),
        (head()[:-3] + b"<<<", "allowed: an Octodiff delta with SHA-1"),
        (head() + b"\x61", "got command 0x61 at byte 42"),
        (head() + b"\x60\0", "ends within a command"),
        (head() + struct.pack("<Bq", 0x80, 5) + b"four", "ends within a command"),
        (head() + struct.pack("<Bq", 0x80, -1), "got a length of -1"),
        (head() + struct.pack("<Bqq", 0x60, 0, -1), "copies -1 bytes at 0"),
        (head() + struct.pack("<Bqq", 0x60, -1, 1), "copies 1 bytes at -1"),
        (head() + struct.pack("<Bqq", 0x60, 0, 101), "copies 101 bytes at 0 of a base of 100 bytes"),
        (head() + struct.pack("<Bqq", 0x60, 2**63 - 1, 2**63 - 1), "of a base of 100 bytes"),
        (head() + struct.pack("<Bqq", 0x60, 0, 100), "made a file with SHA-1"),
    ],
)
def test_hostile_deltas_are_refused(delta, reason):
    with pytest.raises(DeltaError, match=reason):
        apply(b"x" * 100, delta)


def test_a_delta_cannot_fill_the_disk():
    reader = DeltaReader(1_000_000)
    with pytest.raises(DeltaError, match=f"more than {GROWTH_MAX} times"):
        list(reader.feed(head() + struct.pack("<Bqq", 0x60, 0, 1_000_000) * (GROWTH_MAX + 1)))


@given(st.binary(max_size=200), st.booleans(), st.lists(st.integers(0), max_size=4))
def test_any_bytes_end_in_an_error_of_ours(data, headed, cuts):
    delta = head() + data if headed else data
    with pytest.raises(DeltaError):
        apply(b"x" * 1000, delta, cuts=cuts)


def test_a_record_is_26_bytes():
    assert RECORD.size == 26
