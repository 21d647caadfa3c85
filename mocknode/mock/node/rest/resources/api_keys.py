"""`/api/users/{id}/apikeys`: keys are shown once, when they are made; later only their first characters are."""

import time
from datetime import datetime
from typing import Any, Final, NotRequired

from typing_extensions import TypedDict

from mocknode.mock.data.directory import make_api_key
from mocknode.mock.data.store import timestamp
from mocknode.mock.node.rest.call import Call, text_of
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.documents.user import (
    ApiKeyDocument,
    CreatedApiKeyDocument,
    created_key_document,
    key_document,
)
from mocknode.mock.node.rest.problems import invalid, not_found
from mocknode.mock.node.rest.resources.users import find_own
from mocknode.mock.node.rest.routing import PAGING, Operation, Query

_DAY_S: Final = 24 * 3600
# The server's default when nothing is said about it.
LASTS_S: Final = 180 * _DAY_S


class NewApiKey(TypedDict):
    """A request for a new key."""

    Purpose: NotRequired[str]
    Expires: NotRequired[str | None]
    UserId: NotRequired[str]


async def list_keys(call: Call) -> None:
    """The keys of a user, newest first."""
    user = await find_own(call)
    keys = await call.stored(call.context.directory.keys, user.id)
    if part := (call.query("partialPurpose") or "").lower():
        keys = [key for key in keys if part in key.purpose.lower()]
    await call.answer(200, paged(call, "ApiKey", keys, key_document))


async def create_key(call: Call) -> None:
    """Make a key; this answer is the only one that holds it."""
    user = await find_own(call)
    document = await call.document()
    now_s, secret = time.time(), make_api_key()
    purpose, expires = text_of(document, "Purpose", default=""), _expires(document, now_s)

    def add() -> Any:
        return call.context.directory.add_key(user.id, secret, purpose=purpose, now_s=now_s, expires=expires)

    await call.answer(200, created_key_document(await call.stored(add), secret))


def _expires(document: dict[str, Any], now_s: float) -> float | None:
    if "Expires" not in document:
        return now_s + LASTS_S
    text = document["Expires"]
    if text is None:
        return None
    try:
        expires = datetime.fromisoformat(text)
        timestamp(expires.timestamp())  # Beyond the year 9999 it cannot be shown again.
    except (TypeError, ValueError, OverflowError) as exc:
        raise invalid(f"Expires: got {text!r}, allowed: a date and time with offset, or null") from exc
    if expires.tzinfo is None or expires.timestamp() <= now_s:
        raise invalid(f"Expires: got {text!r}, allowed: a later date and time with offset, or null")
    return expires.timestamp()


async def one_key(call: Call) -> None:
    """One key, without its secret."""
    user = await find_own(call)
    keys = await call.stored(call.context.directory.keys, user.id)
    found = next((key for key in keys if key.id == call.params["id"]), None)
    if found is None:
        raise not_found(call.params["id"])
    await call.answer(200, key_document(found))


async def revoke_key(call: Call) -> None:
    """Revoke a key."""
    await call.no_body()
    user = await find_own(call)
    if not await call.stored(call.context.directory.delete_key, user.id, call.params["id"]):
        raise not_found(call.params["id"])
    await call.answer(200, {})


_BASE: Final = "/api/users/{userId}/apikeys"
_PURPOSE: Final = Query(name="partialPurpose", description="Only those with this in their purpose, in any case.")

operations: Final = [
    Operation(
        method="GET", path=_BASE, handler=list_keys, answer=Collection[ApiKeyDocument], query=(*PAGING, _PURPOSE), errors=(400, 403)
    ),
    Operation(
        method="POST", path=_BASE, handler=create_key, answer=CreatedApiKeyDocument, errors=(400, 403, 413),
        body=("application/json", NewApiKey),
    ),
    Operation(method="GET", path=f"{_BASE}/{{id}}", handler=one_key, answer=ApiKeyDocument, errors=(403,)),
    Operation(method="DELETE", path=f"{_BASE}/{{id}}", handler=revoke_key, answer=dict[str, str], errors=(403, 413)),
]  # fmt: skip
