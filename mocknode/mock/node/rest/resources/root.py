"""The roots `/api` and `/api/{space}`."""

from typing import Final

from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.roots import Root, SpaceRoot, root_document, space_root_document
from mocknode.mock.node.rest.routing import Operation


async def root(call: Call) -> None:
    """What the server is and where things are; needs no credentials."""
    config = call.context.config
    default = await call.context.spaces.default()
    await call.answer(200, root_document(config.version, config.installation_id, default.id))


async def space_root(call: Call) -> None:
    """Link templates of a space."""
    await call.answer(200, space_root_document(call.space))


operations: Final = [
    Operation(method="GET", path="/api", handler=root, anonymous=True, answer=Root),
    Operation(method="GET", path="/api/{spaceId}", handler=space_root, answer=SpaceRoot),
]
