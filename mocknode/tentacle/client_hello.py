"""What a TLS client sent first, read from the raw bytes: pure, incremental, of bounded size.

The wire: RFC 8446 section 4.1.2 (ClientHello), RFC 6066 section 3 (server name), RFC 7301 (ALPN), RFC 8701 (GREASE values,
which JA3 leaves out). The fingerprint is JA3: version, ciphers, extensions, groups and point formats in decimal, as MD5.
It is equal on both sides of whatever passes TLS through, and differs when somebody else shook hands.
"""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

FIRST_BYTES_MAX: Final = 64
"""Bytes shown of what was sent first: a PROXY header v1 is up to 107, but its kind shows in the first 12."""
HELLO_MAX: Final = 16 * 1024 + 5
"""Bytes that may come before a ClientHello is whole; real ones, post-quantum key shares included, stay below 2 KiB."""

Opening = Literal["tls", "proxy-v1", "proxy-v2", "http", "plain"]
"""What kind of thing the first bytes are."""

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
_NAMES: Final = {0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


class HelloError(ValueError):
    """The bytes are no ClientHello."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """What a TLS client offered, as it was on the wire.

    Attributes:
        sni: Server name, in the case it was sent; None without one.
        alpn: Protocols it offered, in its order.
        versions: Names of the TLS versions it offered, such as `TLSv1.3`; GREASE left out.
        ciphers: Numbers of the cipher suites, in its order, GREASE included.
        extensions: Numbers of the extensions, in its order, GREASE included.
        ja3: 32 lower-case hex digits.
        size: Bytes of the whole ClientHello message, record headers not counted.
        sha256: Of that message: equal only when every byte is. Contains the client's random, so it names one connection.
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
        """As the journal has it."""
        return asdict(self)
