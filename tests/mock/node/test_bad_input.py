"""What every row of the table of routes does with bad input: the documented status, the error document, nothing stored."""

import contextlib
import json
import re

import pytest
from node_process import KEY, multipart

from mocknode.mock.node.rest.routes import OPERATIONS
from mocknode.mock.node.rest.routing import PAGING
from mocknode.mock.node.web_server import KESTREL

UNAUTHORIZED = "You must be logged in to request this resource. Please provide a valid API key or log in again."
ERROR_FIELDS = {"ErrorMessage", "Errors", "FullException", "HelpText", "HelpLink", "ParsedHelpLinks", "Details"}
VALUES = {
    "spaceId": "Spaces-1",
    "spaceIdentifier": "default",
    "userId": "me",
    "version": "1.0.0",
    "baseVersion": "1.0.0",
}


def filled(path, **values):
    return re.sub(r"{(\w+)}", lambda match: {**VALUES, **values}.get(match[1], "No.Such.1.0.0"), path)


def label(operation):
    return f"{operation.method} {operation.path}"


def rows(*, where=lambda _: True):
    return pytest.mark.parametrize("operation", [row for row in OPERATIONS if where(row)], ids=label)


def path_of(operation):
    return operation.paths[-1]


def ask(node, operation, path=None, body=b"", headers=None):
    has_body = operation.method in ("POST", "PUT") or body
    return node.request(operation.method, path or filled(path_of(operation)), body if has_body else None, headers)


def error(answer):
    document = json.loads(answer[2])
    assert set(document) == ERROR_FIELDS
    assert answer[1]["content-type"] == "application/json; charset=utf-8"
    assert answer[1]["octopus-node"] == "node-1"
    assert "Traceback" not in answer[2].decode()
    return document


def nothing_stored(node):
    assert json.loads(node.request("GET", "/api/packages")[2])["TotalResults"] == 0
    assert node.do("status")["uploads_in_flight"] == 0


@rows(where=lambda row: not row.anonymous)
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Octopus-ApiKey": ""},
        {"X-Octopus-ApiKey": "API-WRONG"},
        {"X-Octopus-ApiKey": "", "Authorization": "Bearer wrong"},
        {"X-Octopus-ApiKey": "", "Cookie": "OctopusIdentificationToken_00000000-0000-0000-0000-000000000000=wrong"},
    ],
    ids=["none", "key", "token", "cookie"],
)
def test_without_valid_credentials_it_is_401(node, operation, headers):
    answer = ask(node, operation, headers=headers)
    assert (answer[0], error(answer)["ErrorMessage"]) == (401, UNAUTHORIZED)
    nothing_stored(node)


@rows(where=lambda row: row.scoped)
def test_an_unknown_space_is_404(node, operation):
    for path in operation.paths:
        if "{space" in path:
            answer = ask(node, operation, filled(path, spaceId="Spaces-99", spaceIdentifier="nowhere"))
            assert answer[0] == 404
            error(answer)
    nothing_stored(node)


# Where the vendor documents 400 for what is not there, or what is not there is not missed.
OTHERWISE = {
    "GET /packages/{id}/raw": 400,
    "POST /packages/{packageId}/{baseVersion}/delta": 400,
    "GET /api/users/{userId}/spaces": 200,
    "POST /api/users/{userId}/apikeys": 400,
    "GET /api/users/{userId}/apikeys": 200,
    "GET /api/users/{userId}": 200,
}


@rows(where=lambda row: "{" in row.path and not row.path.startswith("/api/{spaceId}"))
def test_an_unknown_id_is_404_or_what_is_documented(node, operation):
    body, headers = (b"{}", None) if operation.path.endswith("}") else multipart(b"x")
    if operation.path.endswith("apikeys"):
        body = b"no json"
    answer = ask(node, operation, body=body if operation.body else b"", headers=headers)
    status = OTHERWISE.get(label(operation), 404)
    assert answer[0] == status
    if status != 200:
        error(answer)


HOSTILE_IDS = [
    "..%2F..%2Fstore.db",
    "packages-" + "a" * 3_000,
    "%E2%98%83",
    "%FF",
    "'%20OR%201=1--",
    "%",
]


@rows(where=lambda row: re.search(r"{(?!space)", row.path))
def test_a_hostile_id_is_refused_and_finds_nothing(node, operation):
    headers = {} if operation.body is None else {"Content-Type": operation.body[0]}
    for id_ in HOSTILE_IDS:
        path = re.sub(r"{(?!space)\w+}", id_, path_of(operation).replace("{spaceIdentifier}", "default"))
        answer = ask(node, operation, path, b"{}" if operation.body else b"", headers)
        assert answer[0] in (400, 404), (path[:80], answer)
        error(answer)
    nothing_stored(node)
    assert node.ping() == 200


