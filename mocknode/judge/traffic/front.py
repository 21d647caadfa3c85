"""The balancer's front door: where clients connect, which name they ask for, and which certificates they trust."""

import ipaddress
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

CLIENT_ADDRESS = "127.0.0.2"
"""Local address of clients on loopback: nodes can then tell a client (127.0.0.2) from the balancer (127.0.0.1)."""

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoor:
    """Address of a balancer as its users reach it.

    Attributes:
        host: Name or address in the URL.
        connect_host: Address to connect to instead of resolving `host` (`--resolve`).
        host_header: Name to ask for instead of `host` (`--host`), in Host and in the TLS server name.
        ca: PEM file of the authorities to trust; None trusts those of the system.
        insecure: Accept any certificate.
        source: Local address to connect from; used only if the target is an IPv4 loopback address.
        tagged: Put the attempt's id into the query as well, because the balancer removes our header.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    connect_host: str | None = None
    host_header: str | None = None
    ca: str | None = None
    insecure: bool = False
    source: str | None = CLIENT_ADDRESS
    tagged: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in DEFAULT_PORTS:
            raise ValueError(f"a front door's scheme is http or https, got {self.scheme!r}")
        if not 0 < self.port < 65536:
            raise ValueError(f"a front door's port is from 1 to 65535, got {self.port}")

    @property
    def url(self) -> str:
        """Return `scheme://host:port`, always with the port."""
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    @property
    def address(self) -> str:
        """Return the name or address to connect to."""
        return self.connect_host or self.host

    @property
    def authority(self) -> str:
        """Return the Host header; a default port is left out, as browsers do."""
        if self.host_header is not None:
            return self.host_header
        name = _bracketed(self.host)
        return name if self.port == DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"

    @property
    def server_name(self) -> str:
        """Return the name for TLS, which is sent as SNI and compared with the certificate."""
        if self.host_header is None:
            return self.host
        name, _, port = self.host_header.rpartition(":")
        return name.strip("[]") if name and port.isdigit() else self.host_header

    def bind_address(self, resolved: str) -> str | None:
        """Return the local address for a connection to `resolved`; None lets the system choose."""
        address = ipaddress.ip_address(resolved.partition("%")[0])
        return self.source if address.version == 4 and address.is_loopback else None

    def tls(self, alpn: str) -> ssl.SSLContext | None:
        """Return TLS settings for one application protocol, None for http.

        Raises:
            OSError: the CA file cannot be read, or holds no certificate; the message names it.
        """
        return _context(self.ca, self.insecure, alpn) if self.scheme == "https" else None


@lru_cache(maxsize=16)
def _context(ca: str | None, insecure: bool, alpn: str) -> ssl.SSLContext:
    # Cached, because loading the system's authorities takes longer than a whole request on loopback.
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise OSError(f"{ca} is not a readable PEM file with certificates: {error}") from error
    context.set_alpn_protocols([alpn])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
