"""Documents of the cluster's nodes. Source: swagger and generated reference; `Rank` left the server in 2020.3."""

from typing import Final

from typing_extensions import TypedDict

from mocknode.mock.data.store import NodeRow, timestamp
from mocknode.mock.data.tasks import Task
from mocknode.mock.node.heartbeat import is_offline

BASE: Final = "/api/octopusservernodes"
PREFIX: Final = "OctopusServerNodes-"


class NodeDocument(TypedDict):
    """A node."""

    Id: str
    Name: str
    MaxConcurrentTasks: int
    IsInMaintenanceMode: bool
    LastModifiedOn: str | None
    LastModifiedBy: str | None
    Links: dict[str, str]


class NodeSummary(NodeDocument):
    """A node as the summary shows it."""

    LastSeen: str
    IsOffline: bool
    RunningTaskCount: int
    Version: str


class ClusterSummary(TypedDict):
    """The cluster at a glance."""

    Nodes: list[NodeSummary]
    Links: dict[str, str]


class TaskDocument(TypedDict):
    """A task that runs."""

    Id: str
    Name: str
    Description: str
    State: str
    QueueTime: str
    StartTime: str | None
    ServerNode: str | None
    Links: dict[str, str]


class NodeDetails(TypedDict):
    """What a node is doing."""

    Id: str
    RunningTasks: list[TaskDocument]
    Links: dict[str, str]


def running_task(task: Task) -> TaskDocument:
    """A task as the details of its node show it."""
    return {
        "Id": task.id,
        "Name": "Deploy",
        "Description": task.description,
        "State": task.state,
        "QueueTime": timestamp(task.queued),
        "StartTime": None if task.started is None else timestamp(task.started),
        "ServerNode": None if task.node is None else PREFIX + task.node,
        "Links": {},
    }


def node_document(row: NodeRow) -> NodeDocument:
    """One node; `IsInMaintenanceMode` is its drain flag."""
    id_ = PREFIX + row.name
    return {
        "Id": id_,
        "Name": row.name,
        "MaxConcurrentTasks": row.max_concurrent_tasks,
        "IsInMaintenanceMode": row.draining,
        "LastModifiedOn": None,
        "LastModifiedBy": None,
        "Links": {"Self": f"{BASE}/{id_}", "Details": f"{BASE}/{id_}/details"},
    }


def summary_document(row: NodeRow, *, now_s: float, offline_after_s: float, running_tasks: int) -> NodeSummary:
    """One node as the summary shows it."""
    document = node_document(row)
    document["Links"]["Node"] = document["Links"]["Self"]
    return {
        **document,
        "LastSeen": timestamp(row.last_seen),
        "IsOffline": is_offline(row, now_s=now_s, after_s=offline_after_s),
        "RunningTaskCount": running_tasks,
        "Version": row.version,
    }
