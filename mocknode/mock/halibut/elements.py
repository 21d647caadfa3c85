"""The number of elements in a BSON document, counted before decoding: a decoded element is far larger than on the wire.

A nested document is stored inside its element, so that one pass from front to back meets every element. Source: bsonspec.org 1.1.
"""

import struct
from typing import Final

from mocknode.mock.halibut.limits import ELEMENTS_MAX

_LENGTH: Final = struct.Struct("<i")
_SMALLEST: Final = 2
"""Bytes of the smallest element, a null without a name."""
_FIXED: Final = {
    0x01: 8, 0x03: 4, 0x04: 4, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0,
}  # fmt: skip
"""Bytes of a value by type; for a document or an array only its length field, as its elements follow."""
_COUNTED: Final = {0x02: 4, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4}
"""Bytes of a value by type that its leading length does not count."""
_REGEX, _CODE_WITH_SCOPE = 0x0B, 0x0F


def too_many_elements(data: bytes) -> bool:
    """Tell whether a document has more than `ELEMENTS_MAX` elements; False for a broken one, which decoding will report."""
    if len(data) <= ELEMENTS_MAX * _SMALLEST:
        return False
    found, at, end = 0, _LENGTH.size, len(data)
    try:
        while at < end and found <= ELEMENTS_MAX:
            kind = data[at]
            at += 1
            if kind == 0:
                continue  # End of a document.
            found += 1
            at = data.index(0, at) + 1
            at += _size(kind, data, at)
    except (ValueError, KeyError, struct.error):
        return False
    return found > ELEMENTS_MAX


def _size(kind: int, data: bytes, at: int) -> int:
    """Return the bytes of a value that hold no elements.

    Raises:
        ValueError, KeyError, struct.error: the value is broken.
    """
    if kind in _FIXED:
        return _FIXED[kind]
    if kind == _REGEX:
        return data.index(0, data.index(0, at) + 1) + 1 - at
    if kind == _CODE_WITH_SCOPE:
        # Its length, the code as text, and the length of the document that follows.
        return 4 + 4 + _length(data, at + 4) + 4
    return _COUNTED[kind] + _length(data, at)


def _length(data: bytes, at: int) -> int:
    (length,) = _LENGTH.unpack_from(data, at)
    if length < 0:
        raise ValueError(f"a length of {length}")
    return int(length)
