"""One message on the wire: raw DEFLATE of a BSON document, then its data streams, without a length in front.

The end of the DEFLATE stream ends the document; bytes after it belong to what follows. A data stream consists of its id, its
length, its bytes and its length again; the streams of a message come in any order.
"""

import contextlib
import hashlib
import struct
import uuid
import zlib
from collections.abc import Mapping
from typing import Any, Final

from mocknode.mock.halibut.events import Cause, DataStream
from mocknode.mock.halibut.limits import DEFLATED_MAX, DOCUMENT_MAX

_LENGTH: Final = struct.Struct("<q")
_DOCUMENT_LENGTH: Final = struct.Struct("<i")
_STREAM_HEAD_BYTES: Final = 16 + _LENGTH.size
# The real implementation's read size; it also bounds the output of one step of decompression.
_STEP: Final = 8192
_HEAD_BYTES: Final = 5
"""First bytes of a message that are kept, as many as END and its line end have, to recognise END in place of a message."""
# A negative value means neither header nor checksum.
_RAW: Final = -zlib.MAX_WBITS


class BrokenMessageError(Exception):
    """The bytes are not a valid message."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause: Cause = cause


def compress(document: bytes) -> bytes:
    """Compress a document. Level 6 produces the same bytes as .NET 8."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, _RAW)
    return deflate.compress(document) + deflate.flush(zlib.Z_FINISH)


def stream_parts(id_: uuid.UUID, payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a data stream as the three writes that send it."""
    length = _LENGTH.pack(len(payload))
    return id_.bytes_le + length, payload, length


class DocumentReader:
    """Inflates a document, from pieces of any size; never holds more bytes than the document's declared length.

    Args:
        deflated_max: Largest number of DEFLATE bytes.

    Attributes:
        head: The first bytes that arrived, at most five.
    """

    def __init__(self, deflated_max: int = DEFLATED_MAX) -> None:
        # Made when a message begins: it takes 7 KiB, and most connections of a fleet are waiting for a message.
        self._inflater: Any = None
        self._document = bytearray()
        self._room = self._deflated_max = deflated_max
        self.head = b""

    @property
    def begun(self) -> bool:
        """Whether any byte of this message has arrived."""
        return self._inflater is not None

    @property
    def _inflate(self) -> Any:
        if self._inflater is None:
            self._inflater = zlib.decompressobj(_RAW)
        return self._inflater

    def feed(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Add bytes; return the document once it is complete, and the bytes after it.

        Raises:
            BrokenMessageError: the bytes are no DEFLATE, do not end, or hold a document that is too large or of another length
                than it declares.
        """
        if not data:
            return None, b""
        self.head += data[: _HEAD_BYTES - len(self.head)]
        data, beyond = data[: self._room], data[self._room :]
        self._room -= len(data)
        before, had = self._inflate.copy(), len(self._document)
        try:
            self._inflate_all(data)
        except zlib.error as error:
            # zlib returns no output of a piece that it fails in. Fed byte by byte it does, so that the same first error is
            # reported wherever the pieces were cut.
            self._inflater = before
            del self._document[had:]
            with contextlib.suppress(zlib.error):
                for at in range(len(data)):
                    self._inflate_all(data[at : at + 1])
            raise BrokenMessageError("bad-deflate", f"the message is no raw DEFLATE: {error}") from None
        if not self._inflate.eof:
            if beyond:
                text = f"a message of more than {self._deflated_max} bytes of DEFLATE, which has not ended"
                raise BrokenMessageError("document-too-large", text)
            return None, b""
        if len(self._document) != self._declared():
            text = f"the BSON says it is {self._declared()} bytes long; {len(self._document)} arrived"
            raise BrokenMessageError("bad-document", text)
        return bytes(self._document), self._inflate.unused_data + beyond

    def _inflate_all(self, data: bytes) -> None:
        more = self._inflate.decompress(data, _STEP)
        # zlib returns at most _STEP bytes at a time and keeps the rest for the next call.
        while more:
            self._document += more
            self._check_length()
            more = b"" if self._inflate.eof else self._inflate.decompress(self._inflate.unconsumed_tail, _STEP)

    def _declared(self) -> int | None:
        if len(self._document) < _DOCUMENT_LENGTH.size:
            return None
        return int(_DOCUMENT_LENGTH.unpack_from(self._document)[0])

    def _check_length(self) -> None:
        declared = self._declared()
        if declared is None:
            return
        if declared > DOCUMENT_MAX:
            raise BrokenMessageError(
                "document-too-large", f"a document of {declared} bytes; at most {DOCUMENT_MAX} are taken"
            )
        if len(self._document) > declared:
            raise BrokenMessageError("bad-document", f"the BSON says it is {declared} bytes long; more arrived")


class StreamsReader:
    """Reads the data streams of one message; counts and hashes their bytes without keeping them."""

    def __init__(self, expected: tuple[uuid.UUID, ...]) -> None:
        self._expected = list(expected)
        self._head = bytearray()
        self._current: tuple[uuid.UUID, int] | None = None
        self._left = 0
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._done: list[DataStream] = []

    def feed(self, data: bytes) -> tuple[tuple[DataStream, ...] | None, bytes]:
        """Add bytes; return all streams once the last one is complete, and the bytes after it.

        Raises:
            BrokenMessageError: the document does not name a stream, or its two lengths differ.
        """
        while self._expected:
            if not data:
                return None, b""
            if self._current is None:
                data = self._read_head(data)
            elif self._left:
                taken = data[: self._left]
                self._digest.update(taken)
                self._left -= len(taken)
                data = data[len(taken) :]
            else:
                data = self._read_tail(data)
        return tuple(self._done), data

    def _read_head(self, data: bytes) -> bytes:
        taken = data[: _STREAM_HEAD_BYTES - len(self._head)]
        self._head += taken
        if len(self._head) == _STREAM_HEAD_BYTES:
            id_ = uuid.UUID(bytes_le=bytes(self._head[:16]))
            (length,) = _LENGTH.unpack_from(self._head, 16)
            if id_ not in self._expected:
                raise BrokenMessageError("unexpected-stream", f"Unexpected stream! {id_} is not in the message")
            if length < 0:
                raise BrokenMessageError("stream-size-mismatch", f"a data stream of {length} bytes")
            self._current, self._left = (id_, length), length
            self._digest = hashlib.sha1(usedforsecurity=False)
            self._head.clear()
        return data[len(taken) :]

    def _read_tail(self, data: bytes) -> bytes:
        assert self._current is not None
        taken = data[: _LENGTH.size - len(self._head)]
        self._head += taken
        if len(self._head) == _LENGTH.size:
            id_, length = self._current
            (again,) = _LENGTH.unpack(self._head)
            if again != length:
                text = f"Data stream size mismatch detected. {length} bytes before the data, {again} behind it"
                raise BrokenMessageError("stream-size-mismatch", text)
            self._done.append(DataStream(id=str(id_), length=length, sha1=self._digest.hexdigest()))
            self._expected.remove(id_)
            self._current = None
            self._head.clear()
        return data[len(taken) :]


def message_parts(
    document: bytes, payloads: Mapping[uuid.UUID, bytes], ids: tuple[uuid.UUID, ...]
) -> tuple[bytes, ...]:
    """Return a message as the writes that send it.

    Raises:
        KeyError: a stream of the document has no payload.
    """
    parts = [compress(document)]
    for id_ in ids:
        parts += stream_parts(id_, payloads[id_])
    return tuple(parts)
