"""`/api/users`: who may sign in, and where they may go."""

from typing import Final

from mocknode.mock.data.directory import ADMINISTER, User
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.documents.space import SpaceDocument, space_document
from mocknode.mock.node.rest.documents.user import UserDocument, user_document
from mocknode.mock.node.rest.problems import not_found
from mocknode.mock.node.rest.routing import IDS, PAGING, Operation, Query


async def list_users(call: Call) -> None:
    """A page of users, by name."""
    users = await call.stored(call.context.directory.users)
    if ids := call.listed("ids"):
        users = [user for user in users if user.id in ids]
    if part := (call.query("filter") or "").lower():
        users = [u for u in users if any(part in text.lower() for text in (u.username, u.display_name, u.email))]
    await call.answer(200, paged(call, "User", users, lambda user: user_document(user, call.asker)))


async def all_users(call: Call) -> None:
    """Every user, as a bare array."""
    users = await call.stored(call.context.directory.users)
    await call.answer(200, [user_document(user, call.asker) for user in users])


async def current_user(call: Call) -> None:
    """The user who asks."""
    await call.answer(200, user_document(call.asker, call.asker))


async def one_user(call: Call) -> None:
    """One user."""
    await call.answer(200, user_document(await find_user(call), call.asker))


async def spaces_of_user(call: Call) -> None:
    """The spaces that a user may enter, as a bare array: all, as permissions here are the server's."""
    await find_user(call)
    await call.answer(200, [space_document(space) for space in await call.stored(call.context.directory.spaces)])


async def find_user(call: Call) -> User:
    """The user in the path, `me` included; others are an administrator's business where it `changes` something.

    Raises:
        ProblemError: 404.
    """
    id_ = call.params["userId"]
    if id_.lower() == "me" or id_.lower() == call.asker.id.lower():
        return call.asker
    users = await call.stored(call.context.directory.users)
    found = next((user for user in users if user.id.lower() == id_.lower()), None)
    if found is None:
        raise not_found(id_)
    return found


async def find_own(call: Call) -> User:
    """The user in the path, for what only they and administrators may do.

    Raises:
        ProblemError: 403, 404.
    """
    user = await find_user(call)
    if user.id != call.asker.id:
        call.require(ADMINISTER)
    return user


_FILTER: Final = Query(name="filter", description="Only those with this in their names or address, in any case.")

operations: Final = [
    Operation(
        method="GET", path="/api/users", handler=list_users, answer=Collection[UserDocument],
        query=(*PAGING, IDS, _FILTER), errors=(400,),
    ),
    Operation(method="GET", path="/api/users/all", handler=all_users, answer=list[UserDocument]),
    Operation(method="GET", path="/api/users/me", handler=current_user, answer=UserDocument),
    Operation(method="GET", path="/api/users/{userId}", handler=one_user, answer=UserDocument),
    Operation(method="GET", path="/api/users/{userId}/spaces", handler=spaces_of_user, answer=list[SpaceDocument]),
]  # fmt: skip
