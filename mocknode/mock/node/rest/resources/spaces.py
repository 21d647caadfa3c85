"""`/api/spaces`: the spaces of the server."""

from typing import Final

from mocknode.mock.data.directory import Space
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.documents.space import SpaceDocument, space_document
from mocknode.mock.node.rest.problems import not_found
from mocknode.mock.node.rest.routing import IDS, PAGING, PARTIAL_NAME, Operation, Query


async def list_spaces(call: Call) -> None:
    """A page of spaces."""
    spaces = await call.stored(call.context.directory.spaces)
    if ids := call.listed("ids"):
        spaces = [space for space in spaces if space.id in ids]
    if name := call.query("name"):
        spaces = [space for space in spaces if space.name.lower() == name.lower()]
    if part := call.query("partialName"):
        spaces = [space for space in spaces if part.lower() in space.name.lower()]
    await call.answer(200, paged(call, "Space", spaces, space_document))


async def all_spaces(call: Call) -> None:
    """Every space, as a bare array."""
    await call.answer(200, [space_document(space) for space in await call.stored(call.context.directory.spaces)])


async def one_space(call: Call) -> None:
    """One space, by id, name or slug."""
    wanted = call.params["id"].lower()
    spaces: list[Space] = await call.stored(call.context.directory.spaces)
    found = next((s for s in spaces if wanted in (s.id.lower(), s.slug.lower(), s.name.lower())), None)
    if found is None:
        raise not_found(call.params["id"])
    await call.answer(200, space_document(found))


_NAME: Final = Query(name="name", description="Only the one with this name.")

operations: Final = [
    Operation(
        method="GET", path="/api/spaces", handler=list_spaces, answer=Collection[SpaceDocument],
        query=(*PAGING, IDS, PARTIAL_NAME, _NAME), errors=(400,),
    ),
    Operation(method="GET", path="/api/spaces/all", handler=all_spaces, answer=list[SpaceDocument]),
    Operation(method="GET", path="/api/spaces/{id}", handler=one_space, answer=SpaceDocument),
]  # fmt: skip
