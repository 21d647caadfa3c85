import contextlib
import hashlib
import json
import socket
import struct

import pytest
from node_process import KEY, multipart, read_answer, until

RAW = "/api/Spaces-1/packages/raw"
CONTENT = bytes(range(256)) * 40


def test_an_upload_is_stored_and_answered(node):
    body, headers = multipart(CONTENT)
    status, answer_headers, answer = node.request("POST", RAW, body, headers)
    document = json.loads(answer)
    assert status == 201
    assert document["Id"] == "packages-Acme.Web.1.0.0"
    assert (document["PackageId"], document["Version"], document["FileExtension"]) == ("Acme.Web", "1.0.0", ".zip")
    assert document["PackageSizeBytes"] == len(CONTENT)
    assert document["Hash"] == hashlib.sha1(CONTENT).hexdigest()
    assert document["ReleaseNotes"] is None
    assert answer_headers["location"] == document["Links"]["Self"]
    end = node.ended()
    assert (end["received"], end["file_bytes"], end["sha1"]) == (len(body), len(CONTENT), document["Hash"])
    assert (end["complete"], end["status"], end["end"]) == (True, 201, "complete")
    assert end["package"]["file_name"] == "Acme.Web.1.0.0.zip"
    assert node.ended("body")["sha1"] == document["Hash"]


@pytest.mark.parametrize(
    "path", ["/api/packages/raw", "/api/spaces/default/packages/raw", "/api/spaces/Spaces-1/packages/raw"]
)
def test_every_spelling_of_the_path_works(node, path):
    assert node.request("POST", path, *multipart(CONTENT))[0] == 201


@pytest.mark.parametrize(
    ("query", "status", "size"),
    [
        ("", 409, 5),
        ("?overwriteMode=FailIfExists", 409, 5),
        ("?overwriteMode=IgnoreIfExists", 200, 5),
        ("?overwriteMode=OverwriteExisting", 201, 6),
        ("?replace=true", 201, 6),
        ("?replace=false", 409, 5),
        ("?overwriteMode=Maybe", 400, 5),
    ],
)
def test_an_existing_package_is_treated_as_asked(node, query, status, size):
    assert node.request("POST", RAW, *multipart(b"first"))[0] == 201
    assert node.request("POST", RAW + query, *multipart(b"second"))[0] == status
    document = json.loads(node.request("GET", "/api/Spaces-1/packages/Acme.Web.1.0.0")[2])
    assert document["PackageSizeBytes"] == size


def test_a_conflict_says_what_to_do(node):
    node.request("POST", RAW, *multipart(b"first"))
    message = json.loads(node.request("POST", RAW, *multipart(b"first"))[2])["ErrorMessage"]
    assert "same ID and version already exists" in message
    assert "overwriteMode" in message


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"raw bytes", {"Content-Type": "application/octet-stream"}, "A package file must be provided"),
        (*multipart(b""), "length equal to 0"),
        (*multipart(b"x", "Acme.zip"), "no package id and version"),
        (*multipart(b"x", "Acme.1.0.0.exe"), "supported package format"),
        (*multipart(b"x", ""), "A package file must be provided"),
        (
            b"--b0undary\r\n\r\nx",
            {"Content-Type": "multipart/form-data; boundary=b0undary"},
            "package file must be provided",
        ),
    ],
)
def test_what_is_no_package_is_refused(node, body, headers, reason):
    status, _, answer = node.request("POST", RAW, body, headers)
    document = json.loads(answer)
    assert status == 400
    assert document["ErrorMessage"] == "There was a problem with your request."
    assert reason in document["Errors"][0]
    assert node.ping() == 200


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"X-Octopus-ApiKey": "API-WRONG"}, "", 401),
        ({"X-Octopus-ApiKey": "", "X-NuGet-ApiKey": KEY}, "", 201),
        ({"X-Octopus-ApiKey": ""}, f"?apikey={KEY}", 201),
    ],
)
def test_a_key_is_taken_in_three_places(node, headers, query, status):
    body, form = multipart(CONTENT)
    assert node.request("POST", RAW + query, body, {**form, **headers})[0] == status


def test_an_unknown_space_is_404(node):
    assert node.request("POST", "/api/Spaces-99/packages/raw", *multipart(CONTENT))[0] == 404


