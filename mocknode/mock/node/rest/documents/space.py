"""Documents of spaces. Source: SpaceResource of the swagger."""

from typing_extensions import TypedDict

from mocknode.mock.data.directory import Space


class SpaceDocument(TypedDict):
    """A space."""

    Id: str
    Name: str
    Slug: str
    Description: str
    IsDefault: bool
    TaskQueueStopped: bool
    SpaceManagersTeams: list[str]
    SpaceManagersTeamMembers: list[str]
    LastModifiedOn: str | None
    LastModifiedBy: str | None
    Links: dict[str, str]


def space_document(space: Space) -> SpaceDocument:
    """One space."""
    return {
        "Id": space.id,
        "Name": space.name,
        "Slug": space.slug,
        "Description": space.description,
        "IsDefault": space.is_default,
        "TaskQueueStopped": space.task_queue_stopped,
        "SpaceManagersTeams": [],
        "SpaceManagersTeamMembers": [],
        "LastModifiedOn": None,
        "LastModifiedBy": None,
        # Concrete, as older .NET clients do not bind a template here.
        "Links": {"Self": f"/api/spaces/{space.id}", "SpaceHome": f"/api/{space.id}"},
    }
