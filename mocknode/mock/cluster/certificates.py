"""Certificates of the cluster: its own certificate authority, stored and reused, or a certificate that the operator brings.

The identity directory holds `authority.pem` (key and certificate, mode 0600), `ca.pem` (the certificate alone, for clients to
trust), `tentacle-server.pem` (the certificate that Tentacles trust) and `installation-id`. Each file appears whole or not at
all. When two clusters create one at the same time, one wins and both use it. The nodes' certificate is issued for the addresses
of each run and is stored in the run directory.
"""

import ssl
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mocknode.system.atomic_files import create_once

_SECRET = 0o600
_PUBLIC = 0o644


class CertificateError(Exception):
    """A certificate or key cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """PEM files that a listener loads, and the certificate that its clients have to trust.

    Attributes:
        certificate: Chain, leaf first.
        key: Private key; may be the same file.
        ca_pem: PEM text of the authority; None for a user's certificate, whose authority the user knows.
    """

    certificate: Path
    key: Path
    ca_pem: str | None


def installation_id(identity_dir: Path) -> str:
    """Return the cluster's installation id, a UUID that is made at the first use."""
    return _create_once(identity_dir / "installation-id", str(uuid.uuid4()).encode() + b"\n", _PUBLIC).decode().strip()


def issue(identity_dir: Path, run_dir: Path, names: Iterable[str]) -> ServerCertificate:
    """Issue a certificate of the cluster's own authority for host names and addresses, `localhost` and 127.0.0.1 included.

    Raises:
        CertificateError: the file of the authority holds something else.
    """
    # A cluster without HTTPS starts a tenth of a second sooner without this import.
    import trustme

    path = identity_dir / "authority.pem"
    if not path.exists():
        fresh = trustme.CA(organization_name="mocknode", organization_unit_name="cluster authority")
        _create_once(path, fresh.private_key_pem.bytes() + fresh.cert_pem.bytes(), _SECRET)
    pem = path.read_bytes()
    try:
        authority = trustme.CA.from_pem(cert_bytes=pem[pem.index(b"-----BEGIN CERT") :], private_key_bytes=pem)
    except (ValueError, IndexError) as exc:
        raise CertificateError(
            f"{path} holds no key and certificate of an authority; remove it to have one made"
        ) from exc
    ca_pem = authority.cert_pem.bytes()
    _create_once(identity_dir / "ca.pem", ca_pem, _PUBLIC)
    leaf = authority.issue_cert(*dict.fromkeys(["localhost", "127.0.0.1", *names]))
    bundle = run_dir / "node.pem"
    bundle.unlink(missing_ok=True)
    _create_once(bundle, leaf.private_key_and_cert_chain_pem.bytes(), _SECRET)
    return ServerCertificate(certificate=bundle, key=bundle, ca_pem=ca_pem.decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class TentacleServer:
    """The certificate that nodes present to Tentacles: PEM file of key and certificate, and the thumbprint."""

    file: Path
    thumbprint: str


def tentacle_server(identity_dir: Path, node: str | None) -> TentacleServer:
    """Return the certificate that all nodes share, as real nodes do, or that of one node; it is made at the first use.

    Raises:
        CertificateError: the file holds no certificate with its key.
    """
    # A cluster without Tentacle ports starts sooner without this import.
    from mocknode.mock.tentacle.identity import SERVER_NAME, IdentityError, kept_identity

    file = identity_dir / ("tentacle-server.pem" if node is None else f"tentacle-server-{node}.pem")
    try:
        return TentacleServer(file=file, thumbprint=kept_identity(file, SERVER_NAME).thumbprint)
    except IdentityError as exc:
        raise CertificateError(f"{exc}; remove it to have one made") from exc
    except OSError as exc:
        raise CertificateError(f"{file}: {exc.strerror}") from exc


def bring(certificate: Path, key: Path) -> ServerCertificate:
    """Return the user's certificate after checking that its key belongs to it.

    Raises:
        CertificateError: a file cannot be read or is no PEM, or the key does not belong to the certificate.
    """
    for flag, path in (("--certificate", certificate), ("--key", key)):
        try:
            path.read_bytes()
        except OSError as exc:
            raise CertificateError(f"{flag} {path}: {exc.strerror}") from exc
    try:
        # Without a password callback OpenSSL would ask for the password of an encrypted key on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as exc:
        raise CertificateError(
            f"--certificate {certificate} and --key {key} are no pair of a PEM certificate and its unencrypted key ({exc})"
        ) from exc
    return ServerCertificate(certificate=certificate.resolve(), key=key.resolve(), ca_pem=None)


def _create_once(path: Path, content: bytes, mode: int) -> bytes:
    """Create the file with this content unless it exists, and return its content.

    Raises:
        CertificateError: the file can be neither created nor read.
    """
    try:
        create_once(path, content, mode)
        return path.read_bytes()
    except OSError as exc:
        raise CertificateError(f"{path}: {exc.strerror}; allowed is a directory that this user can write") from exc
