"""OpenAPI 3.1 of the node's REST API, from the one table of routes.

Types of documents are TypedDicts; pydantic turns them into JSON Schema. Where the real server has three spellings of a path, all
three are listed.
"""

import inspect
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from mocknode.mock.node.rest.routing import Operation, Query

REFERENCES: Final = "#/components/schemas/{model}"
_SPACES: Final = {"spaceId": r"^[Ss]paces-\d+$"}


class ErrorDocument(TypedDict):
    """The error document."""

    ErrorMessage: str
    Errors: list[str]
    FullException: str | None
    HelpText: str | None
    HelpLink: str | None
    ParsedHelpLinks: list[str]
    Details: Any


def openapi(operations: Iterable[Operation], *, version: str) -> dict[str, Any]:
    """Return the document.

    Args:
        version: Version of the server that the node claims to be.
    """
    operations = list(operations)
    types: dict[Any, None] = {ErrorDocument: None}
    for operation in operations:
        wanted = (operation.answer, operation.refusal, operation.body[1] if operation.body else None)
        types |= {kind: None for kind in wanted if kind not in (None, bytes, str)}
    references, schemas = TypeAdapter.json_schemas(
        [(kind, "serialization", TypeAdapter(kind)) for kind in types], ref_template=REFERENCES
    )
    named = {kind: references[kind, "serialization"] for kind in types}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for number, path in enumerate(operation.paths):
            paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, path, number, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Octopus Server API, as mocknode has it", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-Octopus-ApiKey"}},
        },
    }


def _operation(operation: Operation, path: str, number: int, named: dict[Any, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(status): {"description": HTTPStatus(status).phrase, **_content(operation.answer, named)}
        for status in operation.statuses
    }
    errors = {*operation.errors}
    if not operation.anonymous:
        errors.add(401)
    if "{" in path:
        errors.add(404)
    # A document that an operation answers with may share its status with a refusal.
    for status in sorted(errors - set(operation.statuses)):
        kind = operation.refusal if status == HTTPStatus.BAD_REQUEST and operation.refusal else ErrorDocument
        answers[str(status)] = {"description": HTTPStatus(status).phrase, **_content(kind, named)}
    parts = path.strip("/").replace("{", "").replace("}", "").split("/")
    document: dict[str, Any] = {
        "operationId": "-".join([operation.method.lower(), *parts]),
        "description": inspect.getdoc(operation.handler),
        "parameters": [*_in_path(path), *(_in_query(query) for query in operation.query)],
        "responses": answers,
        "security": [] if operation.anonymous else [{"ApiKey": []}],
    }
    if operation.body is not None:
        media, kind = operation.body
        document["requestBody"] = {
            "required": True,
            "content": {media: {"schema": _FILE if kind is bytes else named[kind]}},
        }
    return document


_FILE: Final = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}},
    "required": ["file"],
}


def _content(kind: Any, named: dict[Any, Any]) -> dict[str, Any]:
    if kind is None:
        return {}
    if kind is bytes:
        return {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    if kind is str:
        return {"content": {"text/html": {"schema": {"type": "string"}}}}
    return {"content": {"application/json": {"schema": named[kind]}}}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", **({"pattern": _SPACES[name]} if name in _SPACES else {})},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _in_query(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": query.type}
    if query.allowed:
        schema["enum"] = list(query.allowed)
    if query.type == "integer":
        schema |= {"minimum": 0, "maximum": 2**31 - 1}
    return {
        "name": query.name,
        "in": "query",
        "required": query.required,
        "description": query.description,
        "schema": schema,
    }
