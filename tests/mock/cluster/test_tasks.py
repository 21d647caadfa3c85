"""Tasks on real nodes: who picks up what, what a drain does to them, what becomes of a dead node's."""

import json
import subprocess
import sys
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.cluster.client import ControlError
from mocknode.mock.data.tasks import may_take

FLAGS = ("--task-poll", "50ms", "--task-cap", "2")


@pytest.fixture(scope="module")
def tasked(tmp_path_factory, cluster_of):
    up = cluster_of(tmp_path_factory.mktemp("tasks"), *FLAGS)
    yield up
    assert up.end() == 0


@pytest.fixture
def up(tasked):
    tasked.talk(lambda client: client.reset())
    return tasked


def tasks(up):
    return up.talk(lambda client: client.tasks())


def states(up):
    return [task["state"] for task in tasks(up)]


def by_node(up, state="Executing"):
    counts = {}
    for task in tasks(up):
        if task["state"] == state:
            counts[task["node"]] = counts.get(task["node"], 0) + 1
    return counts


def rest(up, node, path, method="GET", body=None):
    url = f"{up.http('node-1')}/api/octopusservernodes/{path.format(node=f'OctopusServerNodes-{node}')}"
    headers = {"X-Octopus-ApiKey": up.document["api_key"], "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
        return json.load(answer)


def cli(up, *words):
    command = [sys.executable, "-m", "mocknode", *words, "--control", up.control]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@given(st.integers(0, 50), st.integers(0, 20), st.integers(0, 100), st.integers(0, 100), st.integers(1, 160))
def test_a_node_takes_no_more_than_it_may(mine, cap, running, waiting, total_cap):
    takes = may_take(mine=mine, cap=cap, running=running, waiting=waiting, total_cap=total_cap)
    assert not takes or (mine < cap and waiting)


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=8), st.integers(1, 100))
def test_what_waits_is_taken_while_anybody_has_room(nodes, waiting):
    nodes = [(min(mine, cap), cap) for mine, cap in nodes]
    running, total = sum(mine for mine, _ in nodes), sum(cap for _, cap in nodes)
    takes = [may_take(mine=mine, cap=cap, running=running, waiting=waiting, total_cap=total) for mine, cap in nodes]
    assert any(takes) == any(mine < cap for mine, cap in nodes)


def test_tasks_go_to_nodes_with_room_and_end(up, helpers):
    added = up.talk(lambda client: client.add_tasks("300ms", 8, "Deploy web"))
    assert [task["state"] for task in added] == ["Queued"] * 8
    helpers.until(lambda: by_node(up) == {"node-1": 2, "node-2": 2, "node-3": 2})
    helpers.until(lambda: states(up) == ["Success"] * 8)
    for task in tasks(up):
        assert task["completed"] - task["started"] >= 0.3


def test_details_and_summary_show_what_runs(up, helpers):
    up.talk(lambda client: client.add_tasks("1m", 3, "Deploy web"))
    helpers.until(lambda: states(up) == ["Executing"] * 3)
    (task,) = rest(up, "node-2", "{node}/details")["RunningTasks"]
    assert (task["Description"], task["State"], task["ServerNode"]) == (
        "Deploy web",
        "Executing",
        "OctopusServerNodes-node-2",
    )
    assert [node["RunningTaskCount"] for node in rest(up, "node-1", "summary")["Nodes"]] == [1, 1, 1]


def test_a_draining_node_finishes_its_tasks_and_takes_none(up, helpers):
    up.talk(lambda client: client.add_tasks("700ms", 3))
    helpers.until(lambda: by_node(up) == {"node-1": 1, "node-2": 1, "node-3": 1})
    up.talk(lambda client: client.set_state("node-2", "draining"))
    up.talk(lambda client: client.add_tasks("1s", 8))
    helpers.until(lambda: states(up)[:3] == ["Success"] * 3)
    helpers.until(lambda: by_node(up) == {"node-1": 2, "node-3": 2})
    assert all(task["node"] != "node-2" for task in tasks(up)[3:])
    up.talk(lambda client: client.set_state("node-2", "online"))
    helpers.until(lambda: by_node(up).get("node-2") == 2)


def test_a_drain_by_put_does_the_same(up, helpers):
    id_ = "OctopusServerNodes-node-2"
    rest(up, "node-2", "{node}", "PUT", {"Id": id_, "IsInMaintenanceMode": True})
    up.talk(lambda client: client.add_tasks("1m", 6))
    helpers.until(lambda: by_node(up) == {"node-1": 2, "node-3": 2})
    assert states(up).count("Queued") == 2
    rest(up, "node-2", "{node}", "PUT", {"Id": id_, "IsInMaintenanceMode": False})
    helpers.until(lambda: by_node(up).get("node-2") == 2)


