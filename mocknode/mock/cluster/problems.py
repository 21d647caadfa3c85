"""RFC 9457 problem documents for every error of the control API."""

from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mocknode.mock.cluster.channel import ChannelClosedError, UnreachableNodeError
from mocknode.mock.cluster.controller import UnknownFaultError, UnknownNodeError
from mocknode.mock.cluster.data_commands import UnknownSnapshotNameError
from mocknode.mock.cluster.lease import HeldError
from mocknode.mock.cluster.task_commands import UnknownTaskError
from mocknode.mock.cluster.tentacle_commands import CallFailedError, UnknownTentacleError
from mocknode.mock.data.store import StoreError
from mocknode.mock.node.faults import FaultError
from mocknode.mock.node.lifecycle import StateError
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.triggers import TriggerError
from mocknode.text.suggestions import did_you_mean

_SHOWN = 200
"""Characters of a malformed body that its error repeats."""


class MalformedBodyError(RefusedError):
    """A body is no JSON."""


_KINDS: tuple[tuple[type[RefusedError], str, HTTPStatus], ...] = (
    (MalformedBodyError, "malformed-body", HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownNodeError, "unknown-node", HTTPStatus.NOT_FOUND),
    (UnknownFaultError, "unknown-fault", HTTPStatus.NOT_FOUND),
    (UnknownTaskError, "unknown-task", HTTPStatus.NOT_FOUND),
    (UnknownTentacleError, "unknown-tentacle", HTTPStatus.NOT_FOUND),
    (UnknownSnapshotNameError, "unknown-snapshot", HTTPStatus.NOT_FOUND),
    (CallFailedError, "call-failed", HTTPStatus.BAD_GATEWAY),
    (HeldError, "cluster-held", HTTPStatus.LOCKED),
    (UnreachableNodeError, "node-unreachable", HTTPStatus.SERVICE_UNAVAILABLE),
    (StateError, "state-not-allowed", HTTPStatus.UNPROCESSABLE_ENTITY),
    (TriggerError, "trigger-not-allowed", HTTPStatus.UNPROCESSABLE_ENTITY),
    (FaultError, "fault-not-allowed", HTTPStatus.UNPROCESSABLE_ENTITY),
    (RefusedError, "not-allowed", HTTPStatus.UNPROCESSABLE_ENTITY),
)


def problem(
    kind: str, status: HTTPStatus, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> JSONResponse:
    """Return a problem document; `members` extend it."""
    document = {
        "type": f"urn:mocknode:problem:{kind}",
        "title": kind.replace("-", " "),
        "status": int(status),
        "detail": detail,
        **members,
    }
    return JSONResponse(document, status, headers=headers, media_type="application/problem+json")


async def refused(_: Request, exc: Exception) -> Response:
    """Answer a `RefusedError`."""
    assert isinstance(exc, RefusedError)
    kind, status = next((kind, status) for cls, kind, status in _KINDS if isinstance(exc, cls))
    # Only an unknown word was mistyped; a known one that is not allowed now was meant as it is.
    unknown = isinstance(exc.got, str) and repr(exc.got) in exc.detail and "did you mean" not in exc.detail
    hint = did_you_mean(exc.got, exc.allowed) if unknown else ""
    return problem(kind, status, exc.detail + hint, got=exc.got, allowed=list(exc.allowed))


async def malformed(_: Request, exc: Exception) -> Response:
    """Answer a `ValidationError` of pydantic with every error in it."""
    assert isinstance(exc, ValidationError)
    errors = [
        {"at": ".".join(map(str, error["loc"])) or "body", "got": _shown(error["input"]), "expected": error["msg"]}
        for error in exc.errors(include_url=False, include_context=False)
    ]
    detail = "; ".join(f"{error['at']}: got {error['got']!r}: {error['expected']}" for error in errors)
    return problem("malformed-body", HTTPStatus.UNPROCESSABLE_ENTITY, detail, got=errors[0]["got"], errors=errors)


async def unreachable(_: Request, exc: Exception) -> Response:
    """Answer a request that needs an agent which is gone or hangs."""
    detail = str(exc) or "the agent did not answer in time"
    return problem("agent-unreachable", HTTPStatus.SERVICE_UNAVAILABLE, detail)


async def store_failed(_: Request, exc: Exception) -> Response:
    """Answer a request that needs a shared store which cannot be used."""
    return problem("store-unusable", HTTPStatus.SERVICE_UNAVAILABLE, str(exc))


async def http_error(request: Request, exc: Exception) -> Response:
    """Answer a request for a path or method that does not exist."""
    assert isinstance(exc, HTTPException)
    status = HTTPStatus(exc.status_code)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = [method.strip() for method in (exc.headers or {}).get("Allow", "").split(",") if method.strip()]
        detail = f"{request.method} {request.url.path}: allowed: {', '.join(sorted(allowed))}"
        return problem(
            "method-not-allowed",
            status,
            detail,
            got=request.method,
            allowed=sorted(allowed),
            headers=dict(exc.headers or {}),
        )
    if status is HTTPStatus.NOT_FOUND:
        paths = sorted({getattr(route, "path", "") for route in request.app.routes})
        detail = f"path: got {request.url.path}, allowed: {', '.join(paths)}"
        return problem("unknown-path", status, detail, got=request.url.path, allowed=paths)
    return problem("http-error", status, exc.detail or status.phrase)


def not_json(body: bytes, reason: ValueError) -> MalformedBodyError:
    """Return the error for a body that is no JSON."""
    return MalformedBodyError(f"body: Invalid JSON: {reason}", got=_shown(body))


def _shown(value: Any) -> Any:
    """Return the value for a JSON document: text where the body was not JSON."""
    return value.decode(errors="replace")[:_SHOWN] if isinstance(value, bytes | bytearray) else value


HANDLERS = {
    RefusedError: refused,
    ValidationError: malformed,
    HTTPException: http_error,
    StoreError: store_failed,
    ChannelClosedError: unreachable,
    TimeoutError: unreachable,
}
