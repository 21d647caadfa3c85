"""The OpenAPI 3.1 document of the control API, made from the table of operations and the models of bodies."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from mocknode.mock.cluster.control_models import Problem


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter."""

    name: str
    description: str
    type: str = "string"
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    Attributes:
        handler: Function that answers; its docstring is the description.
        answer: Model of the successful answer; None for an answer without a JSON body.
        status: Status of the successful answer.
        media: Content type of an answer without a model.
        errors: Statuses of problem documents that it may answer.
    """

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    answer: type[BaseModel] | None
    status: int = 200
    body: type[BaseModel] | None = None
    query: tuple[Query, ...] = ()
    media: str | None = None
    errors: tuple[int, ...] = ()


def openapi(operations: Iterable[Operation], *, title: str, version: str, token: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        token: True when the API demands a bearer token.
    """
    operations = list(operations)
    models: dict[type[BaseModel], None] = {Problem: None}
    for operation in operations:
        models |= {model: None for model in (operation.body, operation.answer) if model is not None}
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }
    if token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _operation(operation: Operation) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    in_query = [
        {"name": query.name, "in": "query", "description": query.description, "schema": _schema(query)}
        for query in operation.query
    ]
    success: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        success["content"] = {"application/json": {"schema": _reference(operation.answer)}}
    elif operation.media is not None:
        success["content"] = {operation.media: {"schema": {"type": "string"}}}
    responses = {str(operation.status): success}
    for status in operation.errors:
        content = {"application/problem+json": {"schema": _reference(Problem)}}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    document: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "description": inspect.getdoc(operation.handler),
        "parameters": [*in_path, *in_query],
        "responses": responses,
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _reference(operation.body)}}
        document["requestBody"] = {"required": True, "content": content}
    return document


def _schema(query: Query) -> dict[str, Any]:
    return {"type": query.type, **({"enum": list(query.allowed)} if query.allowed else {})}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
