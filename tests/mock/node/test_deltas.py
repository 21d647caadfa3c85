"""Deltas over real sockets: signature, delta, the new package; and everything that must not become one."""

import base64
import hashlib
import io
import json
import random
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from node_process import multipart
from octodiff_client import delta_of, read_signature

RAW = "/api/Spaces-1/packages/raw"


def archive(*names):
    """A ZIP archive with a comment, and more bytes than its end may have."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as writer:
        for name in names:
            writer.writestr(name, "x" * 100_000)
        writer.comment = b"a comment"
    return file.getvalue()


OLD = random.Random(1).randbytes(300_000)
ARCHIVE = archive("Acme.Lib.nuspec")
NEW = OLD[:100_000] + b"a change" + OLD[100_500:]


@pytest.fixture(scope="module")
def keeping(tmp_path_factory):
    """A node that keeps bytes."""
    from node_process import RunningNode

    node = RunningNode(tmp_path_factory.mktemp("deltas"), keep_packages=True).wait_ready()
    yield node
    node.close()


@pytest.fixture
def node(keeping):
    keeping.start_afresh()
    assert keeping.request("POST", RAW, *multipart(OLD))[0] == 201
    return keeping


def signature(node, version="1.1.0", package_id="Acme.Web"):
    status, _, body = node.request("GET", f"/api/Spaces-1/packages/{package_id}/{version}/delta-signature")
    return status, json.loads(body)


def push(node, delta, *, base="1.0.0", name="Acme.Web.1.1.0.zip", query=""):
    body, headers = multipart(delta, name)
    status, _, answer = node.request("POST", f"/api/Spaces-1/packages/Acme.Web/{base}/delta{query}", body, headers)
    return status, json.loads(answer)


def good_delta(node):
    return delta_of(base64.b64decode(signature(node)[1]["Signature"]), NEW)


def ids(node):
    return sorted(item["Id"] for item in json.loads(node.request("GET", "/api/packages")[2])["Items"])


def files(node):
    return len(list((node.run_dir / "packages" / "Spaces-1").iterdir()))


def test_a_delta_becomes_the_new_package(node):
    status, document = signature(node)
    assert (status, document["BaseVersion"]) == (200, "1.0.0")
    chunks = read_signature(base64.b64decode(document["Signature"]))
    assert (len(chunks), chunks[0][0], sum(chunk[0] for chunk in chunks)) == (147, 2048, len(OLD))
    delta = good_delta(node)
    assert len(delta) < 5_000
    status, package = push(node, delta)
    assert (status, package["Version"], package["PackageSizeBytes"]) == (201, "1.1.0", len(NEW))
    assert package["Hash"] == hashlib.sha1(NEW).hexdigest()
    assert node.request("GET", "/api/packages/Acme.Web.1.1.0/raw")[2] == NEW
    line = node.journaled("request", lambda line: line.get("target", "").endswith("/delta"))
    end = node.journaled("request", lambda end: end["req"] == line["req"] and end["phase"] == "end")
    assert (end["file_bytes"], end["sha1"], end["complete"]) == (len(delta), package["Hash"], True)


@pytest.mark.parametrize(
    ("query", "status", "stored"),
    [
        ("", 409, OLD),
        ("?overwriteMode=IgnoreIfExists", 200, OLD),
        ("?overwriteMode=OverwriteExisting", 201, NEW),
        ("?replace=true", 201, NEW),
        ("?overwriteMode=Maybe", 400, OLD),
    ],
)
def test_an_existing_version_is_treated_as_asked(node, query, status, stored):
    assert node.request("POST", RAW, *multipart(OLD, "Acme.Web.1.1.0.zip"))[0] == 201
    before = files(node)
    assert push(node, delta_of(base64.b64decode(signature(node)[1]["Signature"]), NEW), query=query)[0] == status
    assert node.request("GET", "/api/packages/Acme.Web.1.1.0/raw")[2] == stored
    assert files(node) == before


@pytest.mark.parametrize(
    ("asked", "rule", "base"),
    [
        ("3.0.0", "latest", "2.0.0"),
        ("1.5.0", "latest", "2.0.0"),
        ("1.5.0", "nearest", "1.0.0"),
        ("0.9", "nearest", None),
    ],
)
def test_the_base_is_chosen_by_a_switch(start_node, asked, rule, base):
    node = start_node(keep_packages=True, web={"delta_base": rule})
    for version in ("1.0.0", "2.0.0"):
        assert node.request("POST", RAW, *multipart(OLD, f"Acme.Web.{version}.zip"))[0] == 201
    status, document = signature(node, asked)
    assert (status, document.get("BaseVersion")) == ((200, base) if base else (404, None))


def test_without_kept_bytes_a_client_is_told_to_send_the_whole_file(start_node):
    node = start_node()
    assert node.request("POST", RAW, *multipart(OLD))[0] == 201
    status, document = signature(node)
    assert (status, "--keep-packages" in document["ErrorMessage"]) == (404, True)
    status, document = push(node, b"any")
    assert (status, "--keep-packages" in document["Errors"][0]) == (400, True)


def test_a_package_without_another_version_has_no_signature(node):
    assert signature(node, "1.0.0")[0] == 404
    assert signature(node, "1.0.0", "Never.Seen")[0] == 404
    assert signature(node, "not-a-version")[0] == 400


HEAD = b"OCTODELTA\x01\x04SHA1\x14\0\0\0" + b"\0" * 20 + b">>>"


@pytest.mark.parametrize(
    ("delta", "facts", "reason"),
    [
        (b"", {}, "length equal to 0"),
        (HEAD[:19] + hashlib.sha1(b"").digest() + b">>>", {}, "length equal to 0"),
        (b"PK\x03\x04 no delta", {}, "an Octodiff delta with SHA-1"),
        (HEAD + struct.pack("<Bqq", 0x60, 0, 1000), {}, "promised 0000"),
        (HEAD + struct.pack("<Bqq", 0x60, 0, 2**40), {}, "of a base of 300000 bytes"),
        (HEAD + struct.pack("<Bqq", 0x60, 0, 300_000) * 20, {}, "16 times"),
        (HEAD + struct.pack("<Bq", 0x80, 2**40) + b"x" * 5000, {}, "ends within a command"),
        (None, {"base": "9.9.9"}, "got Acme.Web 9.9.9"),
        (None, {"base": "nine"}, "baseVersion: got 'nine'"),
        (None, {"name": "Other.1.1.0.zip"}, "a version of Acme.Web"),
        (None, {"name": "Acme.Web.zip"}, "no package id and version"),
    ],
)
def test_what_makes_no_package_is_400_and_leaves_nothing(node, delta, facts, reason):
    before = files(node)
    status, document = push(node, good_delta(node) if delta is None else delta, **facts)
    assert (status, document["ErrorMessage"]) == (400, "There was a problem with your request.")
    assert reason in document["Errors"][0]
    assert ids(node) == ["packages-Acme.Web.1.0.0"]
    assert files(node) == before
    assert node.ping() == 200


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", "Acme.Web.1\0.1.0.zip", "Acme.Web." + "1" * 10_000 + ".zip", "Acme.Web.1.1.0", "☃.1.1.zip", "", " "],
    ids=["path", "dots", "nul", "10KB", "no-extension", "snowman", "empty", "blank"],
)  # fmt: skip
def test_a_delta_with_a_hostile_file_name_is_400_and_leaves_nothing(node, name):
    before = files(node)
    status, document = push(node, good_delta(node), name=name)
    assert (status, document["ErrorMessage"]) == (400, "There was a problem with your request.")
    assert ids(node) == ["packages-Acme.Web.1.0.0"]
    assert files(node) == before


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/json", "", "multipart/form-data"])
def test_a_delta_of_the_wrong_type_is_400_and_leaves_nothing(node, kind):
    before = files(node)
    answer = node.request("POST", "/api/packages/Acme.Web/1.0.0/delta", good_delta(node), {"Content-Type": kind})
    assert answer[0] == 400
    assert ids(node) == ["packages-Acme.Web.1.0.0"]
    assert files(node) == before


def test_a_torn_delta_leaves_nothing(node):
    before = files(node)
    body, headers = multipart(good_delta(node), "Acme.Web.1.1.0.zip")
    with node.connect() as sock:
        sock.sendall(
            b"POST /api/packages/Acme.Web/1.0.0/delta HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: API-TEST1234\r\n"
            b"Content-Length: %d\r\nContent-Type: %s\r\n\r\n"
            % (len(body), headers["Content-Type"].encode())
            + body[:1000]
        )
    node.journaled("request", lambda line: line["phase"] == "end" and line["end"] == "fin")
    assert ids(node) == ["packages-Acme.Web.1.0.0"]
    assert files(node) == before


def test_signature_and_delta_of_a_large_package_leave_memory_flat(node):
    size = 64 * 1024 * 1024
    block = random.Random(2).randbytes(1024 * 1024)
    assert node.request("POST", RAW, *multipart(block * 64, "Acme.Big.1.0.0.zip"))[0] == 201
    before = node.do("status")["rss_bytes"]
    status, document = signature(node, "1.1.0", "Acme.Big")
    assert (status, len(read_signature(base64.b64decode(document["Signature"])))) == (200, size // 2048)
    new = hashlib.sha1(block * 64 + b"end").digest()
    delta = b"OCTODELTA\x01\x04SHA1\x14\0\0\0" + new + b">>>" + struct.pack("<Bqq", 0x60, 0, size)
    body, headers = multipart(delta + struct.pack("<Bq", 0x80, 3) + b"end", "Acme.Big.1.1.0.zip")
    status, _, answer = node.request("POST", "/api/packages/Acme.Big/1.0.0/delta", body, headers)
    assert (status, json.loads(answer)["PackageSizeBytes"]) == (201, size + 3)
    assert node.do("status")["rss_bytes"] - before < 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("content", "name", "issue"),
    [
        (b"x", "Acme.Web.2.0.0.zip", None),
        (ARCHIVE, "Acme.Web.2.0.0.nupkg", None),
        (ARCHIVE[:-1], "Acme.Web.2.0.0.nupkg", "CorruptedNugetPackage"),
        (b"x" + ARCHIVE, "Acme.Web.2.0.0.nupkg", "CorruptedNugetPackage"),
        (archive("readme.txt", "lib/Acme.Lib.nuspec"), "Acme.Web.2.0.0.nupkg", "CorruptedNugetPackage"),
        (archive("Acme.Lib.nuspec", "Other.nuspec"), "Acme.Web.2.0.0.nupkg", "CorruptedNugetPackage"),
        (
            archive("Acme.Lib.nuspec").replace(b"PK\x01\x02", b"PK\x01\x03"),
            "Acme.Web.2.0.0.nupkg",
            "CorruptedNugetPackage",
        ),
        (archive("readme.txt"), "Acme.Web.2.0.0.zip", None),
        (b"x", "Acme.Web.1.0.0.zip", "PackageAlreadyExists"),
        (b"not an archive", "Acme.Web.2.0.0.nupkg", "CorruptedNugetPackage"),
        (b"", "Acme.Web.2.0.0.zip", "EmptyFile"),
        (b"x", "a" * 250 + ".1.0.zip", "FileNameTooLong"),
        (b"x", "Acme!Web.1.0.zip", "InvalidCharactersInFileName"),
        (b"x", "AcmeWeb.zip", "InvalidPackageId"),
        (b"x", "Acme.Web.1.0.0.exe", "UnsupportedFileExtension"),
    ],
)
def test_validation_says_what_would_go_wrong_and_stores_nothing(node, content, name, issue):
    status, _, body = node.request("POST", RAW + "/validate", *multipart(content, name))
    assert (status, json.loads(body)) == (200, {"Issue": issue})
    assert ids(node) == ["packages-Acme.Web.1.0.0"]


def test_a_body_that_cannot_be_read_cannot_be_validated(node):
    status, _, body = node.request(
        "POST", RAW + "/validate", b"--b\r\n", {"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (status, json.loads(body)) == (200, {"Issue": "CouldNotValidate"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"not an archive", "no whole ZIP archive"), (archive("lib/a.dll"), "0 manifests"), (archive(), "0 manifests")],
)
def test_a_nuget_package_that_is_none_is_refused(node, content, reason):
    status, _, answer = node.request("POST", RAW, *multipart(content, "Acme.Web.2.0.0.nupkg"))
    assert (status, reason in json.loads(answer)["Errors"][0]) == (400, True)
    assert ids(node) == ["packages-Acme.Web.1.0.0"]


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    "path", ["/nuget/packages", "/Spaces-1/nuget/packages", "/api/nuget/packages", "/api/Spaces-1/nuget/packages"]
)
def test_nuget_pushes_by_every_spelling(node, method, path):
    body, headers = multipart(ARCHIVE, "Acme.Lib.1.0.0.nupkg")
    headers |= {"X-NuGet-ApiKey": "API-TEST1234", "X-Octopus-ApiKey": ""}
    assert node.request(method, path, body, headers)[0] == 201
    assert node.request(method, path, body, headers)[0] == 409
    assert node.request(method, path + "?replace=true", body, headers)[0] == 201


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("", [201, 409, 409, 409]),
        ("?overwriteMode=IgnoreIfExists", [200, 200, 200, 201]),
        ("?overwriteMode=OverwriteExisting", [201, 201, 201, 201]),
    ],
)
def test_one_package_pushed_at_once_through_two_nodes_is_stored_once(start_node, query, statuses):
    nodes = [start_node(keep_packages=True), start_node(name="node-2", keep_packages=True)] * 2
    bodies = [multipart(bytes([number]) * 50_000) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda node, body: node.request("POST", RAW + query, *body), nodes, bodies))
    assert sorted(answer[0] for answer in answers) == statuses
    assert ids(nodes[0]) == ids(nodes[1]) == ["packages-Acme.Web.1.0.0"]
    held = json.loads(nodes[0].request("GET", "/api/packages/Acme.Web.1.0.0")[2])
    assert hashlib.sha1(nodes[1].request("GET", "/api/packages/Acme.Web.1.0.0/raw")[2]).hexdigest() == held["Hash"]
    assert files(nodes[0]) == 1