def send_chunked(node, pieces, *, last=b"0\r\n\r\n", extra=b""):
    sock = node.connect()
    sock.sendall(
        b"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: %s\r\n"
        b'Content-Type: multipart/form-data; boundary="b0undary"\r\nTransfer-Encoding: chunked\r\n%s\r\n'
        % (KEY.encode(), extra)
    )
    for piece in pieces:
        sock.sendall(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
    sock.sendall(last)
    return sock


def test_a_chunked_upload_with_trailers_arrives_equal(node):
    body, _ = multipart(CONTENT)
    pieces = [b"\r\n", *(body[at : at + 7] for at in range(0, 700, 7)), body[700:]]
    with send_chunked(node, pieces, last=b"0\r\nX-Trailer: 1\r\n\r\n") as sock:
        assert read_answer(sock).startswith(b"HTTP/1.1 201")
    end = node.ended()
    assert (end["received"], end["sha1"]) == (len(body) + 2, hashlib.sha1(CONTENT).hexdigest())


@pytest.mark.parametrize(("linger", "end"), [(False, "fin"), (True, "rst")])
def test_a_torn_upload_stores_nothing(node, linger, end):
    body, _ = multipart(CONTENT)
    sock = send_chunked(node, [body[:500]], last=b"")
    node.ended("head")
    if linger:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    line = node.ended()
    assert (line["end"], line["complete"], line["status"], line["sha1"]) == (end, False, None, None)
    assert json.loads(node.request("GET", "/api/packages")[2])["TotalResults"] == 0
    assert node.do("status")["uploads_in_flight"] == 0


def test_a_torn_large_body_is_counted_as_received(node):
    sock = node.connect()
    with sock:
        sock.sendall(
            b"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: %s\r\nContent-Length: 100000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" % KEY.encode()
        )
        sock.sendall(b"x" * 3_000_000)
    assert (node.ended()["received"], node.ended()["end"]) == (3_000_000, "fin")


def test_a_large_upload_and_the_next_request_share_a_connection(node):
    content = bytes(range(251)) * 60_000
    body, form = multipart(content)
    head = (
        f"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: {KEY}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: {form['Content-Type']}\r\n\r\n"
    )
    with node.connect() as sock:
        sock.sendall(head.encode() + body + b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_answer(sock)
        assert answer.startswith(b"HTTP/1.1 201")
        assert hashlib.sha1(content).hexdigest().encode() in answer
        assert b"Octopus Deploy" in read_answer(sock)


def test_a_large_upload_leaves_memory_flat(node):
    body, form = multipart(b"x" * 1_000_000)
    node.request("POST", RAW, body, form)
    before = node.do("status")["rss_bytes"]
    size = 300_000_000
    head, tail = body.split(b"x" * 1_000_000)
    with node.connect() as sock:
        sock.sendall(
            b"POST /api/packages/raw?replace=true HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: %s\r\nContent-Length: %d\r\n"
            b"Content-Type: %s\r\n\r\n" % (KEY.encode(), size + len(head) + len(tail), form["Content-Type"].encode())
        )
        sock.sendall(head)
        for _ in range(size // 1_000_000):
            sock.sendall(b"x" * 1_000_000)
        sock.sendall(tail)
        assert sock.recv(100).startswith(b"HTTP/1.1 201")
    assert node.do("status")["rss_bytes"] - before < 16 * 1024 * 1024


def test_stalled_uploads_cost_what_they_sent_and_leave_nothing(start_node):
    node, stalled = start_node(), 150
    head = (
        b"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: %s\r\nContent-Length: 100000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" % KEY.encode()
    )

    def wait_for(phase):
        until(lambda: sum(line["phase"] == phase for line in node.journal("request")) == stalled)

    before = node.do("status")["rss_bytes"]
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(node.connect()) for _ in range(stalled)]
        for sock in socks:
            sock.sendall(head)
        wait_for("head")
        assert node.do("status")["rss_bytes"] - before < 32 * 1024 * 1024  # a batch for each would be 150 MiB
        for sock in socks:
            sock.sendall(b"x" * 1000)
    wait_for("end")
    assert {line["received"] for line in node.journal("request") if line["phase"] == "end"} == {1000}
    assert node.do("status")["rss_bytes"] - before < 32 * 1024 * 1024


def test_100_continue_comes_when_the_app_reads_and_not_before_a_refusal(node):
    body, form = multipart(CONTENT)
    head = (
        f"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: {form['Content-Type']}\r\n"
    )
    with node.connect() as sock:
        sock.sendall(f"{head}X-Octopus-ApiKey: {KEY}\r\n\r\n".encode())
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_answer(sock).startswith(b"HTTP/1.1 201")
    with node.connect() as sock:
        sock.sendall(f"{head}\r\n".encode())
        assert read_answer(sock).startswith(b"HTTP/1.1 401")


def test_packages_are_listed_fetched_and_deleted(node):
    for name in ("Acme.Web.1.0.0.zip", "Acme.Web.1.1.0.zip", "Other.2.0.tar.gz"):
        assert node.request("POST", RAW, *multipart(b"x", name))[0] == 201
    page = json.loads(node.request("GET", "/api/packages?take=2147483647")[2])
    assert (page["TotalResults"], page["ItemType"]) == (3, "PackageFromBuiltInFeed")
    assert (page["NumberOfPages"], page["LastPageNumber"]) == (1, 0)
    latest = json.loads(node.request("GET", "/api/packages?nuGetPackageId=acme.web&latest=true")[2])
    assert [item["Version"] for item in latest["Items"]] == ["1.1.0"]
    assert len(json.loads(node.request("GET", "/api/packages?skip=1&take=1")[2])["Items"]) == 1
    assert node.request("GET", "/api/packages?nuGetPackageId=a&filter=b")[0] == 400
    assert node.request("GET", "/api/packages?take=-1")[0] == 400
    assert node.request("GET", "/api/packages/packages-Other.2.0")[0] == 200
    assert node.request("GET", "/api/packages/Other.2.0/raw")[0] == 400
    assert node.request("DELETE", "/api/packages/packages-Other.2.0/v1")[::2] == (200, b"{}")
    override = {"X-HTTP-Method-Override": "DELETE"}
    assert node.request("POST", "/api/packages/Acme.Web.1.0.0", b"", override)[::2] == (200, b"")
    assert node.request("GET", "/api/packages/Other.2.0")[0] == 404


def test_kept_bytes_come_back(start_node, tmp_path):
    node = start_node(keep_packages=True)
    content = bytes(range(253)) * 20_000
    assert node.request("POST", RAW, *multipart(content))[0] == 201
    assert node.request("POST", RAW, *multipart(b"second"))[0] == 409
    assert node.request("POST", RAW + "?overwriteMode=IgnoreIfExists", *multipart(b"second"))[0] == 200
    status, headers, body = node.request("GET", "/api/packages/packages-Acme.Web.1.0.0/raw")
    assert (status, body) == (200, content)
    assert headers["content-type"] == "application/octet-stream"
    assert len(list((tmp_path / "packages" / "Spaces-1").iterdir())) == 1
    assert node.request("DELETE", "/api/packages/packages-Acme.Web.1.0.0")[0] == 200
    assert not list((tmp_path / "packages" / "Spaces-1").iterdir())


def test_a_package_is_listed_by_every_node(start_node):
    first, second = start_node(), start_node(name="node-2")
    assert first.request("POST", RAW, *multipart(CONTENT))[0] == 201
    page = json.loads(second.request("GET", "/api/packages")[2])
    assert [item["Id"] for item in page["Items"]] == ["packages-Acme.Web.1.0.0"]
    assert second.request("POST", RAW, *multipart(CONTENT))[0] == 409


def test_an_upload_that_is_refused_at_its_head_is_read_to_its_end(node):
    body, form = multipart(b"x" * 5_000_000)
    head = f"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    with node.connect() as sock:
        sock.sendall(f"{head}Content-Type: {form['Content-Type']}\r\n\r\n".encode())
        assert read_answer(sock).startswith(b"HTTP/1.1 401")
        sock.sendall(body + b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 200")
    line = node.ended()
    assert (line["status"], line["complete"], line["received"], line["sha1"]) == (401, True, len(body), None)


def test_a_client_that_sends_no_rest_of_a_refused_upload_is_not_waited_for(start_node):
    node = start_node(body_drain_s=0.05)
    with node.connect() as sock:
        sock.sendall(b"POST /api/packages/raw HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
        assert read_answer(sock).startswith(b"HTTP/1.1 401")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert (node.ended()["complete"], node.ended()["received"]) == (False, 4)
    assert node.journaled("connection", lambda line: line["phase"] == "close")["by"] == "node"