def test_the_task_cap_is_set_by_put(up, helpers):
    id_ = "OctopusServerNodes-node-3"
    rest(up, "node-3", "{node}", "PUT", {"Id": id_, "MaxConcurrentTasks": 0})
    try:
        up.talk(lambda client: client.add_tasks("1m", 6))
        helpers.until(lambda: by_node(up) == {"node-1": 2, "node-2": 2})
    finally:
        rest(up, "node-3", "{node}", "PUT", {"Id": id_, "MaxConcurrentTasks": 2})
    helpers.until(lambda: by_node(up).get("node-3") == 2)


def test_the_drain_verb_waits_for_tasks_and_cancels_them(up, helpers):
    up.talk(lambda client: client.add_tasks("1m", 3))
    helpers.until(lambda: states(up) == ["Executing"] * 3)
    late = cli(up, "drain", "node-1", "--wait", "50ms")
    assert (late.returncode, "still runs 1 tasks" in late.stderr) == (3, True)
    done = cli(up, "drain", "node-1", "--cancel-tasks", "--wait", "10s")
    assert (done.returncode, done.stdout) == (0, "node-1 is draining; it runs no task\n"), done.stderr
    cancelled = [task for task in tasks(up) if task["state"] == "Canceled"]
    assert [(task["node"], "--cancel-tasks" in task["reason"]) for task in cancelled] == [("node-1", True)]
    assert by_node(up) == {"node-2": 1, "node-3": 1}


def test_tasks_are_queued_listed_and_cancelled_from_the_command_line(up):
    assert "queued: ServerTasks-" in cli(up, "task", "1m", "--description", "Deploy web").stdout
    (task,) = json.loads(cli(up, "tasks", "--json").stdout)
    assert cli(up, "task", "--cancel", task["id"]).stdout == f"cancelled {task['id']}\n"
    assert "Canceled" in cli(up, "tasks").stdout
    again = cli(up, "task", "--cancel", task["id"])
    assert (again.returncode, "every task has ended" in again.stderr) == (2, True)
    for words in ((), ("1m", "--cancel", "x"), ("soon",)):
        assert cli(up, "task", *words).returncode == 2


def test_what_makes_no_sense_is_refused(up):
    for call in (
        lambda client: client.set_state("node-1", "online", cancel_tasks=True),
        lambda client: client.set_state("node-1", "draining", None, "3 pings", cancel_tasks=True),
        lambda client: client.add_tasks("30"),
        lambda client: client.add_tasks("30s", 0),
        lambda client: client.add_tasks("1000h"),
    ):
        with pytest.raises(ControlError) as refused:
            up.talk(call)
        assert refused.value.status == 422
    assert tasks(up) == []


def test_deleting_a_live_node_ends_none_of_its_tasks(up, helpers):
    up.talk(lambda client: client.add_tasks("700ms", 3))
    helpers.until(lambda: by_node(up) == {"node-1": 1, "node-2": 1, "node-3": 1})
    rest(up, "node-3", "{node}", "DELETE")
    helpers.until(lambda: states(up) == ["Success"] * 3)
    # By itself it checks in after a minute only.
    up.talk(lambda client: client.reset())
    helpers.until(lambda: len(rest(up, "node-1", "all")) == 3)


def test_a_dead_nodes_tasks_are_cancelled_after_a_time(tmp_path, cluster_of, helpers):
    up = cluster_of(tmp_path, "--task-poll", "50ms", "--heartbeat", "100ms", "--task-cancel-after", "1s")
    try:
        up.talk(lambda client: client.add_tasks("1m", 3))
        helpers.until(lambda: states(up) == ["Executing"] * 3)
        up.talk(lambda client: client.set_state("node-3", "offline", "crash"))
        helpers.until(lambda: by_node(up, "Canceled") == {"node-3": 1})
        (gone,) = (task for task in tasks(up) if task["state"] == "Canceled")
        assert gone["reason"] == "node-3 was not seen for 1 s"
    finally:
        assert up.end() == 0


def test_a_node_that_comes_back_cancels_what_it_lost(up, helpers):
    up.talk(lambda client: client.add_tasks("1m", 3))
    helpers.until(lambda: states(up) == ["Executing"] * 3)
    for name, how in (("node-1", "crash"), ("node-2", "refuse")):
        up.talk(lambda client, name=name, how=how: client.set_state(name, "offline", how))
    assert states(up) == ["Executing"] * 3
    for name in ("node-1", "node-2"):
        up.talk(lambda client, name=name: client.set_state(name, "online"))
    helpers.until(lambda: by_node(up, "Canceled") == {"node-1": 1, "node-2": 1})
    assert by_node(up) == {"node-3": 1}
