"""Fixtures, snapshots and resets of the data on a running cluster, over real sockets."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from mocknode.mock.cluster.client import ControlError
from mocknode.mock.cluster.fixture_content import write_content

FIXTURES = """mocknode-fixtures: 1
spaces: [{name: Web Shop}]
users:
  - {username: ci, service: true, permissions: [BuiltInFeedPush], api-keys: [API-CI]}
  - {username: anna, password: open sesame}
feeds: [{name: nuget.org, type: NuGet, space: web-shop}]
packages:
  - {id: Acme.Web, version: 1.0.0, size: 64KiB, seed: 7}
  - {id: Acme.Web, version: 1.0.1, size: 64KiB, space: Web Shop, extension: .nupkg}
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, cluster_of):
    directory = tmp_path_factory.mktemp("data")
    (directory / "f.yaml").write_text(FIXTURES)
    up = cluster_of(directory, "--fixtures", str(directory / "f.yaml"), "--keep-packages")
    yield up
    assert up.end() == 0


@pytest.fixture
def up(loaded):
    loaded.talk(lambda client: client.reset("fixtures"))
    return loaded


def ask(up, method, path, node="node-1", key=None, **options):
    headers = {"x-octopus-apikey": key or up.document["api_key"]}
    with httpx.Client(trust_env=False, base_url=up.http(node), headers=headers) as client:
        return client.request(method, path, **options)


def push(up, name, content=b"bytes", node="node-1", **options):
    path = "/api/Spaces-1/packages/raw?overwriteMode=OverwriteExisting"
    return ask(up, "POST", path, node, files={"file": (name, content)}, **options).status_code


def packages(up, space="Spaces-1", node="node-1"):
    return {one["Id"]: one["Hash"] for one in ask(up, "GET", f"/api/{space}/packages", node).json()["Items"]}


def new_key(up, node="node-1"):
    return ask(up, "POST", "/api/users/Users-1/apikeys", node, json={"Purpose": "test"}).json()["Id"]


def refused(up, conversation, status):
    with pytest.raises(ControlError) as error:
        up.talk(conversation)
    assert error.value.status == status
    return error.value.detail


def test_every_node_serves_what_the_file_says(up):
    for node in ("node-1", "node-2", "node-3"):
        spaces = ask(up, "GET", "/api/spaces/all", node).json()
        assert [(space["Id"], space["Slug"]) for space in spaces] == [("Spaces-1", "default"), ("Spaces-2", "web-shop")]
        assert ask(up, "GET", "/api/users/me", node, key="API-CI").json()["Id"] == "Users-2"
        feeds = ask(up, "GET", "/api/Spaces-2/feeds/all", node).json()
        assert [(feed["Id"], feed["FeedType"]) for feed in feeds] == [
            ("Feeds-1001", "BuiltIn"),
            ("Feeds-1002", "NuGet"),
        ]
        sha1 = write_content(None, extension=".zip", size=64 << 10, seed=7)
        assert packages(up, node=node) == {"packages-Acme.Web.1.0.0": sha1}
        file = ask(up, "GET", "/api/Spaces-1/packages/packages-Acme.Web.1.0.0/raw", node).content
        assert hashlib.sha1(file).hexdigest() == sha1
    signed_in = ask(
        up, "POST", "/api/users/login", json={"Username": "anna", "Password": "open sesame"}, key="API-NONE"
    )
    assert signed_in.json()["Id"] == "Users-3"


def test_a_reset_keeps_what_it_is_told_to_and_rewinds_ids(up):
    there = packages(up)
    for keep, left, spaces in (("fixtures", there, 2), ("nothing", {}, 1), ("fixtures", there, 2)):
        first = [new_key(up, node) for node in ("node-1", "node-2", "node-3")]
        assert push(up, "Acme.Web.1.0.0.zip") == 201
        up.talk(lambda client: client.reset("data"))
        assert packages(up) != left
        up.talk(lambda client, keep=keep: client.reset(keep))
        # At once and at every node, though each remembers spaces for a second.
        for node in ("node-1", "node-2", "node-3"):
            assert packages(up, node=node) == left
            assert (ask(up, "GET", "/api/Spaces-2", node).status_code == 200) == (spaces == 2)
    assert first == ["apikeys-1", "apikeys-2", "apikeys-3"]


def test_nodes_share_the_counters_also_with_one_that_was_restarted(up):
    first = int(new_key(up).partition("-")[2])
    up.talk(lambda client: client.set_state("node-2", "offline", "crash"))
    up.talk(lambda client: client.set_state("node-2", "online"))
    with ThreadPoolExecutor(3) as threads:
        ids = list(threads.map(lambda n: new_key(up, f"node-{n % 3 + 1}"), range(9)))
    assert sorted(ids) == sorted(f"apikeys-{number}" for number in range(first + 1, first + 10))


