"""Deltas of the load generator, read by what the nodes read them with."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.load.users.content import BLOCK
from mocknode.load.users.deltas import Edition, delta
from mocknode.mock.node.packages.octodiff import signature
from mocknode.mock.node.packages.octodiff.delta import Copy, DeltaReader

sizes = st.one_of(st.integers(1, 5000), st.sampled_from([2048, BLOCK - 1, BLOCK, BLOCK + 70, 2 * BLOCK + 2047]))


def content(edition: Edition) -> bytes:
    return b"".join(edition.content())


def signed(data: bytes) -> bytes:
    return signature.HEAD + b"".join(signature.records(data))


def applied(old: bytes, change: bytes) -> tuple[bytes, int]:
    """The new file, and how much of it was copied."""
    reader, new, copied = DeltaReader(len(old)), b"", 0
    for piece in reader.feed(change):
        part = old[piece.offset : piece.offset + piece.length] if isinstance(piece, Copy) else bytes(piece)
        copied += len(part) if isinstance(piece, Copy) else 0
        new += part
    reader.finish(hashlib.sha1(new).hexdigest())
    return new, copied


@settings(max_examples=25, deadline=None)
@given(size=sizes, base=st.integers(1, 9), steps=st.integers(1, 4))
def test_a_delta_makes_the_new_version_of_any_older_one(size: int, base: int, steps: int) -> None:
    old, new = (Edition(owner="a" * 32, version=version, size=size) for version in (base, base + steps))
    change, made = delta(signed(content(old)), new.content())
    file, copied = applied(content(old), change)
    assert file == content(new)
    assert made == hashlib.sha1(content(new)).hexdigest()
    blocks = -(-size // BLOCK)
    assert copied >= size - min(steps, blocks) * 2048


def test_every_version_of_every_pusher_is_its_own() -> None:
    editions = [Edition(owner=o * 32, version=v, size=3 * BLOCK) for o in "ab" for v in range(1, 9)]
    assert len({hashlib.sha1(content(e)).digest() for e in editions}) == len(editions)
    assert len({e.file_name for e in editions}) == len(editions)


def test_against_another_file_everything_is_sent() -> None:
    new = Edition(owner="a" * 32, version=1, size=10_000)
    change, _ = delta(signed(b"x" * 9_000), new.content())
    assert applied(b"x" * 9_000, change) == (content(new), 0)


def test_what_is_no_signature_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed: an Octodiff signature"):
        delta(b"<html>", [])
