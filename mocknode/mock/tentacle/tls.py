"""TLS as Halibut uses it, without I/O: bytes in, bytes out, over a pyOpenSSL connection on memory buffers.

An acceptor asks for a client certificate and takes any or none, which the standard library's `ssl` cannot do; the thumbprint
decides on trust later. Neither side resumes sessions, checks names, dates or chains, or sends close_notify: only the TCP
connection is closed, as .NET does it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto

from mocknode.mock.tentacle.identity import Identity, IdentityError

_READ: Final = 4096
"""Bytes of one read; a larger TLS record takes several reads."""


class TlsError(Exception):
    """The peer speaks no TLS, or no version that we support; the outgoing bytes may hold an alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A certificate and its key, parsed once for many connections."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @classmethod
    def of(cls, identity: Identity, key: rsa.RSAPrivateKey | None = None) -> "Credential":
        """Return the credential of an identity; `key` is its key if it was parsed before.

        Raises:
            IdentityError: the key is no RSA key.
        """
        loaded = key or serialization.load_pem_private_key(identity.key_pem, None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise IdentityError(f"certificate {identity.thumbprint}: its key is no RSA key; allowed: RSA")
        return cls(certificate=x509.load_pem_x509_certificate(identity.certificate_pem), key=loaded)


def server_context(identity: Identity) -> SSL.Context:
    """Return the TLS context of one port: its certificate, and buffers that idle connections release."""
    credential = Credential.of(identity)
    context = _context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(credential.certificate)
    context.use_privatekey(credential.key)
    context.set_verify(SSL.VERIFY_PEER, _any_certificate)
    return context


def client_context() -> SSL.Context:
    """Return a TLS context that the connections of many Tentacles share."""
    context = _context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    # Without this a ClientHello would carry a post-quantum key of 1.2 KB, which .NET 8 does not send.
    context.set_tmp_ecdh(ec.SECP256R1())
    return context


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    return context


def _any_certificate(*_: object) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The certificate that the other side presented; OpenSSL accepts some that `cryptography` cannot read."""

    certificate: crypto.X509

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the certificate's bytes as they arrived: 40 upper-case hex digits."""
        return self.certificate.digest("sha1").replace(b":", b"").decode()

    @property
    def subject(self) -> str:
        """Subject in its usual form, `CN=Octopus Tentacle`, or the reason why the certificate cannot be read."""
        try:
            return self.certificate.to_cryptography().subject.rfc4514_string()
        except ValueError as exc:
            return f"unreadable: {exc}"


class Tls:
    """One TLS connection without I/O; use `accept` or `connect`.

    Attributes:
        handshaken: Whether the handshake is complete.
        closed: Whether the peer sent close_notify, which no Halibut peer does.
    """

    __slots__ = ("_connection", "closed", "handshaken")

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self.handshaken = False
        self.closed = False

    @classmethod
    def accept(cls, context: SSL.Context) -> "Tls":
        """Return the acceptor's side, with a `server_context`."""
        connection = SSL.Connection(context, None)
        connection.set_accept_state()
        return cls(connection)

    @classmethod
    def connect(
        cls, context: SSL.Context, credential: Credential | None, sni: str | None, alpn: Sequence[str] = ()
    ) -> "Tls":
        """Return the initiator's side, with a `client_context`; `receive(b"")` makes its ClientHello."""
        connection = SSL.Connection(context, None)
        if credential is not None:
            connection.use_certificate(credential.certificate)
            connection.use_privatekey(credential.key)
        if sni is not None:
            connection.set_tlsext_host_name(sni.encode())
        if alpn:
            connection.set_alpn_protos([name.encode() for name in alpn])
        connection.set_connect_state()
        return cls(connection)

    def receive(self, data: bytes) -> bytes:
        """Decrypt these bytes and return their content; `outgoing` may have grown.

        Raises:
            TlsError: the handshake or a record failed.
        """
        if data:
            self._connection.bio_write(data)
        parts: list[bytes] = []
        try:
            if not self.handshaken:
                self._connection.do_handshake()
                self.handshaken = True
            while True:
                parts.append(self._connection.recv(_READ))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed = True
        except SSL.Error as exc:
            raise TlsError(_reason(exc)) from exc
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        """Encrypt the data as records of their own and add them to `outgoing`."""
        self._connection.sendall(data)

    def outgoing(self) -> bytes:
        """Return the bytes to write to the peer now."""
        parts: list[bytes] = []
        while True:
            try:
                parts.append(self._connection.bio_read(_READ))
            except SSL.WantReadError:
                return b"".join(parts)

    @property
    def peer(self) -> Peer | None:
        """Certificate of the other side, or None without one."""
        certificate = self._connection.get_peer_certificate()
        return None if certificate is None else Peer(certificate=certificate)

    @property
    def version(self) -> str:
        """Name of the TLS version, for example `TLSv1.3`."""
        return self._connection.get_protocol_version_name()

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite."""
        return self._connection.get_cipher_name()


def _reason(error: SSL.Error) -> str:
    """Return the reasons in an OpenSSL error, which is a list of (library, function, reason)."""
    details = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(item[-1]) for item in details) or type(error).__name__
