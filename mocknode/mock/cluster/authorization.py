"""The check of the control API's bearer token."""

import secrets
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mocknode.mock.cluster.problems import problem

OPEN_PATHS: Final = ("/healthz",)
"""Paths without a token: orchestrators probe `/healthz` without secrets, and it reveals nothing about the cluster."""


class Authorization:
    """ASGI middleware that answers 401 to requests without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = Headers(scope=scope).get("authorization", "")
            scheme, _, token = given.partition(" ")
            # RFC 9110: the case of the scheme means nothing.
            if scheme.lower() != "bearer" or not secrets.compare_digest(token.strip().encode(), self._expected):
                detail = (
                    "Authorization: got " + ("another token" if given else "none") + ", allowed: Bearer and the token"
                )
                answer = problem(
                    "unauthorized",
                    HTTPStatus.UNAUTHORIZED,
                    detail,
                    headers={"www-authenticate": 'Bearer realm="mocknode"'},
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
