"""Documents of users and their API keys. Sources: UserResource of the swagger, the generated reference of API keys."""

from typing import Literal

from typing_extensions import TypedDict

from mocknode.mock.data.directory import ApiKey, User
from mocknode.mock.data.store import timestamp


class UserDocument(TypedDict):
    """A user; never with a password."""

    Id: str
    Username: str
    DisplayName: str
    EmailAddress: str
    IsActive: bool
    IsService: bool
    IsRequestor: bool
    CanPasswordBeEdited: bool
    Identities: list[dict[str, str]]
    Links: dict[str, str]


class Sensitive(TypedDict):
    """A secret as it is shown: whether there is one, and its first characters."""

    HasValue: bool
    Hint: str
    NewValue: None


class ApiKeyDocument(TypedDict):
    """An API key without its secret."""

    Id: str
    UserId: str
    Purpose: str
    ApiKey: Sensitive
    AccessLevel: Literal["FullAccess"]
    ActorType: Literal["User"]
    Created: str
    Expires: str | None
    Links: dict[str, str]


class CreatedApiKeyDocument(TypedDict):
    """An API key as it is shown once: with its secret."""

    Id: str
    UserId: str
    Purpose: str
    ApiKey: str
    ActorType: Literal["User"]
    Created: str
    Expires: str | None
    Links: dict[str, str]


def user_document(user: User, asker: User) -> UserDocument:
    """One user, as `asker` sees it."""
    base = f"/api/users/{user.id}"
    return {
        "Id": user.id,
        "Username": user.username,
        "DisplayName": user.display_name or user.username,
        "EmailAddress": user.email,
        "IsActive": user.is_active,
        "IsService": user.is_service,
        "IsRequestor": user.id == asker.id,
        "CanPasswordBeEdited": not user.is_service,
        "Identities": [],
        "Links": {"Self": base, "Spaces": f"{base}/spaces", "ApiKeys": f"{base}/apikeys{{/id}}{{?skip,take}}"},
    }


def key_document(key: ApiKey) -> ApiKeyDocument:
    """One key of a list."""
    return {
        "Id": key.id,
        "UserId": key.user_id,
        "Purpose": key.purpose,
        "ApiKey": {"HasValue": True, "Hint": key.hint, "NewValue": None},
        "AccessLevel": "FullAccess",
        "ActorType": "User",
        "Created": timestamp(key.created),
        "Expires": None if key.expires is None else timestamp(key.expires),
        "Links": {"Self": f"/api/users/{key.user_id}/apikeys/{key.id}"},
    }


def created_key_document(key: ApiKey, secret: str) -> CreatedApiKeyDocument:
    """A key that was just made."""
    return {
        "Id": key.id,
        "UserId": key.user_id,
        "Purpose": key.purpose,
        "ApiKey": secret,
        "ActorType": "User",
        "Created": timestamp(key.created),
        "Expires": None if key.expires is None else timestamp(key.expires),
        "Links": {"Self": f"/api/users/{key.user_id}/apikeys/{key.id}"},
    }
