"""A reader for the first bytes of a connection, above all a TLS ClientHello: pure, incremental, of bounded size.

The wire format: RFC 8446 section 4.1.2 (ClientHello), RFC 6066 section 3 (server name), RFC 7301 (ALPN), RFC 8701 (GREASE
values, which JA3 leaves out). The fingerprint is JA3: version, ciphers, extensions, groups and point formats in decimal, as MD5.
It is equal on both sides of a balancer that passes TLS through, and differs when the balancer made a handshake of its own.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Any, Final, Literal

FIRST_BYTES_MAX: Final = 64
"""First bytes that are shown: a PROXY header v1 has up to 107 bytes, but the first 12 identify it."""
HELLO_MAX: Final = 16 * 1024 + 5
"""Longest ClientHello; real ones, post-quantum key shares included, stay below 2 KiB."""

Opening = Literal["tls", "proxy-v1", "proxy-v2", "http", "plain"]
"""The protocol that the first bytes belong to."""

_PROXY_V1: Final = b"PROXY "
_PROXY_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_METHODS: Final = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"OPTIONS ",
    b"CONNECT ",
    b"DELETE ",
    b"PATCH ",
    b"PRI * HTTP/2",
)
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SNI, _GROUPS, _POINTS, _ALPN, _VERSIONS = 0, 10, 11, 16, 43
_EXTENSION_HEAD: Final = struct.Struct(">HH")
_GREASE: Final = frozenset(0x1010 * high + 0x0A0A for high in range(16))
_NAMES: Final = {0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


class HelloError(ValueError):
    """The bytes are not a ClientHello."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """The offer of a TLS client, as it was on the wire.

    Attributes:
        sni: Server name in the letter case in which it was sent; None without one.
        alpn: Offered protocols, in the client's order.
        versions: Names of the offered TLS versions, such as `TLSv1.3`, without GREASE.
        ciphers: Numbers of the cipher suites in the client's order, with GREASE.
        extensions: Numbers of the extensions in the client's order, with GREASE.
        ja3: Fingerprint of 32 lower-case hex digits.
        size: Bytes of the whole ClientHello message without record headers.
        sha256: Digest of that message. It covers the client's random value, so it identifies one connection.
    """

    sni: str | None
    alpn: tuple[str, ...]
    versions: tuple[str, ...]
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    ja3: str
    size: int
    sha256: str

    def document(self) -> dict[str, Any]:
        """Return the ClientHello as the journal holds it."""
        # Not `asdict`, which copies every number of every list: this runs for each of thousands of connections.
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS: Final = tuple(ClientHello.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBytes:
    """The first bytes of a connection and what they are.

    Attributes:
        first_bytes: At most `FIRST_BYTES_MAX` bytes.
        hello: None unless `opening` is `tls` and the ClientHello could be read.
    """

    opening: Opening
    first_bytes: bytes
    hello: ClientHello | None


class HelloReader:
    """Collects the first bytes of a connection, in any pieces, until they identify the protocol."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def empty(self) -> bool:
        """Whether no bytes have arrived yet."""
        return not self._data

    def feed(self, data: bytes) -> FirstBytes | None:
        """Add bytes and return what they are, once that is clear."""
        self._data += data
        return self._look(over=False)

    def eof(self) -> FirstBytes | None:
        """Return what the bytes are, now that no more come; None without any."""
        return self._look(over=True) if self._data else None

    def _look(self, *, over: bool) -> FirstBytes | None:
        data = bytes(self._data)
        opening = opening_of(data, over=over)
        if opening is None:
            return None
        hello = None
        if opening == "tls":
            try:
                hello = client_hello(data)
            except HelloError:
                over = True
            if hello is None and not over and len(data) < HELLO_MAX:
                return None
        return FirstBytes(opening=opening, first_bytes=data[:FIRST_BYTES_MAX], hello=hello)


def opening_of(data: bytes, *, over: bool) -> Opening | None:
    """Return the protocol that begins like this, or None while several are possible. `over`: no more bytes come."""
    if not data:
        return None
    if data[0] == _HANDSHAKE:
        return "tls"
    kinds: list[tuple[bytes, Opening]] = [(_PROXY_V1, "proxy-v1"), (_PROXY_V2, "proxy-v2")]
    kinds += [(method, "http") for method in _METHODS]
    for start, kind in kinds:
        if data.startswith(start):
            return kind
    if not over and any(start.startswith(data) for start, _ in kinds):
        return None
    return "plain"