@pytest.mark.parametrize("number", ["1", "99999999999999999999999999", "%D9%A3", "-1", "0x1"])
def test_no_machine_has_such_a_number(node, number):
    answer = node.request("GET", f"/api/Spaces-1/machines/Machines-{number}")
    assert answer[0] == 404
    error(answer)


@rows(where=lambda row: "{userId}" in row.path)
def test_an_unknown_user_is_404(node, operation):
    answer = ask(node, operation, filled(operation.path, userId="Users-99"), b"{}" if operation.body else b"")
    assert answer[0] == 404
    error(answer)


# A node without a Tentacle port has no certificate to page through.
@rows(where=lambda row: PAGING[0] in row.query and row.path != "/api/configuration/certificates")
@pytest.mark.parametrize(
    "page", ["skip=-1", "take=-1", "take=ten", "take=2147483648", "skip=1.5", "take=", "take=%D9%A3"]
)
def test_bad_paging_is_400(node, operation, page):
    path = filled(path_of(operation)).replace("No.Such.1.0.0", "feeds-builtin")
    answer = ask(node, operation, f"{path}?packageId=x&{page}")
    assert answer[0] == 400
    assert error(answer)["Errors"][0].startswith(page.partition("=")[0] + ": got")


JSON_BODIES = [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000]


@rows(where=lambda row: row.body is not None and row.body[0] == "application/json" and row.path != "/api/token/v1")
@pytest.mark.parametrize("body", JSON_BODIES, ids=["none", "cut", "list", "null", "text", "binary", "deep"])
def test_a_body_that_is_no_json_object_is_400(node, operation, body):
    answer = ask(node, operation, filled(path_of(operation), id="OctopusServerNodes-node-1"), body)
    assert answer[0] == 400
    assert error(answer)["ErrorMessage"] == "There was a problem with your request."


@rows(where=lambda row: row.body is not None and row.body[0] == "application/json")
def test_a_document_that_is_cut_short_changes_nothing(node, operation):
    body = b'{"IsInMaintenanceMode": true, "Ids": ["x"], "Name": "cut"}'
    path = filled(path_of(operation), id="OctopusServerNodes-node-1")
    head = f"{operation.method} {path} HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: {KEY}\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    with node.connect() as sock:
        sock.sendall(head.encode() + body)
    line = node.ended()
    assert (line["complete"], line["status"]) == (False, None)
    assert node.ping() == 200
    assert json.loads(node.request("GET", "/api/maintenanceconfiguration")[2])["IsInMaintenanceMode"] is False
    assert json.loads(node.request("GET", "/api/machines")[2])["TotalResults"] == 0


@rows(where=lambda row: row.body is not None and row.body[0] == "application/json")
def test_a_document_beyond_all_measure_is_413(node, operation):
    body = b'{"x": "' + b"x" * 1024 * 1024 + b'"}'
    answer = ask(node, operation, filled(path_of(operation), id="OctopusServerNodes-node-1"), body)
    assert answer[0] == 413
    error(answer)


UPLOADS = [row for row in OPERATIONS if row.body is not None and row.body[1] is bytes and "delta" not in row.path]


@pytest.mark.parametrize("operation", UPLOADS, ids=label)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"x", "application/octet-stream"),
        (b"x", "application/json"),
        (b"x", ""),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/mixed; boundary=b"),
    ],
)
def test_an_upload_of_the_wrong_type_is_400(node, operation, body, kind):
    answer = ask(node, operation, body=body, headers={"Content-Type": kind})
    assert answer[0] == 400
    error(answer)
    nothing_stored(node)


@pytest.mark.parametrize("operation", [row for row in UPLOADS if "validate" not in row.path], ids=label)
@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", "a\0b.1.0.zip", "a" * 10_000 + ".1.0.zip", "a.1.0.zip\r\nX: y", "con.1.0", "☃.zip", "", " ", "%00.1.0.zip"],
    ids=["path", "dots", "nul", "10KB", "crlf", "no-extension", "snowman", "empty", "blank", "percent"],
)  # fmt: skip
def test_a_hostile_file_name_is_400(node, operation, name):
    body, headers = multipart(b"PK\x03\x04", name)
    answer = ask(node, operation, body=body, headers=headers)
    assert answer[0] == 400
    error(answer)
    nothing_stored(node)
    assert node.ping() == 200


