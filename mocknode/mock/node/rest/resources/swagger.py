"""`/api/openapi.json`: this API in OpenAPI; the real server has its own document elsewhere, under another name."""

from functools import cache
from typing import Any, Final

from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.routing import Operation


async def document(call: Call) -> None:
    """This API, as OpenAPI 3.1."""
    await call.answer(200, _document(call.node.config.version))


@cache
def _document(version: str) -> dict[str, Any]:
    # Here, as the table of routes holds this very row; pydantic takes a tenth of a second that no node needs at its start.
    from mocknode.mock.node.rest.openapi import openapi
    from mocknode.mock.node.rest.routes import OPERATIONS

    return openapi(OPERATIONS, version=version)


operations: Final = [
    Operation(method="GET", path="/api/openapi.json", handler=document, anonymous=True, answer=dict[str, Any]),
]
