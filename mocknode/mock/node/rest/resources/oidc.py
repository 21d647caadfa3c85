"""OIDC: discovery, and the exchange of an issuer's token for an access token of ours.

Sources: `OidcAccessTokenCache.cs` of OctopusClients, `login.go` of OctopusDeploy/cli, the generated reference of `/api/token/v1`.
URLs are absolute. Without a configured external URL they name the address that the request came to, which behind a balancer
that ends TLS or rewrites the host is wrong, as it was on the real server (OctopusDeploy/Issues 8651). A token is accepted only when
a key of the file that was given for that signed it: the mock asks no issuer.
"""

import asyncio
import re
import time
from pathlib import Path
from typing import Any, Final

from typing_extensions import TypedDict

from mocknode.mock.data.directory import User
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.problems import ProblemError
from mocknode.mock.node.rest.routing import Operation
from mocknode.mock.node.rest.tokens import ACCESS_TOKEN_S, TokenError, subject_claims

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
ISSUED_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
# What may stand in a URL of ours; anything else in a Host header is not repeated.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


class Discovery(TypedDict):
    """Where tokens are exchanged."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    subject_types_supported: list[str]
    id_token_signing_alg_values_supported: list[str]


class KeySet(TypedDict):
    """Public keys of the server as an issuer: it issues no identity tokens, so there are none."""

    keys: list[dict[str, str]]


class Exchange(TypedDict):
    """A request for an access token."""

    grant_type: str
    audience: str
    subject_token: str
    subject_token_type: str


class OAuthError(TypedDict):
    """Why a token was not exchanged (RFC 6749, 5.2)."""

    error: str
    error_description: str


class AccessToken(TypedDict):
    """An access token."""

    access_token: str
    expires_in: int
    token_type: str
    issued_token_type: str


class Refusal(Exception):
    """Why no token is given, in the words of RFC 6749."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


async def discovery(call: Call) -> None:
    """Where tokens are exchanged."""
    base = _base(call)
    document: Discovery = {
        "issuer": base,
        "token_endpoint": f"{base}/api/token/v1",
        "jwks_uri": f"{base}/.well-known/jwks",
        "grant_types_supported": [GRANT],
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
    await call.answer(200, document)


def _base(call: Call) -> str:
    config = call.context.config
    if config.web.external_url is not None:
        return config.web.external_url.rstrip("/")
    scheme = "https" if call.facts.connection.tls else "http"
    host = call.facts.header(b"host") or ""
    if not _HOST.fullmatch(host):
        host = call.context.own_address()
    return f"{scheme}://{host}"


async def key_set(call: Call) -> None:
    """The server's public keys as an issuer."""
    await call.answer(200, KeySet(keys=[]))


async def exchange(call: Call) -> None:
    """Exchange an issuer's token of a service account for an access token."""
    try:
        document = await call.document()
    except ProblemError as exc:
        if exc.status != 400:
            raise
        await _refuse(call, Refusal("invalid_request", exc.errors[0]))
        return
    try:
        user = await _account(call, document)
    except Refusal as exc:
        await _refuse(call, exc)
        return
    token = call.context.tokens.issue(user.id, "access", now_s=time.time(), lasts_s=ACCESS_TOKEN_S)
    answer: AccessToken = {
        "access_token": token,
        "expires_in": ACCESS_TOKEN_S,
        "token_type": "Bearer",
        "issued_token_type": ISSUED_TYPE,
    }
    await call.answer(200, answer)


async def _refuse(call: Call, refusal: Refusal) -> None:
    await call.answer(400, OAuthError(error=refusal.error, error_description=str(refusal)))


async def _account(call: Call, document: dict[str, Any]) -> User:
    texts = {name: document.get(name) for name in ("grant_type", "audience", "subject_token", "subject_token_type")}
    for name, value in texts.items():
        if not isinstance(value, str) or not value:
            raise Refusal("invalid_request", f"{name} is missing")
    if texts["grant_type"] != GRANT:
        raise Refusal("unsupported_grant_type", f"grant_type: allowed is {GRANT}")
    if texts["subject_token_type"] != JWT_TYPE:
        raise Refusal("invalid_request", f"subject_token_type: allowed is {JWT_TYPE}")
    users = await call.stored(call.context.directory.users)
    user = next((user for user in users if user.audience == texts["audience"] and user.is_active), None)
    keys = call.context.config.web.oidc_keys
    if user is None or user.issuer is None:
        raise Refusal("invalid_grant", "no service account has this audience")
    if keys is None:
        raise Refusal("invalid_grant", "no issuer's keys are known: start the nodes with --oidc-keys")
    try:
        claims = await asyncio.to_thread(
            subject_claims, str(texts["subject_token"]), str(texts["audience"]), user.issuer, Path(keys)
        )
    except TokenError as exc:
        raise Refusal("invalid_grant", str(exc)) from exc
    if claims["sub"] != user.subject:
        raise Refusal("invalid_grant", "the subject of the token is not the service account's")
    return user


operations: Final = [
    Operation(
        method="GET", path="/.well-known/openid-configuration", handler=discovery, anonymous=True, answer=Discovery
    ),
    Operation(method="GET", path="/.well-known/jwks", handler=key_set, anonymous=True, answer=KeySet),
    Operation(
        method="POST", path="/api/token/v1", handler=exchange, anonymous=True, answer=AccessToken, refusal=OAuthError,
        errors=(400, 413),
        body=("application/json", Exchange),
    ),
]  # fmt: skip