def client_hello(data: bytes) -> ClientHello | None:
    """Return the ClientHello at the start of a TLS stream, or None while it is incomplete.

    Raises:
        HelloError: the bytes are not a ClientHello.
    """
    message = _first_message(data)
    if message is None:
        return None
    reader = _Reader(message)
    version = reader.number(2)
    reader.take(32)
    reader.take(reader.number(1))
    ciphers = _numbers(reader.take(reader.number(2)))
    reader.take(reader.number(1))
    extensions = _extensions(reader.take(reader.number(2))) if reader.more else {}
    offered = _numbers(extensions.get(_VERSIONS, b"")[1:]) or (version,)
    return ClientHello(
        sni=_server_name(extensions.get(_SNI)),
        alpn=_protocols(extensions.get(_ALPN)),
        versions=tuple(_NAMES.get(number, f"0x{number:04x}") for number in offered if number not in _GREASE),
        ciphers=ciphers,
        extensions=tuple(extensions),
        ja3=_ja3(version, ciphers, extensions),
        size=len(message) + 4,
        sha256=hashlib.sha256(message).hexdigest(),
    )


def _first_message(data: bytes) -> bytes | None:
    """Return the body of the first handshake message, joined from its records."""
    joined, at = bytearray(), 0
    while at + 5 <= len(data):
        if data[at] != _HANDSHAKE or data[at + 1] != 3:
            raise HelloError(f"no TLS handshake record: {data[at : at + 5].hex()}")
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        joined += data[at + 5 : at + 5 + length]
        if joined and joined[0] != _CLIENT_HELLO:
            raise HelloError(f"handshake message {joined[0]}, no ClientHello")
        if len(joined) >= 4 and len(joined) - 4 >= (size := int.from_bytes(joined[1:4], "big")):
            return bytes(joined[4 : 4 + size])
        at += 5 + length
    return None


class _Reader:
    """Reads fields one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._end = data, 0, len(data)

    @property
    def more(self) -> bool:
        """Whether unread bytes are left."""
        return self._at < self._end

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes.

        Raises:
            HelloError: fewer bytes are left.
        """
        end = self._at + count
        if end > self._end:
            raise HelloError(f"a field of {count} bytes where {self._end - self._at} are left")
        data, self._at = self._data[self._at : end], end
        return data

    def number(self, width: int) -> int:
        """Return a big-endian number."""
        return int.from_bytes(self.take(width), "big")


def _extensions(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at, end = 0, len(data)
    while at < end:
        if at + 4 > end:
            raise HelloError(f"an extension's head where {end - at} bytes are left")
        number, size = _EXTENSION_HEAD.unpack_from(data, at)
        at += 4 + size
        if at > end:
            raise HelloError(f"an extension of {size} bytes that ends {at - end} bytes too late")
        found[number] = data[at - size : at]
    return found


def _numbers(data: bytes) -> tuple[int, ...]:
    """Big-endian numbers of two bytes each."""
    return struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])


def _server_name(data: bytes | None) -> str | None:
    if data is None:
        return None
    reader = _Reader(data)
    reader.take(3)  # Length of the list, and the one type of name that there is.
    return reader.take(reader.number(2)).decode("latin-1")


def _protocols(data: bytes | None) -> tuple[str, ...]:
    if data is None:
        return ()
    reader = _Reader(data)
    reader.take(2)
    found = []
    while reader.more:
        found.append(reader.take(reader.number(1)).decode("latin-1"))
    return tuple(found)


def _ja3(version: int, ciphers: tuple[int, ...], extensions: dict[int, bytes]) -> str:
    groups = _numbers(extensions.get(_GROUPS, b"")[2:])
    points = tuple(extensions.get(_POINTS, b"")[1:])
    lists = (ciphers, tuple(extensions), groups, points)
    fields = ("-".join(str(number) for number in numbers if number not in _GREASE) for numbers in lists)
    return hashlib.md5(",".join((str(version), *fields)).encode(), usedforsecurity=False).hexdigest()
