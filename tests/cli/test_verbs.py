"""Every verb over the real command line, against a real cluster."""

import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest

PING = "/api/octopusservernodes/ping"
Verb = Callable[..., Any]


def ping(cluster: dict[str, Any], index: int) -> int:
    with httpx.Client(trust_env=False) as client:
        return client.get(cluster["nodes"][index]["http"] + PING).status_code


def test_drain_and_resume(cluster: dict[str, Any], verb: Verb) -> None:
    assert verb("drain", "node-1").out == "node-1 is draining\n"
    assert ping(cluster, 0) == 418
    status = verb("status")
    assert status.code == 0
    assert [line.split()[:2] for line in status.out.splitlines()[2:]] == [["node-1", "draining"], ["node-2", "online"]]
    assert verb("resume", "node-1").out == "node-1 is online\n"
    assert ping(cluster, 0) == 200


def test_offline_and_online(cluster: dict[str, Any], verb: Verb) -> None:
    assert verb("offline", "node-1", "--how", "crash").out == "node-1 is offline (crash)\n"
    assert "node-1 is online" in verb("online", "node-1").out
    assert verb("offline", "node-1", "--how", "status:503", "--json").document["how"] == "status:503"
    assert ping(cluster, 0) == 503
    assert verb("online", "node-1", "--json").document["state"] == "online"


def test_resume_is_for_drained_nodes(cluster: dict[str, Any], verb: Verb) -> None:
    verb("offline", "node-1", "--how", "crash")
    refused = verb("resume", "node-1")
    assert refused.code == 2
    assert "node-1 is offline (crash), not draining; `mocknode online node-1`" in refused.err
    assert verb("drain", "node-1").out == "node-1 is draining; its process had ended and was started again\n"
    assert verb("resume", "node-1").out == "node-1 is online\n"


def test_later(cluster: dict[str, Any], verb: Verb) -> None:
    assert (
        verb("drain", "node-2", "--after", "2 pings").out == "node-2 is online; the change takes effect after 2 pings\n"
    )
    assert verb("status", "--json").document[1]["pending"] == [{"state": "draining", "how": None, "after": "2 pings"}]
    assert verb("reset").out == "2 nodes online, no faults, no packages\n"
    assert verb("status", "--json").document[1]["pending"] == []


def test_snapshots(cluster: dict[str, Any], verb: Verb) -> None:
    assert verb("snapshots").out == "no snapshots\n"
    with httpx.Client(trust_env=False, headers={"x-octopus-apikey": cluster["api_key"]}) as client:
        packages = cluster["nodes"][0]["http"] + "/api/packages"
        client.post(packages + "/raw", files={"file": ("Acme.1.0.0.zip", b"bytes")}).raise_for_status()
        assert verb("snapshot", "one").out == "saved one, packages: 1\n"
        assert verb("reset", "--keep", "data").out == "2 nodes online, no faults, data kept\n"
        assert client.get(packages).json()["TotalResults"] == 1
        verb("reset")
        assert client.get(packages).json()["TotalResults"] == 0
        assert verb("restore", "one").out == "restored the data of one\n"
        assert client.get(packages).json()["TotalResults"] == 1
    assert verb("snapshots").out.splitlines()[2].split()[::3] == ["one", "1"]
    assert [one["name"] for one in verb("snapshots", "--json").document] == ["one"]
    assert verb("snapshots", "--delete", "one").out == "deleted one\n"
    for words, says in (
        (("restore", "one"), "snapshot: got 'one', allowed: there is none"),
        (("snapshots", "--delete", "one"), "snapshot: got 'one', allowed: there is none"),
        (("snapshot", "../one"), "snapshot: got '../one', allowed: 1 to 63 letters"),
        (("snapshot", "fixtures"), "is what --fixtures loaded"),
        (("reset", "--keep", "fixtures"), "this cluster was started without --fixtures"),
        (("reset", "--keep", "all"), "'all' is not one of 'data', 'fixtures'"),
    ):
        done = verb(*words)
        assert (done.code, says in done.err) == (2, True), done.err


def test_faults(cluster: dict[str, Any], verb: Verb) -> None:
    assert verb("faults").out == "no faults\n"
    words = ["--code", "502", "--on", "ping", "--body=down for --maintenance", "--ttl", "60s"]
    number = verb("fault", "node-1", "status", *words, "--json").document["id"]
    assert ping(cluster, 0) == 502
    (fault,) = verb("faults", "--json").document
    assert fault["node"] == "node-1"
    assert fault["id"] == number
    assert fault["options"] == {"code": "502", "body": "down for --maintenance"}
    line = verb("faults").out.splitlines()[-1]
    assert "node-1" in line
    assert "--code 502" in line
    assert "--ttl 60s" in line
    assert verb("fault", "node-1", "think", "--for", "1ms").out.startswith("set fault f")
    verb("reset")
    assert verb("faults").out == "no faults\n"
    assert ping(cluster, 0) == 200


def test_a_change_that_waits_is_shown(verb: Verb) -> None:
    verb("offline", "node-1", "--how", "freeze", "--after", "30% of an upload")
    assert "online, then offline (freeze) after 30% of an upload" in verb("status").out
    verb("reset")
    assert "then" not in verb("status").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["drain", "node-7"], "node: got 'node-7', allowed: node-1, node-2"),
        (["drain", "node 1?"], "node: got 'node 1?'"),
        (["offline", "node-1", "--how", "frezze"], "did you mean freeze"),
        (["offline", "node-1", "--how", "drop"], "packet-drop"),
        (["drain", "node-1", "--after", "3 pongs"], "trigger: got '3 pongs', allowed are forms such as 5s, 3 pings"),
        (["fault", "node-9", "hang"], "node: got 'node-9'"),
    ],
)
def test_what_a_cluster_refuses(verb: Verb, words: list[str], says: str) -> None:
    typed = verb(*words)
    assert typed.code == 2
    assert says in typed.err
    assert len(typed.err.splitlines()) == 1
    assert typed.out == ""


def test_the_control_url_by_environment_and_no_proxy(cluster: dict[str, Any], shell: Any) -> None:
    changed = {
        "MOCKNODE_CONTROL": cluster["control"],
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    done = shell("status", "--json", env={**os.environ, **changed})
    assert [node["name"] for node in done.document] == ["node-1", "node-2"]


def test_a_node_is_no_control_api(cluster: dict[str, Any], typed: Any) -> None:
    done = typed("status", "--control", cluster["nodes"][0]["http"])
    assert done.code == 3
    assert "is no control API of mocknode" in done.err


def test_a_configuration_for_a_running_cluster(cluster: dict[str, Any], verb: Verb) -> None:
    done = verb("balancer", "config", "haproxy")
    assert done.code == 0
    for node in cluster["nodes"]:
        assert node["http"].removeprefix("http://") in done.out
