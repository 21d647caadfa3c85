"""Certificates of Tentacles: as the real ones make them, kept and reused, and refused by name where they are broken."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from mocknode.mock.tentacle.addresses import host_and_port, style_of, subscription_of
from mocknode.mock.tentacle.identity import Identity, IdentityError, identities, kept_identity, parse_thumbprint
from mocknode.mock.tentacle.tls import Credential

pytestmark = pytest.mark.burns


def test_a_certificate_is_as_a_tentacle_makes_it() -> None:
    identity = Identity.generate()
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem)
    assert certificate.subject == certificate.issuer
    assert certificate.subject.rfc4514_string() == "CN=Octopus Tentacle"
    assert list(certificate.extensions) == []
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name == "sha256"
    years = certificate.not_valid_after_utc.year - certificate.not_valid_before_utc.year
    assert 99 <= years <= 100
    assert parse_thumbprint(identity.thumbprint.lower()) == identity.thumbprint


def test_a_fleet_keeps_its_certificates_and_grows(tmp_path: Path) -> None:
    few = identities(tmp_path, 3)
    more = identities(tmp_path, 12)
    assert more[:3] == few
    assert identities(tmp_path, 2) == few[:2]
    assert identities(tmp_path, 12) == more
    assert len({identity.thumbprint for identity in more}) == 12
    for identity in more:
        Credential.of(identity)
    assert (
        subscription_of(few[0].thumbprint) == subscription_of(few[0].thumbprint) != subscription_of(few[1].thumbprint)
    )


def test_an_identity_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "a" / "server.pem"
    first = kept_identity(path, "Octopus Portal")
    assert kept_identity(path, "Octopus Portal") == first
    assert path.stat().st_mode & 0o77 == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            lambda identity: identity.certificate_pem,
            "no private key in it; allowed: PEM of a certificate and its unencrypted key",
        ),
        (lambda identity: identity.key_pem, "no certificate in it"),
        (lambda identity: b"", "no private key in it"),
        (lambda identity: identity.key_pem + Identity.generate().certificate_pem, "the key is not the certificate's"),
        (
            lambda identity: b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n" + identity.certificate_pem,
            "allowed: PEM",
        ),
    ],
    ids=["certificate-without-key", "key-without-certificate", "nothing", "no-pair", "no-key"],
)
def test_files_that_hold_no_identity_are_named(tmp_path: Path, content: Callable[[Identity], bytes], says: str) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(content(Identity.generate()))
    with pytest.raises(IdentityError, match=says) as caught:
        kept_identity(path, "Octopus Portal")
    assert str(path) in str(caught.value)


def test_a_fleet_directory_that_was_meddled_with_is_named(tmp_path: Path) -> None:
    identities(tmp_path, 2)
    (tmp_path / "key-1.pem").write_bytes(Identity.generate().pem)
    with pytest.raises(IdentityError, match="certificate 1 has another key"):
        identities(tmp_path, 2)
    (tmp_path / "certificates.pem").write_text("nothing")
    with pytest.raises(IdentityError, match="remove it to have its certificates made anew"):
        identities(tmp_path, 2)


@pytest.mark.parametrize("text", ["", "12", "g" * 40, "A" * 41, "A" * 39])
def test_thumbprints_that_are_none(text: str) -> None:
    with pytest.raises(IdentityError, match="allowed: 40 hex digits"):
        parse_thumbprint(text)


def test_addresses_of_tentacles() -> None:
    assert style_of("poll://abc/") == "TentacleActive"
    assert host_and_port("https://[::1]:10934/") == ("::1", 10934)
    assert host_and_port("https://db-1/") == ("db-1", 10933)
    for text in ("poll://", "https://", "poll://abc:99999/", "wss://a/", "https://h:x/", "abc"):
        with pytest.raises(ValueError, match="allowed: poll://NAME/ or https://HOST:PORT/"):
            style_of(text)
