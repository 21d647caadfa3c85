"""The client's half of Octodiff, written from its published format alone: reads a signature, makes a delta."""

import hashlib
import struct
from collections.abc import Iterator

RECORD = struct.Struct("<HI20s")


def read_signature(signature: bytes) -> list[tuple[int, int, bytes]]:
    """Length, rolling checksum and SHA-1 of each chunk."""
    magic, names = b"OCTOSIG\x01", b"\x04SHA1\x07Adler32>>>"
    assert signature.startswith(magic + names), signature[:40]
    return list(RECORD.iter_unpack(signature[len(magic + names) :]))


def delta_of(signature: bytes, new: bytes) -> bytes:
    """What makes `new` out of the file with this signature."""
    head = b"OCTODELTA\x01\x04SHA1" + struct.pack("<i", 20) + hashlib.sha1(new).digest() + b">>>"
    return head + b"".join(_commands(read_signature(signature), new))


def _commands(chunks: list[tuple[int, int, bytes]], new: bytes) -> Iterator[bytes]:
    copied, plain = (0, 0), 0
    for at, offset, length in _matches(chunks, new):
        if at > plain or copied[0] + copied[1] != offset:
            if copied[1]:
                yield struct.pack("<Bqq", 0x60, *copied)
            if at > plain:
                yield struct.pack("<Bq", 0x80, at - plain) + new[plain:at]
            copied = (offset, 0)
        copied = (copied[0], copied[1] + length)
        plain = at + length
    if copied[1]:
        yield struct.pack("<Bqq", 0x60, *copied)
    if plain < len(new):
        yield struct.pack("<Bq", 0x80, len(new) - plain) + new[plain:]


def _matches(chunks: list[tuple[int, int, bytes]], new: bytes) -> Iterator[tuple[int, int, int]]:
    """Place in the new file, place in the old one and length of each chunk that both have."""
    if not chunks:
        return
    by_rolling: dict[int, list[int]] = {}
    for index, (_, rolling, _) in enumerate(chunks):
        by_rolling.setdefault(rolling, []).append(index)
    size, last = chunks[0][0], chunks[-1][0]
    at = 0
    expected: int | None = 0
    rolled: tuple[int, int] | None = None
    while at < len(new):
        index = expected if expected is not None and _is(chunks, expected, new, at) else None
        expected = None
        if index is None and at + size <= len(new):
            rolled = rolled or _sums(new[at : at + size])
            candidates = by_rolling.get(rolled[1] << 16 | rolled[0], ())
            index = next((index for index in candidates if _is(chunks, index, new, at)), None)
        elif index is None and at + last == len(new) and _is(chunks, len(chunks) - 1, new, at):
            index = len(chunks) - 1
        if index is not None:
            yield at, index * size, chunks[index][0]
            at += chunks[index][0]
            expected, rolled = index + 1, None
            continue
        if rolled is not None and at + size < len(new):
            a = (rolled[0] - new[at] + new[at + size]) & 0xFFFF
            rolled = (a, (rolled[1] - size * new[at] + a - 1) & 0xFFFF)
        else:
            rolled = None
        at += 1


def _is(chunks: list[tuple[int, int, bytes]], index: int, new: bytes, at: int) -> bool:
    if index >= len(chunks):
        return False
    length, _, digest = chunks[index]
    piece = new[at : at + length]
    return len(piece) == length and hashlib.sha1(piece).digest() == digest


def _sums(chunk: bytes) -> tuple[int, int]:
    a, b = 1, 0
    for byte in chunk:
        a = (a + byte) & 0xFFFF
        b = (b + a) & 0xFFFF
    return a, b
