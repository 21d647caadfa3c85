"""`/api/{space}/environments`: three that always exist, as whoever registers a machine names one (`RegisterMachineOperation.cs`)."""

from typing import Final

from typing_extensions import TypedDict

from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.problems import not_found
from mocknode.mock.node.rest.routing import IDS, PAGING, PARTIAL_NAME, Operation, Query

NAMES: Final = ("Development", "Test", "Production")


class EnvironmentDocument(TypedDict):
    """An environment."""

    Id: str
    SpaceId: str
    Name: str
    SortOrder: int
    Links: dict[str, str]


async def list_environments(call: Call) -> None:
    """A page of environments."""
    found = _environments(call.space)
    if ids := call.listed("ids"):
        found = [item for item in found if item["Id"] in ids]
    if name := call.query("name"):
        found = [item for item in found if item["Name"].lower() == name.lower()]
    if part := call.query("partialName"):
        found = [item for item in found if part.lower() in item["Name"].lower()]
    await call.answer(200, paged(call, "Environment", found, lambda item: item))


async def all_environments(call: Call) -> None:
    """Every environment, as a bare array."""
    await call.answer(200, _environments(call.space))


async def one_environment(call: Call) -> None:
    """One environment."""
    id_ = call.params["environmentId"]
    found = next((item for item in _environments(call.space) if item["Id"].lower() == id_.lower()), None)
    if found is None:
        raise not_found(id_)
    await call.answer(200, found)


def _environments(space: str) -> list[EnvironmentDocument]:
    base = f"/api/{space}/environments"
    return [
        {
            "Id": f"Environments-{number}", "SpaceId": space, "Name": name, "SortOrder": number - 1,
            "Links": {"Self": f"{base}/Environments-{number}"},
        }
        for number, name in enumerate(NAMES, 1)
    ]  # fmt: skip


operations: Final = [
    Operation(
        method="GET", path="/environments", handler=list_environments, scoped=True, answer=Collection[EnvironmentDocument],
        query=(*PAGING, IDS, PARTIAL_NAME, Query(name="name", description="Only the one of this name.")), errors=(400,),
    ),
    Operation(
        method="GET", path="/environments/all", handler=all_environments, scoped=True, answer=list[EnvironmentDocument]
    ),
    Operation(
        method="GET", path="/environments/{environmentId}", handler=one_environment, scoped=True, answer=EnvironmentDocument
    ),
]  # fmt: skip
