"""`/api/octopusservernodes`: the nodes of the cluster, and drain by PUT.

Source: swagger and generated reference of the server, `OctopusServerNodeRepository.cs` of OctopusClients. A PUT names any
node, so it is handed to the agent, who knows them all. `IsInMaintenanceMode` is the node's drain flag.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, NotRequired

from typing_extensions import TypedDict

from mocknode.mock.data.directory import ADMINISTER
from mocknode.mock.data.store import NodeRow
from mocknode.mock.node.rest.call import INT32_MAX, Call, text_of
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.documents.node import (
    BASE,
    PREFIX,
    ClusterSummary,
    NodeDetails,
    NodeDocument,
    NodeSummary,
    node_document,
    running_task,
    summary_document,
)
from mocknode.mock.node.rest.problems import ProblemError, invalid, not_found
from mocknode.mock.node.rest.routing import IDS, PAGING, PARTIAL_NAME, Operation


class NodeChange(TypedDict):
    """What of a node can be changed; only the id is mandatory."""

    Id: str
    Name: NotRequired[str]
    MaxConcurrentTasks: NotRequired[int]
    IsInMaintenanceMode: NotRequired[bool]


async def list_nodes(call: Call) -> None:
    """A page of nodes."""
    rows: Sequence[NodeRow] = await call.stored(call.context.store.nodes)
    if ids := call.listed("ids"):
        rows = [row for row in rows if PREFIX + row.name in ids]
    if part := call.query("partialName"):
        rows = [row for row in rows if part.lower() in row.name.lower()]
    await call.answer(200, paged(call, "OctopusServerNode", rows, node_document))


async def all_nodes(call: Call) -> None:
    """Every node, as a bare array."""
    await call.answer(200, [node_document(row) for row in await call.stored(call.context.store.nodes)])


async def summary(call: Call) -> None:
    """The cluster at a glance."""
    now_s, offline_after_s = time.time(), call.context.config.web.offline_after_s
    rows = await call.stored(call.context.store.nodes)
    running = Counter(task.node for task in await call.stored(call.context.tasks.running))
    nodes: list[NodeSummary] = [
        summary_document(row, now_s=now_s, offline_after_s=offline_after_s, running_tasks=running[row.name])
        for row in rows
    ]
    await call.answer(200, ClusterSummary(Nodes=nodes, Links={"Self": f"{BASE}/summary"}))


async def details(call: Call) -> None:
    """What a node is doing."""
    row = await _row(call)
    id_ = PREFIX + row.name
    running = [running_task(task) for task in await call.stored(call.context.tasks.running) if task.node == row.name]
    await call.answer(200, NodeDetails(Id=id_, RunningTasks=running, Links={"Self": f"{BASE}/{id_}/details"}))


async def one_node(call: Call) -> None:
    """One node."""
    await call.answer(200, node_document(await _row(call)))


async def delete_node(call: Call) -> None:
    """Forget a node; a live one is back at its next heartbeat."""
    await call.no_body()
    call.require(ADMINISTER)
    row = await _row(call)
    await call.stored(call.context.store.delete_node, row.name)
    await call.answer(200, {})


async def change_node(call: Call) -> None:
    """Drain or undrain a node, or change its task cap."""
    document = await call.document()
    call.require(ADMINISTER)
    row = await _row(call)
    text_of(document, "Id")
    draining = document.get("IsInMaintenanceMode", row.draining)
    cap = document.get("MaxConcurrentTasks", row.max_concurrent_tasks)
    if not isinstance(draining, bool):
        raise invalid(f"IsInMaintenanceMode: got {draining!r}, allowed: true, false")
    if isinstance(cap, bool) or not isinstance(cap, int) or not 0 <= cap <= INT32_MAX:
        raise invalid(f"MaxConcurrentTasks: got {cap!r}, allowed: a whole number from 0 to {INT32_MAX}")
    if cap != row.max_concurrent_tasks:
        await call.stored(call.context.store.set_task_cap, row.name, cap)
    if draining != row.draining:
        await _drain(call, row.name, draining)
    changed = NodeRow(
        name=row.name, version=row.version, last_seen=row.last_seen, draining=draining, max_concurrent_tasks=cap
    )
    await call.answer(200, node_document(changed))


async def _drain(call: Call, name: str, draining: bool) -> None:
    try:
        reply = await call.context.ask_drain(name, draining)
    except TimeoutError as exc:
        raise ProblemError(503, f"{name} did not change its state in time") from exc
    if not reply.get("ok"):
        detail = (reply.get("error") or {}).get("detail", "the node cannot do that now")
        raise invalid(str(detail))


async def _row(call: Call) -> NodeRow:
    name = call.params["id"].removeprefix(PREFIX)
    rows = await call.stored(call.context.store.nodes)
    row = next((row for row in rows if row.name.lower() == name.lower()), None)
    if row is None:
        raise not_found(call.params["id"])
    return row


operations: Final = [
    Operation(
        method="GET", path=BASE, handler=list_nodes, answer=Collection[NodeDocument], query=(*PAGING, IDS, PARTIAL_NAME),
        errors=(400,),
    ),
    Operation(method="GET", path=f"{BASE}/all", handler=all_nodes, answer=list[NodeDocument]),
    Operation(method="GET", path=f"{BASE}/summary", handler=summary, answer=ClusterSummary),
    Operation(method="GET", path=f"{BASE}/{{id}}", handler=one_node, answer=NodeDocument),
    Operation(
        method="PUT", path=f"{BASE}/{{id}}", handler=change_node, answer=NodeDocument, errors=(400, 403, 413, 503),
        body=("application/json", NodeChange),
    ),
    Operation(
        method="DELETE", path=f"{BASE}/{{id}}", handler=delete_node, answer=dict[str, str], errors=(403, 413)
    ),
    Operation(method="GET", path=f"{BASE}/{{id}}/details", handler=details, answer=NodeDetails),
]  # fmt: skip