def test_a_snapshot_brings_back_replaced_and_deleted_files(up):
    push(up, "B.1.0.0.zip", b"first")
    up.talk(lambda client: client.snapshot("one"))
    push(up, "B.1.0.0.zip", b"second", "node-2")
    ask(up, "DELETE", "/api/Spaces-1/packages/packages-Acme.Web.1.0.0")
    up.talk(lambda client: client.restore("one"))
    assert set(packages(up)) == {"packages-B.1.0.0", "packages-Acme.Web.1.0.0"}
    assert ask(up, "GET", "/api/Spaces-1/packages/packages-B.1.0.0/raw", "node-3").content == b"first"
    assert ask(up, "GET", "/api/Spaces-1/packages/packages-Acme.Web.1.0.0/raw").status_code == 200
    up.talk(lambda client: client.delete_snapshot("one"))
    up.talk(lambda client: client.reset("fixtures"))
    # Only the two files of the fixtures are left.
    assert len([path for path in (up.run_dir / "packages").rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize("replace", ["restore", "reset"])
def test_an_upload_that_began_before_is_refused_and_leaves_nothing(up, replace):
    there = packages(up)
    parts = urlsplit(up.http("node-1"))
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="Late.1.0.0.zip"\r\n\r\n'
    tail = b"late\r\n--b--\r\n"
    connection.putrequest("POST", "/api/Spaces-1/packages/raw")
    for name, value in (
        ("X-Octopus-ApiKey", up.document["api_key"]),
        ("Content-Type", "multipart/form-data; boundary=b"),
        ("Content-Length", str(len(head + tail))),
        ("X-Mocknode-Attempt", f"late-{replace}"),
    ):
        connection.putheader(name, value)
    connection.endheaders(head)
    up.talk(
        lambda client: client.journal(kind="request", attempt=f"late-{replace}", wait_for=1, timeout_s=20)
    )  # The node has its head.
    up.talk(lambda client: client.restore("fixtures") if replace == "restore" else client.reset("fixtures"))
    connection.send(tail)
    answer = connection.getresponse()
    assert (answer.status, "restored during this upload" in json.load(answer)["ErrorMessage"]) == (503, True)
    connection.close()
    assert packages(up) == there
    assert push(up, "Late.1.0.0.zip") == 201


def test_a_node_that_was_frozen_meanwhile_serves_the_new_data(up):
    up.talk(lambda client: client.set_state("node-2", "offline", "freeze"))
    up.talk(lambda client: client.restore("fixtures"))
    up.talk(lambda client: client.reset("data"))
    assert push(up, "New.1.0.0.zip", node="node-2") == 201


def test_what_is_refused(up):
    assert "letters, digits" in refused(up, lambda client: client.snapshot("../x"), 422)
    assert "what --fixtures loaded" in refused(up, lambda client: client.snapshot("fixtures"), 422)
    assert "what --fixtures loaded" in refused(up, lambda client: client.delete_snapshot("fixtures"), 422)
    assert "got 'none', allowed: fixtures" in refused(up, lambda client: client.restore("none"), 404)
    assert "allowed: data, fixtures, nothing" in refused(up, lambda client: client.reset("all"), 422)
    assert [one["name"] for one in up.talk(lambda client: client.snapshots())] == ["fixtures"]


def test_a_file_that_cannot_be_loaded_is_a_usage_error_and_leaves_nothing(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_text(FIXTURES + "  - {id: A, version: 1.10, size: 1KiB}\n")
    command = [sys.executable, "-m", "mocknode", "up", "--fixtures", str(file), "--run-dir", str(tmp_path / "run"),
               "--identity-dir", str(tmp_path / "id"), "--http-port", "0", "--control-port", "0"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert f"--fixtures {file}, line 10: packages.2.version: got 1.1" in done.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_a_snapshot_that_is_deleted_as_soon_as_it_is_taken(up):
    async def delete(client, over):
        while not over.is_set():
            with contextlib.suppress(ControlError):  # it is not there yet
                await client.delete_snapshot("fleeting")

    async def conversation(client):
        over = asyncio.Event()
        deleting = [asyncio.create_task(delete(client, over)) for _ in range(2)]
        try:
            return [await client.snapshot("fleeting") for _ in range(20)]
        finally:
            over.set()
            await asyncio.gather(*deleting)

    assert {one["name"] for one in up.talk(conversation)} == {"fleeting"}
