"""Certificates of servers and Tentacles: RSA 2048, self-signed, identified by their thumbprints.

They look like real ones: equal subject and issuer, SHA-256, valid from yesterday for a hundred years, a random serial number, no
extensions (`CertificateGenerator.cs` of OctopusTentacle). A thumbprint is the SHA-1 of the DER certificate, 40 upper-case
hex digits. Files hold a key and its certificate in PEM; each appears whole or not at all.
"""

import datetime
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from mocknode.system.atomic_files import create_once, temporary_copy

TENTACLE_NAME: Final = "Octopus Tentacle"
SERVER_NAME: Final = "Octopus Portal"
_BITS: Final = 2048
_YEARS: Final = 100
_SECRET: Final = 0o600
KEYS_MAX: Final = 8
"""Keys that a fleet shares: making one takes a tenth of a second, and only the certificate's digest identifies a Tentacle."""
_THUMBPRINT: Final = re.compile(r"[0-9A-Fa-f]{40}")
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)


class IdentityError(Exception):
    """A certificate, its key or a thumbprint cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its key.

    Attributes:
        certificate_pem, key_pem: PEM.
        thumbprint: 40 upper-case hex digits.
    """

    certificate_pem: bytes
    key_pem: bytes
    thumbprint: str

    @classmethod
    def generate(cls, common_name: str = TENTACLE_NAME, key: rsa.RSAPrivateKey | None = None) -> "Identity":
        """Make a new identity; with `key`, only its certificate is new."""
        key = key or rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        today = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(secrets.randbelow(2**63 - 1) + 1)
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=365 * _YEARS))
            .sign(key, hashes.SHA256())
        )
        return cls._of(certificate, _key_pem(key))

    @classmethod
    def read(cls, pem: bytes, source: str) -> "Identity":
        """Read an identity from PEM text that holds a key and its certificate.

        Raises:
            IdentityError: the text holds no usable pair; the message names `source` and the problem.
        """
        blocks = {match[1].decode(): match[0] for match in _BLOCK.finditer(pem)}
        key = next((block for kind, block in blocks.items() if kind.endswith("PRIVATE KEY")), None)
        if "CERTIFICATE" not in blocks or key is None:
            missing = "certificate" if key else "private key"
            raise IdentityError(f"{source}: no {missing} in it; allowed: PEM of a certificate and its unencrypted key")
        try:
            certificate = x509.load_pem_x509_certificate(blocks["CERTIFICATE"])
            private = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError) as exc:
            raise IdentityError(f"{source}: {exc}; allowed: PEM of a certificate and its unencrypted key") from exc
        if private.public_key() != certificate.public_key():
            raise IdentityError(f"{source}: the key is not the certificate's")
        return cls._of(certificate, key)

    @classmethod
    def _of(cls, certificate: x509.Certificate, key_pem: bytes) -> "Identity":
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return cls(certificate_pem=pem, key_pem=key_pem, thumbprint=thumbprint_of(_der(certificate)))

    @property
    def pem(self) -> bytes:
        """Key and certificate as PEM."""
        return self.key_pem + self.certificate_pem


def thumbprint_of(der: bytes) -> str:
    """Return the thumbprint of a certificate in DER."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def parse_thumbprint(text: str) -> str:
    """Return a thumbprint in upper case, as a real Tentacle compares it with `==`.

    Raises:
        IdentityError: the text is no thumbprint.
    """
    if not _THUMBPRINT.fullmatch(text.strip()):
        raise IdentityError(f"thumbprint: got {text[:80]!r}, allowed: 40 hex digits, the SHA-1 of the certificate")
    return text.strip().upper()


def kept_identity(path: Path, common_name: str) -> Identity:
    """Return the identity in this file, which is made at the first use; two processes that make it at once use the same one.

    Raises:
        IdentityError: the file holds no identity.
        OSError: the file cannot be read or written.
    """
    if not path.exists():
        create_once(path, Identity.generate(common_name).pem, _SECRET)
    return Identity.read(path.read_bytes(), str(path))


def identities(directory: Path, count: int, made: Callable[[int], None] = lambda _: None) -> list[Identity]:
    """Return `count` identities of Tentacles: those that the directory holds, and new ones, which are stored there.

    Args:
        made: Called now and then with the number of identities so far.

    Raises:
        IdentityError: a file in the directory holds no identity.
        OSError: the directory cannot be used.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys_pem = [
        kept_identity(directory / f"key-{number}.pem", TENTACLE_NAME).key_pem
        for number in range(1, min(count, KEYS_MAX) + 1)
    ]
    path = directory / "certificates.pem"
    keys = [serialization.load_pem_private_key(pem, None) for pem in keys_pem]
    kept = _certificates(path)
    found: list[Identity] = []
    for number in range(count):
        key, key_pem = keys[number % len(keys)], keys_pem[number % len(keys)]
        assert isinstance(key, rsa.RSAPrivateKey)
        if number >= len(kept):
            found.append(Identity.generate(TENTACLE_NAME, key))
        elif kept[number].public_key() == key.public_key():
            found.append(Identity._of(kept[number], key_pem))
        else:
            raise IdentityError(f"{path}: certificate {number + 1} has another key; remove it to have all made anew")
        if number % 100 == 99:
            made(number + 1)
    if count > len(kept):
        _replace(path, b"".join(identity.certificate_pem for identity in found))
    made(count)
    return found


def _certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a file, in order."""
    if not path.exists():
        return []
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as exc:
        raise IdentityError(f"{path}: {exc}; remove it to have its certificates made anew") from exc


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _replace(path: Path, content: bytes) -> None:
    with temporary_copy(path, content, _SECRET) as written:
        path.unlink(missing_ok=True)
        path.hardlink_to(written)
