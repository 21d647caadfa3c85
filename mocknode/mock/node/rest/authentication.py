"""Authentication: API keys in three places, access tokens, and the sign-in cookie with its CSRF token.

Sources: securityDefinitions of the swagger for keys; `ApiConstants.cs` and `OctopusAsyncClient.cs` of OctopusClients for cookies.
A key that is given decides alone; like the real server we do not fall back to a cookie.
"""

import hmac
import time
from typing import Final

from starlette.requests import cookie_parser

from mocknode.mock.data.directory import ADMINISTRATOR, User
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.problems import UNAUTHORIZED, ProblemError
from mocknode.mock.node.rest.tokens import COOKIE_PREFIX, CSRF_COOKIE_PREFIX, CSRF_HEADER, TokenError

CSRF_MISSING: Final = (
    "A required anti-forgery token was not supplied or was invalid. If you are using the API directly please consider using "
    "an API Key for authentication."
)
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


async def authenticate(call: Call) -> User:
    """Return the active user who asks.

    Raises:
        ProblemError: 401 without valid credentials; 400 for a cookie without its CSRF token.
    """
    user = await _user(call)
    if user is None or not user.is_active:
        raise ProblemError(401, UNAUTHORIZED)
    return user


async def _user(call: Call) -> User | None:
    header = call.facts.header
    if key := header(b"x-octopus-apikey") or header(b"x-nuget-apikey") or call.query("apikey"):
        if hmac.compare_digest(key.encode("utf-8", "surrogateescape"), call.context.config.api_key.encode()):
            return ADMINISTRATOR
        return await call.stored(call.context.directory.user_of_key, key, time.time())
    scheme, _, token = (header(b"authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        return await _user_of(call, token.strip(), "access")
    return await _user_of_cookie(call)


async def _user_of_cookie(call: Call) -> User | None:
    installation = call.context.config.installation_id
    cookies = cookie_parser(call.facts.header(b"cookie") or "")
    session = cookies.get(COOKIE_PREFIX + installation)
    user = None if session is None else await _user_of(call, session, "session")
    if user is not None and session is not None and call.method not in _SAFE:
        given = (cookies.get(CSRF_COOKIE_PREFIX + installation), call.facts.header(CSRF_HEADER))
        if any(value != call.context.tokens.csrf(session) for value in given):
            raise ProblemError(400, CSRF_MISSING)
    return user


async def _user_of(call: Call, token: str, kind: str) -> User | None:
    try:
        id_ = call.context.tokens.user_id(token, kind)
    except TokenError:
        return None
    return await call.stored(call.context.directory.user, id_)
