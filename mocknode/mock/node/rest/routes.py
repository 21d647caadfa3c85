"""The one table of routes. To add a resource: a file in `resources/` with its `operations`, and its line here."""

from functools import cache
from typing import Any, Final

from mocknode.mock.node.rest.resources import (
    api_keys,
    deltas,
    environments,
    feeds,
    machines,
    maintenance,
    oidc,
    packages,
    portal,
    root,
    server_nodes,
    server_status,
    sessions,
    spaces,
    swagger,
    uploads,
    users,
)
from mocknode.mock.node.rest.routing import Operation

OPERATIONS: Final[list[Operation]] = [
    *portal.operations,
    *root.operations,
    *swagger.operations,
    *spaces.operations,
    *sessions.operations,
    *users.operations,
    *api_keys.operations,
    *oidc.operations,
    *server_nodes.operations,
    *server_status.operations,
    *maintenance.operations,
    *feeds.operations,
    *machines.operations,
    *environments.operations,
    *packages.operations,
    *uploads.operations,
    *deltas.operations,
]


@cache
def api_document(version: str) -> dict[str, Any]:
    """Return the OpenAPI document of all routes, for a version of the server."""
    # Imported here because pydantic takes a tenth of a second that no node needs at its start.
    from mocknode.mock.node.rest.openapi import openapi

    return openapi(OPERATIONS, version=version)
