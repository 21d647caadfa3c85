"""The control API: HTTP in front of the controller. Its operations are one table, which routes and OpenAPI read.

JSON in and out; errors are RFC 9457 problem documents that name what was got and what is allowed. With a token, every
operation but `/healthz` demands `Authorization: Bearer <token>`.
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
from mocknode.mock.cluster.controller import Controller
from mocknode.mock.cluster.data_commands import KEEP, DataCommands
from mocknode.mock.cluster.event_stream import stream
from mocknode.mock.cluster.journal_pages import journal_page
from mocknode.mock.cluster.lease import LEASE_HEADER, LEASE_S, Lease
from mocknode.mock.cluster.metrics import exposition
from mocknode.mock.cluster.node_ledger import NodeLedger
from mocknode.mock.cluster.openapi import Operation, Query, openapi
from mocknode.mock.cluster.problems import HANDLERS
from mocknode.mock.cluster.queries import count_of, word_of
from mocknode.mock.cluster.task_commands import TaskCommands
from mocknode.mock.cluster.tentacle_commands import TentacleCommands
from mocknode.text import json_text

CONTROL_API: Final = 1
"""Version of this API; a client of another one is told so by `/healthz`."""
BODY_LIMIT: Final = 64 * 1024
"""A fault is a few hundred bytes."""
LEDGER_PAGE: Final = 1000


class ControlApi:
    """The operations, for one controller."""

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
        """Who answers here, and the clock of the nodes' host."""
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
        """What a client needs to use the cluster: addresses, API key, certificate authority."""
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
        """Every node with its state, faults and counters."""
        return JSONResponse({"nodes": await self._controller.nodes()})

    async def node(self, request: Request) -> Response:
        """One node."""
        return JSONResponse(await self._controller.node(request.path_params["name"]))

    async def holder(self, _: Request) -> Response:
        """Who holds the cluster."""
        return JSONResponse(self._lease.document())

    async def take_lease(self, request: Request) -> Response:
        """Hold the cluster, so that nobody else changes it; with the lease's id as `X-Mocknode-Lease`, go on holding it.
        A lease that runs out is that of a run that was killed: then every node is reset."""
        wanted = models.LeaseRequest.model_validate_json(await _body(request))
        id_ = request.headers.get(LEASE_HEADER)
        if id_ is None:
            id_ = self._lease.take(wanted.holder)
        else:
            self._lease.renew(id_)
        return JSONResponse({"lease": id_, "seconds": LEASE_S})

    async def end_lease(self, request: Request) -> Response:
        """Give the cluster back."""
        self._lease.release(request.headers.get(LEASE_HEADER, ""))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def change_node(self, request: Request) -> Response:
        """Change a node's state, at once or when a trigger is met. A dead node is started again."""
        self._admit(request)
        name = request.path_params["name"]
        self._controller.member(name)
        wanted = models.StateRequest.model_validate_json(await _body(request))
        await self._controller.set_state(name, wanted.state, wanted.how, wanted.after, cancel_tasks=wanted.cancel_tasks)
        return JSONResponse(await self._controller.node(name))

    async def add_fault(self, request: Request) -> Response:
        """Set a fault. On a node that is down it is kept and acts from the next start's first connection on."""
        self._admit(request)
        name = request.path_params["name"]
        self._controller.member(name)
        fault = models.FaultRequest.model_validate_json(await _body(request))
        document = await self._controller.add_fault(name, fault.model_dump())
        return JSONResponse(
            document, HTTPStatus.CREATED, headers={"location": f"/nodes/{name}/faults/{document['id']}"}
        )

    async def faults(self, request: Request) -> Response:
        """The faults of a node."""
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
        """Every task, oldest first."""
        return JSONResponse({"tasks": await self._tasks.all()})

    async def add_tasks(self, request: Request) -> Response:
        """Queue tasks; nodes with room pick them up when they look next."""
        self._admit(request)
        wanted = models.TasksRequest.model_validate_json(await _body(request))
        tasks = await self._tasks.add(wanted.description, wanted.duration, wanted.count)
        return JSONResponse({"tasks": tasks}, HTTPStatus.CREATED)

    async def cancel_task(self, request: Request) -> Response:
        """Cancel a task that waits or runs."""
        self._admit(request)
        await self._tasks.cancel(request.path_params["id"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def journal(self, request: Request) -> Response:
        """What the nodes saw, page by page; with `wait_for`, as soon as so many records are there."""
        # Pages of a thousand records, twice a second during a load run: the standard library takes ten times as long.
        page = json_text.dumps(await journal_page(self._controller, request))
        return Response(page, media_type=JSONResponse.media_type)

    async def ledger(self, request: Request) -> Response:
        """The nodes' side of the ledger: deliveries, nodes, digests and statuses of each attempt. What the clients were
        told is not known here; `mocknode check` joins both sides."""
        start = count_of(request.query_params, "from", default=0, low=0)
        limit = count_of(request.query_params, "limit", default=LEDGER_PAGE, low=1, high=LEDGER_PAGE)
        await self._ledger.refresh()
        entries, following = self._ledger.page(start, limit, request.query_params.get("attempt"))
        return JSONResponse({"attempts": entries, "next": following, "dropped": self._ledger.dropped})

    async def events(self, _: Request) -> Response:
        """Changes of state, faults and deaths as server-sent events, from now on."""
        return StreamingResponse(stream(self._controller.events), media_type="text/event-stream")

    async def reset(self, request: Request) -> Response:
        """Every node online, without faults, triggers and tasks; dead and frozen ones are brought back first. Then the data
        (packages, spaces, users, keys, feeds, settings, Tentacles, counters of ids) are what `keep` says: as they are, as the
        fixtures file has them, or as in a fresh server. Snapshots stay."""
        self._admit(request)
        keep = word_of(request.query_params, "keep", KEEP, "data")
        await self._data.require(keep)
        # First, so that no node takes one on its way to being reset.
        await self._tasks.clear()
        await self._controller.reset()
        # Last: what a fault held back goes on when its node is reset.
        await self._data.reset(keep)
        return JSONResponse({"nodes": await self._controller.nodes()})

    async def snapshots(self, _: Request) -> Response:
        """The snapshots, by name."""
        return JSONResponse({"snapshots": await self._data.all()})

    async def take_snapshot(self, request: Request) -> Response:
        """Put the data aside under a name; a snapshot of that name is replaced. Nodes and their states are no part of it."""
        self._admit(request)
        wanted = models.SnapshotRequest.model_validate_json(await _body(request))
        return JSONResponse(await self._data.take(wanted.name), HTTPStatus.CREATED)

    async def restore_snapshot(self, request: Request) -> Response:
        """Have the data as they were. Uploads that began before are refused when they end; tasks that ran wait again."""
        self._admit(request)
        await self._data.restore(request.path_params["snapshot"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def delete_snapshot(self, request: Request) -> Response:
        """Delete a snapshot."""
        self._admit(request)
        await self._data.forget(request.path_params["snapshot"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def metrics(self, _: Request) -> Response:
        """Counters of the nodes in Prometheus' text format."""
        return PlainTextResponse(exposition(await self._controller.nodes()), media_type="text/plain; version=0.0.4")

    async def tentacles(self, _: Request) -> Response:
        """Every registered Tentacle, with its open connections at each node."""
        return JSONResponse({"tentacles": await self._tentacles.all()})

    async def register_tentacle(self, request: Request) -> Response:
        """Have every node trust a Tentacle, at once."""
        self._admit(request)
        wanted = models.TentacleRequest.model_validate_json(await _body(request))
        document = await self._tentacles.register(wanted.name, wanted.thumbprint, wanted.uri)
        return JSONResponse(document, HTTPStatus.CREATED)

    async def unregister_tentacle(self, request: Request) -> Response:
        """Have no node trust it any more; its connections are reset."""
        self._admit(request)
        await self._tentacles.unregister(request.path_params["tentacle"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def call_tentacle(self, request: Request) -> Response:
        """Call a Tentacle over Halibut through this node; answered when the call is over, which may take minutes."""
        wanted = models.CallRequest.model_validate_json(await _body(request))
        name, tentacle = request.path_params["name"], request.path_params["tentacle"]
        return JSONResponse(await self._tentacles.call(name, tentacle, wanted.call, wanted.body, wanted.collect_s))

    def _admit(self, request: Request) -> None:
        self._lease.admit(request.headers.get(LEASE_HEADER))

    def operations(self) -> list[Operation]:
        """Every operation of the API."""
        attempt = Query("attempt", "Only what belongs to this `X-Mocknode-Attempt`.")
        journal = (
            Query("cursor", "Where to go on; none begins at the first record."),
            Query("kind", "Only these kinds, separated by commas."),
            Query("node", "Only these nodes, separated by commas."),
            attempt,
            Query("wait_for", "Wait until so many records are there, at most `timeout_s`.", "integer"),
            Query("timeout_s", "Longest wait in seconds.", "number"),
            Query("limit", "Largest page.", "integer"),
        )
        ledger = (attempt, Query("from", "Entry to start at.", "integer"), Query("limit", "Largest page.", "integer"))
        keep = (Query("keep", "What stays of the data; `data` without it.", allowed=KEEP),)
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
    lease: Lease,
) -> ASGIApp:
    """The ASGI application.

    Args:
        controller: What it controls.
        describe: The document of `mocknode up --json`.
        ca_pem: Certificate of the cluster's authority, for its clients.
        token: Bearer token to demand; None demands none.
        lease: Of whoever has the cluster to itself.
    """
    operations = ControlApi(controller, describe, ca_pem, lease).operations()

    async def document(_: Request) -> Response:
        return JSONResponse(openapi(operations, title="mocknode control API", version=__version__, token=bool(token)))

    return Starlette(
        routes=[*_routes(operations), Route("/openapi.json", document, methods=["GET"])],
        exception_handlers=HANDLERS,
        middleware=[Middleware(Authorization, token=token)] if token else [],
    )


def _routes(operations: Iterable[Operation]) -> list[Route]:
    """One route a path, so that a method that does not exist is answered with all that do."""
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
    return body
