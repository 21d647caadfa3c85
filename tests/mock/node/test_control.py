import json
import select
import threading

import pytest
from node_process import WAIT_S, RunningNode, read_answer


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"do": "dance"}, "do: got 'dance', allowed: state, fault-add"),
        ({"do": "state", "state": "away"}, "state: got 'away', allowed: online"),
        ({"do": "state", "state": "offline", "how": "sulk"}, "how: got 'sulk'"),
        ({"do": "state", "state": "draining", "after": "later"}, "trigger: got 'later'"),
        ({"do": "fault-add", "fault": {"id": "f", "kind": "sulk"}}, "fault kind: got 'sulk'"),
        ({"do": "fault-add", "fault": {"kind": "reset"}}, "an object with an id is needed"),
        ({"do": "fault-remove", "fault_id": "f7"}, "fault_id: got 'f7', allowed: no fault is set"),
    ],
)
def test_what_a_node_cannot_do_is_said(node, request_, message):
    answer = node.ask(**request_)
    assert not answer["ok"]
    assert message in answer["error"]["detail"]
    assert node.ping() == 200


def test_a_line_that_is_no_json_is_answered(node):
    node.socket.sendall(b"not json\n")
    assert node.read()["error"]["detail"].startswith("control line is not JSON")
    node.socket.sendall(b"[1]\n")
    assert node.read()["error"]["detail"].startswith("control line is not an object")
    assert node.ping() == 200


@pytest.mark.parametrize(
    ("config", "message", "code"),
    [
        ({"colour": 1}, "config: unknown key 'colour'", 2),
        ({"state": {"state": "away"}}, "state: got 'away'", 2),
        ({"faults": [{"id": "f", "kind": "sulk"}]}, "fault kind: got 'sulk'", 2),
        ({"https_port": 0}, "https_port needs certificate and key", 2),
        ({"store": "sqlite:////nowhere/at/all.db"}, "cannot be reached: unable to open database file", 3),
        ({"store": "nonsense"}, "cannot be reached", 3),
        ({"host": "192.0.2.1"}, "assign requested address", 3),
    ],
)
def test_a_node_that_cannot_start_says_why(start_node, config, message, code):
    node = start_node(ready=False, **config)
    assert message in node.event("error")["detail"]
    assert node.process.wait(10) == code


def test_state_changes_are_events_with_their_cause(node):
    node.state("draining")
    assert node.event("state") == {"event": "state", "state": "draining", "how": None, "cause": "command"}
    node.do("reset")
    assert node.event("state")["cause"] == "reset"
    node.state("draining", after="50ms")
    assert node.event("state")["cause"] == "trigger"
    assert node.ping() == 418


def test_reset_ends_triggers_faults_and_states(node):
    node.state("draining", after="1 ping")
    node.fault("status", {"code": 500})
    node.state("offline", "status:502")
    node.do("reset")
    assert [node.ping(), node.ping()] == [200, 200]
    status = node.do("status")
    assert (status["state"], status["pending"], node.do("faults")["faults"]) == ("online", [], [])


def test_draining_after_pings_lets_these_pings_pass(node):
    node.state("draining", after="3 pings")
    assert [node.ping() for _ in range(5)] == [200, 200, 200, 418, 418]


def test_counters(node):
    before = node.do("status")
    node.ping()
    node.request("GET", "/api")
    status = node.do("status")
    assert (status["pings"] - before["pings"], status["requests"] - before["requests"]) == (1, 1)
    assert status["requests_in_flight"] == 0
    assert status["journal"]["dropped"] == 0
    assert status["rss_bytes"] > 2**20


