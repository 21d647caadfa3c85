"""The ASGI app of a node: the ping first, then the one table of routes.

Every request runs through its exchange, where faults act, and through the gate. To add a resource: see `routes.py`.
"""

import logging
from typing import Any

from mocknode.mock.data.store import StoreError
from mocknode.mock.node.http.exchange import BodyLimitError, Exchange, OverError
from mocknode.mock.node.http.ping import normal_path, ping_answer
from mocknode.mock.node.rest.authentication import authenticate
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.context import RestContext
from mocknode.mock.node.rest.problems import ProblemError, not_found
from mocknode.mock.node.rest.routes import OPERATIONS
from mocknode.mock.node.rest.routing import Operation, Router

_log = logging.getLogger(__name__)


class NodeApp:
    """The node's REST API."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._router = Router(OPERATIONS)

    async def __call__(self, scope: Any, _receive: Any, _send: Any) -> None:
        """Serve one request."""
        exchange: Exchange = scope["extensions"]["mocknode"]
        try:
            await exchange.head_read()
            scope["path"] = normal_path(scope["path"])
            await self._answer(Call(scope, exchange, self._context))
        except OverError:
            return

    async def _answer(self, call: Call) -> None:
        exchange = call.exchange
        try:
            redirect = self._context.gate.redirect(call.facts, self._context.https_address())
            if redirect is not None:
                raise redirect
            if call.facts.ping:
                await self._ping(exchange)
            else:
                await self._resource(call)
        except ProblemError as exc:
            await call.problem(exc)
        except BodyLimitError as exc:
            await call.problem(ProblemError(413, str(exc)))
        except StoreError as exc:
            await call.problem(ProblemError(500, str(exc)))
        except OverError:
            raise
        except Exception as exc:  # noqa: BLE001
            # A bug of ours must show as one: a 500 from this node, and a traceback in its log.
            _log.exception("request %s %s", call.facts.method, call.facts.target)
            if call.facts.status is None:
                await call.problem(ProblemError(500, f"the node failed: {type(exc).__name__}; its log says more"))

    async def _ping(self, exchange: Exchange) -> None:
        context = self._context
        if context.config.web.limits_ping:
            context.gate.charge(exchange, None)
        status, headers, body = ping_answer(exchange.facts.method, context.config, context.ping_state())
        await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": body})

    async def _resource(self, call: Call) -> None:
        override = (call.facts.header(b"x-http-method-override") or "").upper()
        if call.method == "POST" and override in ("PUT", "DELETE"):
            call.method = override
        operation = self._find(call)
        if operation is None or operation.anonymous:
            self._context.gate.charge(call.exchange, None)
        else:
            await self._admit(call)
        if operation is None:
            raise not_found(call.path)
        if operation.scoped or "space" in call.params:
            named = call.params.get("space")
            spaces = self._context.spaces
            call.space = (await (spaces.default() if named is None else spaces.named(named))).id
        await operation.handler(call)

    def _find(self, call: Call) -> Operation | None:
        found = self._router.find(call.path)
        if found is None:
            return None
        method = "GET" if call.method == "HEAD" and "HEAD" not in found.rows else call.method
        if method not in found.rows:
            allowed = sorted({*found.rows, *(["HEAD"] if "GET" in found.rows else [])})
            raise ProblemError(
                405, f"{call.method} is not supported here, allowed: {', '.join(allowed)}",
                headers=[(b"allow", ", ".join(allowed).encode())],
            )  # fmt: skip
        call.params = found.params(method)
        return found.rows[method][0]

    async def _admit(self, call: Call) -> None:
        """Find out who asks, and charge them; a refused request is charged to its address."""
        try:
            call.user = await authenticate(call)
        except (ProblemError, StoreError):
            self._context.gate.charge(call.exchange, None)
            raise
        self._context.gate.charge(call.exchange, call.user)
