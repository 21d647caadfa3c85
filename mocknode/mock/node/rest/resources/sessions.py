"""`/api/users/login` and `/logout`: two cookies that every node of the cluster accepts.

The identification cookie is for the server alone; the CSRF cookie is read by the client and sent back as a header. Their `Secure`
attribute follows the connection, a trusted proxy's word or the hint in the body, as TLS often ends before the server
(OctopusDeploy/Issues 4401).
"""

import asyncio
import time
from typing import Any, Final, NotRequired

from typing_extensions import TypedDict

from mocknode.mock.data.directory import ADMINISTRATOR, User, same_password
from mocknode.mock.node.rest.call import Call, text_of
from mocknode.mock.node.rest.documents.user import UserDocument, user_document
from mocknode.mock.node.rest.problems import invalid
from mocknode.mock.node.rest.routing import Operation
from mocknode.mock.node.rest.tokens import COOKIE_PREFIX, CSRF_COOKIE_PREFIX, SESSION_S

WRONG: Final = "Invalid username or password."


class LoginState(TypedDict):
    """What the client knows of its connection."""

    UsingSecureConnection: NotRequired[bool]
    RedirectAfterLoginTo: NotRequired[str | None]


class Login(TypedDict):
    """The credentials of somebody who signs in."""

    Username: str
    Password: str
    RememberMe: NotRequired[bool]
    State: NotRequired[LoginState | None]


async def login(call: Call) -> None:
    """Sign in with name and password; the administrator's password is the cluster's API key."""
    document = await call.document()
    user = await _signed_in(call, text_of(document, "Username"), text_of(document, "Password"))
    session = call.context.tokens.issue(user.id, "session", now_s=time.time(), lasts_s=SESSION_S)
    cookies = _cookies(call, document, session, call.context.tokens.csrf(session))
    await call.answer(200, user_document(user, user), *cookies)


async def _signed_in(call: Call, name: str, password: str) -> User:
    users = await call.stored(call.context.directory.users)
    user = next((user for user in users if user.username.lower() == name.lower()), None)
    if user is None or not user.is_active or user.is_service:
        raise invalid(WRONG)
    if user.password is not None:
        right = await asyncio.to_thread(same_password, password, user.password)
    else:
        right = user.id == ADMINISTRATOR.id and password == call.context.config.api_key
    if not right:
        raise invalid(WRONG)
    return user


def _cookies(call: Call, document: dict[str, Any], session: str, csrf: str) -> list[tuple[bytes, bytes]]:
    state = document.get("State")
    hint = isinstance(state, dict) and state.get("UsingSecureConnection") is True
    secure = "; Secure" if hint or call.context.gate.secure(call.facts) else ""
    lasts = f"; Max-Age={SESSION_S}" if document.get("RememberMe") is True else ""
    return _set_cookies(call, session, csrf, f"; Path=/; SameSite=Lax{lasts}{secure}")


def _set_cookies(call: Call, session: str, csrf: str, attributes: str) -> list[tuple[bytes, bytes]]:
    installation = call.context.config.installation_id
    return [
        (b"set-cookie", f"{COOKIE_PREFIX}{installation}={session}{attributes}; HttpOnly".encode()),
        (b"set-cookie", f"{CSRF_COOKIE_PREFIX}{installation}={csrf}{attributes}".encode()),
    ]


async def logout(call: Call) -> None:
    """Sign out: both cookies are taken back."""
    await call.no_body()
    await call.answer(200, {}, *_set_cookies(call, "", "", "; Path=/; Max-Age=0"))


operations: Final = [
    Operation(
        method="POST", path="/api/users/login", handler=login, anonymous=True, answer=UserDocument, errors=(400, 413),
        body=("application/json", Login),
    ),
    Operation(method="POST", path="/api/users/logout", handler=logout, anonymous=True, answer=dict[str, str], errors=(413,)),
]  # fmt: skip
