"""The page that a Halibut port sends to anything but Halibut: browsers, probes, and a Tentacle before it registers.

Every method and path gets it, `POST /handshake` included. Each line is a TLS record of its own. Source: `SecureListener.cs` of
Halibut; text and headers are ours, modelled on those of a real server.
"""

from typing import Final

_HTML: Final = (
    "<html><head><title>Octopus Server</title></head><body><h1>Octopus Server configured successfully</h1>"
    "<p>If you can view this page, the port at which polling Tentacles reach this node is open. (mocknode)</p></body></html>"
)
_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Length", str(len(_HTML))),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)

PAGE: Final[tuple[bytes, ...]] = (
    b"HTTP/1.0 200 OK\r\n",
    *(f"{name}: {value}\r\n".encode() for name, value in _HEADERS),
    b"\r\n",
    f"{_HTML}\r\n".encode(),
    b"\r\n",  # Two line ends beyond Content-Length, as a real server sends.
)
"""The page, as one write after another."""
