"""The control API: HTTP in front of the controller. Routes and the OpenAPI document come from one table of operations.

Requests and answers are JSON. Errors are RFC 9457 problem documents that name what was got and what is allowed. With a token,
every operation except `/healthz` demands `Authorization: Bearer <token>`. Requests of web pages are refused; see `callers`.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from mocknode import __version__
from mocknode.mock.cluster import control_models as models
from mocknode.mock.cluster.authorization import Authorization
from mocknode.mock.cluster.callers import Callers
from mocknode.mock.cluster.controller import Controller
from mocknode.mock.cluster.data_commands import KEEP, DataCommands
from mocknode.mock.cluster.event_stream import stream
from mocknode.mock.cluster.journal_pages import journal_page
from mocknode.mock.cluster.lease import LEASE_HEADER, LEASE_S, Lease
from mocknode.mock.cluster.metrics import exposition
from mocknode.mock.cluster.node_ledger import NodeLedger
from mocknode.mock.cluster.openapi import Operation, Query, openapi
from mocknode.mock.cluster.problems import HANDLERS, not_json
from mocknode.mock.cluster.queries import count_of, word_of
from mocknode.mock.cluster.task_commands import TaskCommands
from mocknode.mock.cluster.tentacle_commands import TentacleCommands
from mocknode.text import json_text

CONTROL_API: Final = 1
"""Version of this API; clients compare it with theirs in `/healthz`."""
BODY_LIMIT: Final = 64 * 1024
"""A fault is a few hundred bytes."""
LEDGER_PAGE: Final = 1000


class ControlApi:
    """The operations on one controller."""

    def __init__(
        self, controller: Controller, describe: Callable[[], dict[str, Any]], ca_pem: str | None, lease: Lease
    ) -> None:
        self._controller = controller
        self._describe = describe
        self._ca_pem = ca_pem
        self._lease = lease
        self._run_id = str(uuid.uuid4())
        self._tasks = TaskCommands(controller.shared.store)
        self._data = DataCommands(controller)
        self._tentacles = TentacleCommands(controller)
        self._ledger = NodeLedger(controller.shared.run_dir, controller.names)

    async def healthz(self, _: Request) -> Response:
        """Return product and version of this server, and the clock of the nodes' host."""
        return JSONResponse(
            {
                "product": "mocknode",
                "version": __version__,
                "control_api": CONTROL_API,
                "run_id": self._run_id,
                "monotonic_ns": time.monotonic_ns(),
            }
        )

    async def cluster(self, _: Request) -> Response:
        """Return what a client needs to use the cluster: addresses, API key, certificate authority."""
        started = self._describe()
        return JSONResponse(
            {
                "name": "mocknode",
                "version": __version__,
                "control_api": CONTROL_API,
                "api_key": started["api_key"],
                "run_dir": started["run_dir"],
                "ca_pem": self._ca_pem,
                "nodes": await self._controller.nodes(),
            }
        )

    async def nodes(self, _: Request) -> Response:
        """Return every node with its state, faults and counters."""
        return JSONResponse({"nodes": await self._controller.nodes()})

    async def node(self, request: Request) -> Response:
        """Return one node."""
        return JSONResponse(await self._controller.node(request.path_params["name"]))

    async def holder(self, _: Request) -> Response:
        """Return the holder of the cluster."""
        return JSONResponse(self._lease.document())

    async def take_lease(self, request: Request) -> Response:
        """Take the lease, so that nobody else can change the cluster; with the lease's id as `X-Mocknode-Lease`, renew it.
        A lease that expires belonged to a run that was killed: then every node is reset."""
        wanted = models.LeaseRequest.model_validate_json(await _body(request))
        id_ = request.headers.get(LEASE_HEADER)
        if id_ is None:
            id_ = self._lease.take(wanted.holder)
        else:
            self._lease.renew(id_)
        return JSONResponse({"lease": id_, "seconds": LEASE_S})

    async def end_lease(self, request: Request) -> Response:
        """Return the lease."""
        self._lease.release(request.headers.get(LEASE_HEADER, ""))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def change_node(self, request: Request) -> Response:
        """Change a node's state, now or when a trigger fires. A dead node is started again."""
        self._admit(request)
        name = request.path_params["name"]
        self._controller.member(name)
        wanted = models.StateRequest.model_validate_json(await _body(request))
        await self._controller.set_state(name, wanted.state, wanted.how, wanted.after, cancel_tasks=wanted.cancel_tasks)
        return JSONResponse(await self._controller.node(name))

    async def add_fault(self, request: Request) -> Response:
        """Set a fault. A dead node keeps it, and it acts from the first connection after the next start on."""
        self._admit(request)
        name = request.path_params["name"]
        self._controller.member(name)
        fault = models.FaultRequest.model_validate_json(await _body(request))
        document = await self._controller.add_fault(name, fault.model_dump())
        return JSONResponse(
            document, HTTPStatus.CREATED, headers={"location": f"/nodes/{name}/faults/{document['id']}"}
        )

    async def faults(self, request: Request) -> Response:
        """Return the faults of a node."""
        return JSONResponse({"faults": list(self._controller.member(request.path_params["name"]).faults.values())})

    async def remove_fault(self, request: Request) -> Response:
        """Remove one fault."""
        self._admit(request)
        await self._controller.remove_fault(request.path_params["name"], request.path_params["id"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def clear_faults(self, request: Request) -> Response:
        """Remove every fault of a node."""
        self._admit(request)
        await self._controller.clear_faults(request.path_params["name"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def tasks(self, _: Request) -> Response:
        """Return every task, oldest first."""
        return JSONResponse({"tasks": await self._tasks.all()})

    async def add_tasks(self, request: Request) -> Response:
        """Queue tasks; nodes with free capacity take them when they next check the queue."""
        self._admit(request)
        wanted = models.TasksRequest.model_validate_json(await _body(request))
        tasks = await self._tasks.add(wanted.description, wanted.duration, wanted.count)
        return JSONResponse({"tasks": tasks}, HTTPStatus.CREATED)

    async def cancel_task(self, request: Request) -> Response:
        """Cancel a queued or running task."""
        self._admit(request)
        await self._tasks.cancel(request.path_params["id"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def journal(self, request: Request) -> Response:
        """Return a page of the nodes' journals; with `wait_for`, as soon as that many records exist."""
        # A load run reads a thousand records twice a second; the standard library would take ten times as long.
        page = json_text.dumps(await journal_page(self._controller, request))
        return Response(page, media_type=JSONResponse.media_type)

    async def ledger(self, request: Request) -> Response:
        """Return the nodes' side of the ledger: deliveries, nodes, digests and statuses of each attempt. It does not hold
        what the clients received; `mocknode check` joins both sides."""
        start = count_of(request.query_params, "from", default=0, low=0)
        limit = count_of(request.query_params, "limit", default=LEDGER_PAGE, low=1, high=LEDGER_PAGE)
        await self._ledger.refresh()
        entries, following = self._ledger.page(start, limit, request.query_params.get("attempt"))
        return JSONResponse({"attempts": entries, "next": following, "dropped": self._ledger.dropped})

    async def events(self, _: Request) -> Response:
        """Stream changes of state, faults and deaths as server-sent events, from now on."""
        return StreamingResponse(stream(self._controller.events), media_type="text/event-stream")

    async def reset(self, request: Request) -> Response:
        """Put every node online and remove faults, triggers and tasks; dead and frozen nodes are brought back first. `keep`
        then decides on the data (packages, spaces, users, keys, feeds, settings, Tentacles, id counters): unchanged, as in the
        fixtures file, or as on a fresh server. Snapshots stay."""
        self._admit(request)
        keep = word_of(request.query_params, "keep", KEEP, "data")
        await self._data.require(keep)
        # First, so that no node takes a task while it is reset.
        await self._tasks.clear()
        await self._controller.reset()
        # Last, as requests that a fault held back continue when their node is reset.
        await self._data.reset(keep)
        return JSONResponse({"nodes": await self._controller.nodes()})

    async def snapshots(self, _: Request) -> Response:
        """Return the snapshots, sorted by name."""
        return JSONResponse({"snapshots": await self._data.all()})

    async def take_snapshot(self, request: Request) -> Response:
        """Save the data under a name; a snapshot with that name is replaced. Nodes and their states are not part of it."""
        self._admit(request)
        wanted = models.SnapshotRequest.model_validate_json(await _body(request))
        return JSONResponse(await self._data.take(wanted.name), HTTPStatus.CREATED)

    async def restore_snapshot(self, request: Request) -> Response:
        """Replace the data with those of a snapshot. Uploads that began before are refused when they end; tasks that ran are
        queued again."""
        self._admit(request)
        await self._data.restore(request.path_params["snapshot"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def delete_snapshot(self, request: Request) -> Response:
        """Delete a snapshot."""
        self._admit(request)
        await self._data.forget(request.path_params["snapshot"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def metrics(self, _: Request) -> Response:
        """Return the nodes' counters in Prometheus' text format."""
        return PlainTextResponse(exposition(await self._controller.nodes()), media_type="text/plain; version=0.0.4")

    async def tentacles(self, _: Request) -> Response:
        """Return every registered Tentacle with its open connections at each node."""
        return JSONResponse({"tentacles": await self._tentacles.all()})

    async def register_tentacle(self, request: Request) -> Response:
        """Register a Tentacle; every node trusts it immediately."""
        self._admit(request)
        wanted = models.TentacleRequest.model_validate_json(await _body(request))
        document = await self._tentacles.register(wanted.name, wanted.thumbprint, wanted.uri)
        return JSONResponse(document, HTTPStatus.CREATED)

    async def unregister_tentacle(self, request: Request) -> Response:
        """Unregister a Tentacle; no node trusts it any more, and its connections are reset."""
        self._admit(request)
        await self._tentacles.unregister(request.path_params["tentacle"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def call_tentacle(self, request: Request) -> Response:
        """Call a Tentacle over Halibut through this node; the answer comes when the call is over, which may take minutes."""
        wanted = models.CallRequest.model_validate_json(await _body(request))
        name, tentacle = request.path_params["name"], request.path_params["tentacle"]
        return JSONResponse(await self._tentacles.call(name, tentacle, wanted.call, wanted.body, wanted.collect_s))

    def _admit(self, request: Request) -> None:
        self._lease.admit(request.headers.get(LEASE_HEADER))

    def operations(self) -> list[Operation]:
        """Return every operation of the API."""
        attempt = Query("attempt", "Only records of this `X-Mocknode-Attempt`.")
        journal = (
            Query("cursor", "Where to continue; without it, at the first record."),
            Query("kind", "Only these kinds, separated by commas."),
            Query("node", "Only these nodes, separated by commas."),
            attempt,
            Query("wait_for", "Wait until this many records exist, at most `timeout_s`.", "integer"),
            Query("timeout_s", "Longest wait in seconds.", "number"),
            Query("limit", "Largest number of records on a page.", "integer"),
        )
        ledger = (
            attempt,
            Query("from", "Entry to start at.", "integer"),
            Query("limit", "Largest number of entries.", "integer"),
        )
        keep = (Query("keep", "Which data the reset leaves; the default is `data`.", allowed=KEEP),)
        state, fault = models.StateRequest, models.FaultRequest
        one, many = models.NodeDocument, models.NodesDocument
        return [
            Operation("GET", "/healthz", self.healthz, models.HealthDocument),
            Operation("GET", "/cluster", self.cluster, models.ClusterDocument),
            Operation("GET", "/nodes", self.nodes, many),
            Operation("GET", "/nodes/{name}", self.node, one, errors=(404,)),
            Operation("PATCH", "/nodes/{name}", self.change_node, one, body=state, errors=(404, 422, 423, 503)),
            Operation("GET", "/nodes/{name}/faults", self.faults, models.FaultsDocument, errors=(404,)),
            Operation(
                "POST", "/nodes/{name}/faults", self.add_fault, models.FaultDocument,
                status=201, body=fault, errors=(404, 422, 423, 503),
            ),
            Operation("DELETE", "/nodes/{name}/faults", self.clear_faults, None, status=204, errors=(404, 423)),
            Operation("DELETE", "/nodes/{name}/faults/{id}", self.remove_fault, None, status=204, errors=(404, 423)),
            Operation("GET", "/tasks", self.tasks, models.TasksDocument, errors=(503,)),
            Operation(
                "POST", "/tasks", self.add_tasks, models.TasksDocument,
                status=201, body=models.TasksRequest, errors=(422, 423, 503),
            ),
            Operation("DELETE", "/tasks/{id}", self.cancel_task, None, status=204, errors=(404, 423, 503)),
            Operation("GET", "/tentacles", self.tentacles, models.TentaclesDocument),
            Operation(
                "POST", "/tentacles", self.register_tentacle, models.TentacleDocument,
                status=201, body=models.TentacleRequest, errors=(422, 423),
            ),
            Operation("DELETE", "/tentacles/{tentacle}", self.unregister_tentacle, None, status=204, errors=(404, 423)),
            Operation(
                "POST", "/nodes/{name}/tentacles/{tentacle}/calls", self.call_tentacle, models.CallDocument,
                body=models.CallRequest, errors=(404, 422, 502, 503),
            ),
            Operation("GET", "/lease", self.holder, models.HolderDocument),
            Operation("PUT", "/lease", self.take_lease, models.LeaseDocument, body=models.LeaseRequest, errors=(422, 423)),
            Operation("DELETE", "/lease", self.end_lease, None, status=204),
            Operation("GET", "/journal", self.journal, models.JournalDocument, query=journal, errors=(404, 422)),
            Operation("GET", "/ledger", self.ledger, models.LedgerDocument, query=ledger, errors=(422,)),
            Operation("GET", "/events", self.events, None, media="text/event-stream"),
            Operation("POST", "/reset", self.reset, many, query=keep, errors=(422, 423, 503)),
            Operation("GET", "/snapshots", self.snapshots, models.SnapshotsDocument, errors=(503,)),
            Operation(
                "POST", "/snapshots", self.take_snapshot, models.SnapshotDocument,
                status=201, body=models.SnapshotRequest, errors=(422, 423, 503),
            ),
            Operation(
                "DELETE", "/snapshots/{snapshot}", self.delete_snapshot, None, status=204, errors=(404, 422, 423, 503)
            ),
            Operation(
                "POST", "/snapshots/{snapshot}/restore", self.restore_snapshot, None,
                status=204, errors=(404, 423, 503),
            ),
            Operation("GET", "/metrics", self.metrics, None, media="text/plain"),
        ]  # fmt: skip


def control_api(
    controller: Controller,
    describe: Callable[[], dict[str, Any]],
    *,
    ca_pem: str | None,
    token: str | None,
    names: Iterable[str],
    lease: Lease,
) -> ASGIApp:
    """Return the ASGI application.

    Args:
        controller: The controller that carries out the operations.
        describe: Returns the document of `mocknode up --json`.
        ca_pem: Certificate of the cluster's authority, for clients.
        token: Bearer token to demand; None demands none.
        names: Host names by which callers may address the API, besides `localhost` and addresses.
        lease: The lease of the cluster.
    """
    operations = ControlApi(controller, describe, ca_pem, lease).operations()

    async def document(_: Request) -> Response:
        return JSONResponse(openapi(operations, title="mocknode control API", version=__version__, token=bool(token)))

    return Starlette(
        routes=[*_routes(operations), Route("/openapi.json", document, methods=["GET"])],
        exception_handlers=HANDLERS,
        middleware=[
            Middleware(Callers, names=names),
            *([Middleware(Authorization, token=token)] if token else []),
        ],
    )


def _routes(operations: Iterable[Operation]) -> list[Route]:
    """Return one route for each path, so that an unknown method is answered with the methods that exist."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [_route(path, methods) for path, methods in paths.items()]


def _route(path: str, methods: Mapping[str, Operation]) -> Route:
    async def endpoint(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method].handler(request)

    return Route(path, endpoint, methods=list(methods))


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: allowed are up to {BODY_LIMIT} bytes of JSON"
            )
    try:
        json_text.loads_finite(body)
    except ValueError as exc:
        raise not_json(body, exc) from exc
    return body
