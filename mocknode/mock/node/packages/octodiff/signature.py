"""The signature of a file: of each chunk its length, a rolling checksum and a SHA-1, by which a client finds what it has in common."""

import hashlib
import itertools
import struct
from collections.abc import Iterator
from typing import Final

CHUNK_BYTES: Final = 2048
"""Octodiff's default, and what the server uses."""
MAGIC: Final = b"OCTOSIG\x01"
HASH_NAME: Final = b"\x04SHA1"
ROLLING_NAME: Final = b"\x07Adler32"
END_OF_HEAD: Final = b">>>"
HEAD: Final = MAGIC + HASH_NAME + ROLLING_NAME + END_OF_HEAD
RECORD: Final = struct.Struct("<HI20s")
"""Length of the chunk, rolling checksum, SHA-1."""


def rolling_checksum(chunk: bytes) -> int:
    """Octodiff's Adler-32: both sums start as the original's and are kept modulo 2^16, not modulo 65521."""
    sums = list(itertools.accumulate(chunk, initial=1))
    return ((sum(sums) - 1) & 0xFFFF) << 16 | (sums[-1] & 0xFFFF)


def signature_size(file_size: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Bytes of the signature of a file with so many bytes."""
    return len(HEAD) + -(-file_size // chunk_bytes) * RECORD.size


def records(data: bytes, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The records of the next bytes of a file; only its last bytes may be no multiple of a chunk."""
    for at in range(0, len(data), chunk_bytes):
        chunk = data[at : at + chunk_bytes]
        digest = hashlib.sha1(chunk, usedforsecurity=False).digest()
        yield RECORD.pack(len(chunk), rolling_checksum(chunk), digest)
