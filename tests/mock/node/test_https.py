import contextlib
import hashlib
import socket
import ssl

import pytest
import trustme
from node_process import KEY, multipart, read_answer

GET = b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def client(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def secure(start_node, authority, tmp_path):
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    return start_node(https_port=0, certificate=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))


def connect(node, client):
    sock = socket.create_connection(("127.0.0.1", node.https_port), timeout=10)
    return client.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


def test_uploads_arrive_over_tls_and_the_journal_has_its_facts(secure, client):
    content = bytes(range(256)) * 20_000
    body, form = multipart(content)
    head = f"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: {KEY}\r\nContent-Length: {len(body)}\r\n"
    with connect(secure, client) as sock:
        sock.sendall(f"{head}Content-Type: {form['Content-Type']}\r\n\r\n".encode() + body)
        assert read_answer(sock).startswith(b"HTTP/1.1 201")
    assert secure.ended()["sha1"] == hashlib.sha1(content).hexdigest()
    assert secure.ended("head")["tls"] is True
    tls = secure.journaled("connection")["tls"]
    assert (tls["sni"], tls["alpn"]) == ("localhost", "http/1.1")
    assert tls["version"].startswith("TLSv1.")
    assert tls["cipher"]


def ending(sock):
    """How the TCP connection under a TLS socket ended, as OpenSSL calls both an unexpected end."""
    with contextlib.suppress(ssl.SSLEOFError, ConnectionResetError):
        while sock.recv(4096):
            pass
    return {7: "rst", 8: "fin"}[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]


@pytest.mark.parametrize(("kind", "how"), [("reset", "rst"), ("close", "fin"), ("truncate", "fin")])
def test_cuts_are_real_under_tls(secure, client, kind, how):
    secure.fault(kind)
    with connect(secure, client) as sock:
        sock.sendall(GET)
        assert ending(sock) == how


def test_a_blackhole_does_not_shake_hands(secure, client):
    with connect(secure, client) as existing:
        secure.state("offline", "blackhole")
        with (
            socket.create_connection(("127.0.0.1", secure.https_port), timeout=0.2) as sock,
            pytest.raises(TimeoutError),
        ):
            client.wrap_socket(sock, server_hostname="localhost")
        secure.state("online")
        assert ending(existing) == "rst"


def test_refuse_closes_both_listeners(secure, client):
    secure.state("offline", "refuse")
    with pytest.raises(ConnectionRefusedError):
        connect(secure, client)
    with pytest.raises(ConnectionRefusedError):
        secure.connect()
    secure.state("online")
    with connect(secure, client) as sock:
        sock.sendall(GET)
        assert read_answer(sock).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("hsts", [None, 31556926])
def test_hsts_is_sent_over_https_when_it_is_configured(start_node, authority, client, tmp_path, hsts):
    leaf = authority.issue_cert("localhost")
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    files = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    node = start_node(https_port=0, **files, web={"hsts_s": hsts})
    with connect(node, client) as sock:
        sock.sendall(GET)
        head = read_answer(sock).partition(b"\r\n\r\n")[0].lower()
    assert (b"strict-transport-security: max-age=31556926" in head) is (hsts is not None)
    assert "strict-transport-security" not in node.request("GET", "/api")[1]
