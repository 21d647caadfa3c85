"""`/api/openapi.json`: this API in OpenAPI; the real server has its own document elsewhere, under another name."""

from typing import Any, Final

from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.routing import Operation


async def document(call: Call) -> None:
    """This API, as OpenAPI 3.1."""
    await call.answer(200, call.context.api_document(call.context.config.version))


operations: Final = [
    Operation(method="GET", path="/api/openapi.json", handler=document, anonymous=True, answer=dict[str, Any]),
]
