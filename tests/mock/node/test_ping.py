import json
import re

import pytest
from node_process import read_answer

PING = "/api/octopusservernodes/ping"


def test_the_body_has_the_fields_of_a_real_server_in_their_order(node):
    status, headers, body = node.request("GET", PING)
    document = json.loads(body)
    assert status == 200
    assert headers["octopus-node"] == "node-1"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert list(document) == [
        "Id", "Name", "LastSeen", "IsOffline", "MaxConcurrentTasks", "IsInMaintenanceMode", "Version", "Links",
    ]  # fmt: skip
    assert document["Id"] == "OctopusServerNodes-node-1"
    assert document["IsInMaintenanceMode"] is False
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", document["LastSeen"])
    assert document["Links"] == {"Self": PING, "Node": "/api/octopusservernodes/OctopusServerNodes-node-1"}


def test_draining_answers_418_with_the_same_body_and_serves_the_rest(node):
    node.state("draining")
    status, _, body = node.request("GET", PING)
    assert status == 418
    assert json.loads(body)["IsInMaintenanceMode"] is True
    assert node.request("GET", "/api")[0] == 200
    node.state("online")
    assert node.ping() == 200


@pytest.mark.parametrize("target", [PING + "/", PING + "?x=1", PING.upper(), PING.title() + "/"])
def test_a_slash_at_the_end_a_query_and_case_make_no_difference(node, target):
    assert node.request("GET", target)[0] == 200
    assert node.journaled("probe")["target"] == target


@pytest.mark.parametrize(
    "target", ["/api//octopusservernodes//ping", "/" + PING, PING + "//", PING.replace("s/", "s%2F")]
)
def test_another_path_is_not_the_ping(node, target):
    assert node.request("GET", target)[0] == 404


def test_no_key_is_needed_and_other_methods_are_refused(node):
    assert node.request("GET", PING, headers={"X-Octopus-ApiKey": "wrong"})[0] == 200
    assert node.request("OPTIONS", PING)[0] == 405


@pytest.mark.parametrize(("head_ping", "online", "draining"), [(True, 200, 418), (False, 404, 404)])
def test_head_is_a_switch(start_node, head_ping, online, draining):
    node = start_node(web={"head_ping": head_ping})
    status, headers, body = node.request("HEAD", PING)
    assert (status, body) == (online, b"")
    assert (headers["content-length"] == "0") is not head_ping
    node.state("draining")
    assert node.request("HEAD", PING)[0] == draining


@pytest.mark.parametrize(("state", "how", "status"), [("starting", None, 503), ("offline", "status:502", 502)])
def test_a_status_state_answers_everything(node, state, how, status):
    node.state(state, how)
    assert node.ping() == status
    assert node.request("GET", "/api")[0] == status
    node.state("online")
    assert node.ping() == 200


def test_a_state_of_the_configuration_holds_from_the_first_connection(start_node):
    assert start_node(state={"state": "draining", "how": None}).ping() == 418


def test_probes_are_journaled_and_attempts_are_not_probes(node):
    node.request("GET", PING, headers={"User-Agent": "Prober/1", "X-Forwarded-For": "10.0.0.1"})
    node.request("GET", PING, headers={"X-Mocknode-Attempt": "a-1", "traceparent": "00-1-2-01"})
    probe = node.journaled("probe")
    assert (probe["user_agent"], probe["status"], probe["end"], probe["forwarded"]) == (
        "Prober/1",
        200,
        "complete",
        True,
    )
    assert probe["t_ns"] < probe["answered_ns"] <= probe["ended_ns"]
    request = node.ended("whole")
    assert (request["attempt"], request["traceparent"]) == ("a-1", "00-1-2-01")
    assert ["x-octopus-apikey", "***"] in request["headers"]
    assert len(node.journal("probe")) == 1


def test_one_connection_serves_many_requests(node):
    with node.connect() as sock:
        for _ in range(3):
            sock.sendall(b"GET /api/octopusservernodes/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(sock).startswith(b"HTTP/1.1 200")
        sock.sendall(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        data = b""
        while data.count(b"HTTP/1.1 200") < 2 or not data.endswith(b"}"):
            data += sock.recv(65536)
    closed = node.journaled("connection", lambda line: line["phase"] == "close")
    assert (closed["requests"], closed["how"], closed["by"]) == (5, "fin", "peer")