@pytest.mark.parametrize("name", ["../../up.1.0.zip", "C:\\dir\\up.1.0.zip", "/etc/up.1.0.zip"])
def test_directories_in_a_file_name_are_dropped(node, name):
    answer = node.request("POST", "/api/packages/raw", *multipart(b"x", name.replace("\\", "\\\\")))
    assert (answer[0], json.loads(answer[2])["Id"]) == (201, "packages-up.1.0")


def test_an_id_of_unicode_letters_is_stored_listed_and_deleted(node):
    assert node.request("POST", "/api/packages/raw", *multipart(b"x", "Größe.1.0.zip"))[0] == 201
    (item,) = json.loads(node.request("GET", "/api/packages")[2])["Items"]
    assert item["PackageId"] == "Größe"
    assert node.request("DELETE", "/api/packages/packages-Gr%C3%B6%C3%9Fe.1.0")[0] == 200
    nothing_stored(node)


@pytest.mark.parametrize("operation", [row for row in UPLOADS if "validate" not in row.path], ids=label)
def test_a_body_that_is_cut_short_stores_nothing(node, operation):
    body, headers = multipart(b"PK\x03\x04" + b"x" * 1000)
    head = f"{operation.method} {filled(path_of(operation))} HTTP/1.1\r\nHost: x\r\nX-Octopus-ApiKey: {KEY}\r\n"
    head += f"Content-Length: {len(body)}\r\nContent-Type: {headers['Content-Type']}\r\n\r\n"
    with node.connect() as sock:
        sock.sendall(head.encode() + body[:-100])
    line = node.ended()
    assert (line["complete"], line["status"]) == (False, None)
    nothing_stored(node)


def test_a_body_whose_last_boundary_is_missing_is_400(node):
    body, headers = multipart(b"x" * 1000)
    answer = node.request("POST", "/api/packages/raw", body[: body.rindex(b"\r\n--")], headers)
    assert (answer[0], "closes its file" in error(answer)["Errors"][0]) == (400, True)
    nothing_stored(node)


def test_a_path_without_a_row_is_404_and_a_method_without_one_405(node):
    answer = node.request("GET", "/api/no/such/thing")
    assert answer[0] == 404
    error(answer)
    answer = node.request("PATCH", "/api/packages/raw", b"")
    assert (answer[0], answer[1]["allow"]) == (405, "POST")
    error(answer)


def test_two_default_spaces_break_the_root_and_no_named_space(start_node):
    from mocknode.mock.data.directory import Directory, Space
    from mocknode.mock.data.store import Store

    node = start_node()
    directory = Directory(Store(f"sqlite:///{node.run_dir}/store.db"))
    directory.put(Space(id="Spaces-2", name="Second", slug="second", is_default=True))
    answer = node.request("GET", "/api")
    assert (answer[0], "default" in error(answer)["ErrorMessage"]) == (500, True)
    body, headers = multipart(b"x")
    assert node.request("POST", "/api/packages/raw", body, headers)[0] == 500
    nothing = json.loads(node.request("GET", "/api/Spaces-2/packages")[2])
    assert nothing["TotalResults"] == 0
    assert node.request("POST", "/api/Spaces-2/packages/raw", body, headers)[0] == 201


@pytest.mark.parametrize("expires", ["soon", "2001-01-01T00:00:00Z", "2999-01-01", 5, "9999-12-31T23:59:59-23:59"])
def test_a_key_cannot_end_at_a_time_that_is_none(node, expires):
    answer = node.request("POST", "/api/users/me/apikeys", json.dumps({"Expires": expires}).encode())
    assert (answer[0], error(answer)["Errors"][0].startswith("Expires: got")) == (400, True)
    assert node.request("GET", "/api/users/me/apikeys")[0] == 200


def test_a_head_without_end_is_refused_and_harms_nobody_else(node):
    with node.connect() as connection:
        connection.sendall(b"GET /api HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with contextlib.suppress(ConnectionError):  # what comes after the answer may meet a closed connection
            for _ in range(4 * KESTREL.fields_bytes // 4096):
                connection.sendall(b"a" * 4096)
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")
    closed = node.journaled("connection", lambda line: line["phase"] == "close" and line["by"] == "node")
    assert (closed["how"], closed["requests"]) == ("fin", 1)
    assert node.ended("whole")["refused"] == "header-fields-too-long"
    assert node.ping() == 200


def test_a_long_head_that_ends_is_read_in_as_many_pieces_as_it_comes(node):
    with node.connect() as connection:
        connection.sendall(b"GET /api/octopusservernodes/ping HTTP/1.1\r\nHost: x\r\nX-Long: ")
        for _ in range(KESTREL.fields_bytes // 4096 - 1):
            connection.sendall(b"a" * 4096)
        connection.sendall(b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