@pytest.mark.parametrize(("ok", "status"), [(True, 200), (False, 400)])
def test_put_asks_the_agent_to_drain_any_node(start_node, ok, status):
    node, _ = start_node(), start_node(name="node-2")
    answers = []
    document = {"Id": "OctopusServerNodes-node-2", "Name": "node-2", "IsInMaintenanceMode": True}
    target = "/api/octopusservernodes//OctopusServerNodes-node-2"
    headers = {"X-HTTP-Method-Override": "PUT"}
    thread = threading.Thread(
        target=lambda: answers.append(node.request("POST", target, json.dumps(document).encode(), headers))
    )
    thread.start()
    event = node.event("drain-request")
    assert (event["node"], event["draining"]) == ("node-2", True)
    node.send({"reply": event["id"], "ok": ok, "error": {"detail": "it is frozen"}})
    thread.join(10)
    ((answered, _, body),) = answers
    assert answered == status
    if ok:
        assert json.loads(body)["IsInMaintenanceMode"] is True
    else:
        assert json.loads(body)["Errors"] == ["it is frozen"]


def test_the_node_family(start_node):
    node, _ = start_node(), start_node(name="node-2")
    base = "/api/octopusservernodes"

    def get(path):
        status, _, body = node.request("GET", base + path)
        return status, json.loads(body)

    page = get("?take=1")[1]
    assert (page["ItemType"], page["TotalResults"], len(page["Items"])) == ("OctopusServerNode", 2, 1)
    assert [item["Name"] for item in get("/all")[1]] == ["node-1", "node-2"]
    assert [item["IsOffline"] for item in get("/summary")[1]["Nodes"]] == [False, False]
    assert get("/OctopusServerNodes-node-2")[1]["Links"]["Self"] == f"{base}/OctopusServerNodes-node-2"
    assert get("/OctopusServerNodes-node-2/details")[1]["RunningTasks"] == []
    assert get("/OctopusServerNodes-node-9")[0] == 404
    assert get("?partialName=2")[1]["TotalResults"] == 1
    cap = json.dumps({"Id": "x", "MaxConcurrentTasks": 7}).encode()
    assert node.request("PUT", f"{base}/OctopusServerNodes-node-2", cap)[0] == 200
    assert get("/OctopusServerNodes-node-2")[1]["MaxConcurrentTasks"] == 7
    assert node.request("PUT", f"{base}/OctopusServerNodes-node-2", b"no json")[0] == 400
    for wrong in (b'{"Id": "x", "IsInMaintenanceMode": 3}', b'{"IsInMaintenanceMode": true}', b'{"Id": 2}'):
        assert node.request("PUT", f"{base}/OctopusServerNodes-node-2", wrong)[0] == 400
    assert get("/OctopusServerNodes-node-2")[1]["IsInMaintenanceMode"] is False
    assert node.request("DELETE", f"{base}/OctopusServerNodes-node-2")[0] == 200
    assert node.request("GET", base, headers={"X-Octopus-ApiKey": "x"})[0] == 401


def test_errors_are_octopus_documents(node):
    for method, target, status in [
        ("GET", "/nope", 404),
        ("GET", "/no/portal", 404),
        ("PATCH", "/api", 405),
        ("GET", "/api/Spaces-7", 404),
    ]:
        answered, headers, body = node.request(method, target)
        assert (answered, headers["content-type"]) == (status, "application/json; charset=utf-8")
        assert json.loads(body)["ErrorMessage"]
    root = json.loads(node.request("GET", "/api/", headers={"X-Octopus-ApiKey": ""})[2])
    assert root["ApiVersion"] == "3.0.0"
    assert "overwriteMode" in root["Links"]["PackageUpload"]


def test_a_malformed_request_is_400_and_the_node_lives(node):
    with node.connect() as sock:
        sock.sendall(b"NONSENSE\r\n\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 400")
    assert node.ping() == 200


def test_an_agent_that_ends_with_answers_unread_is_the_end_and_no_error(tmp_path):
    node = RunningNode(tmp_path).wait_ready()
    node.send({"id": 1, "do": "status"})
    assert select.select([node.socket], [], [], WAIT_S)[0]
    # The answer is unread, so the node's read ends with a reset; `close` looks for a traceback in its log.
    node.close()
    assert node.process.returncode == 0
