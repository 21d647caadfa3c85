"""The cluster's authority is kept and reused; a user's certificate is proved to be one."""

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mocknode.mock.cluster.certificates import CertificateError, bring, installation_id, issue


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=name)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (left, right, left, right):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "node.example.test", "127.0.0.7"])
def test_issued_for_every_name_and_trusted_by_the_authority(tmp_path: Path, name: str) -> None:
    made = issue(tmp_path / "identity", tmp_path, ["127.0.0.7", "node.example.test", "localhost"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    assert made.ca_pem is not None
    handshake(server, ssl.create_default_context(cadata=made.ca_pem), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, ssl.create_default_context(cadata=made.ca_pem), "other.example.test")


def test_the_authority_is_reused_and_its_key_is_secret(tmp_path: Path) -> None:
    first = issue(tmp_path / "identity", tmp_path, [])
    second = issue(tmp_path / "identity", tmp_path, ["again.example.test"])
    assert first.ca_pem == second.ca_pem == (tmp_path / "identity" / "ca.pem").read_text()
    assert (tmp_path / "identity" / "authority.pem").stat().st_mode & 0o777 == 0o600
    assert second.key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "identity").iterdir()) == ["authority.pem", "ca.pem"]


def test_clusters_that_start_at_once_agree_on_one_authority(tmp_path: Path) -> None:
    runs = [tmp_path / str(number) for number in range(6)]
    for run in runs:
        run.mkdir()
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda run: issue(tmp_path / "identity", run, []).ca_pem, runs))
    assert len(set(made)) == 1


def test_the_installation_id_is_kept(tmp_path: Path) -> None:
    assert installation_id(tmp_path) == installation_id(tmp_path)
    assert installation_id(tmp_path) != installation_id(tmp_path / "other")


def test_an_authority_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_text("scribbles")
    with pytest.raises(CertificateError, match=r"authority\.pem holds no key and certificate"):
        issue(tmp_path, tmp_path, [])


def test_a_users_certificate(tmp_path: Path) -> None:
    made = issue(tmp_path / "identity", tmp_path, [])
    assert bring(made.certificate, made.key).ca_pem is None
    with pytest.raises(CertificateError, match=r"--key .*missing\.pem: No such file"):
        bring(made.certificate, tmp_path / "missing.pem")
    other = issue(tmp_path / "other", tmp_path / "other", [])
    with pytest.raises(CertificateError, match="are no pair"):
        bring(made.certificate, other.key)
