"""Sign-in cookies, CSRF tokens and access tokens: one node signs them, and every node accepts them.

All are signed with one secret of the cluster that the shared store keeps. Sources: cookie and header names in `ApiConstants.cs`
of OctopusClients, the exchange in its `OidcAccessTokenCache.cs`.
"""

import hashlib
import hmac
import json
import secrets
from pathlib import Path
from typing import Any, Final

import jwt

COOKIE_PREFIX: Final = "OctopusIdentificationToken_"
CSRF_COOKIE_PREFIX: Final = "Octopus-Csrf-Token_"
CSRF_HEADER: Final = b"x-octopus-csrf-token"
# A browser session of the real server slides for 20 minutes and is remembered for 20 days; a test needs neither edge.
SESSION_S: Final = 24 * 3600
ACCESS_TOKEN_S: Final = 3600
"""How long the real server's access tokens last."""

_ALGORITHM: Final = "HS256"
_SUBJECT_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384"]


class TokenError(ValueError):
    """A token is not accepted; the message says why and contains no part of the token."""


class Tokens:
    """Signs and checks tokens.

    Args:
        secret: The cluster's secret.
        now_s: Seconds since the epoch, in `issue`.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, user_id: str, kind: str, *, now_s: float, lasts_s: int) -> str:
        """Return a token of a kind, `session` or `access`."""
        claims = {"sub": user_id, "aud": kind, "exp": int(now_s) + lasts_s, "jti": secrets.token_hex(8)}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def user_id(self, token: str, kind: str) -> str:
        """Return the id of the user whom a token of this kind stands for.

        Raises:
            TokenError: it is not ours, of another kind, or over.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._secret, algorithms=[_ALGORITHM], audience=kind, options={"require": ["exp", "sub"]}
            )
        except jwt.PyJWTError as exc:
            raise TokenError(str(exc)) from exc
        return str(claims["sub"])

    def csrf(self, session: str) -> str:
        """Return the CSRF token that belongs to a session."""
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()


def subject_claims(token: str, audience: str, issuer: str, keys: Path) -> dict[str, Any]:
    """Return the claims of an issuer's token, checked against the issuer's keys.

    Args:
        keys: JWKS file.

    Raises:
        TokenError: no key of the file signed it, or it is meant for somebody else, or it is over.
    """
    try:
        found = jwt.PyJWKSet.from_dict(json.loads(keys.read_bytes()))
        wanted = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in found.keys if key.key_id == wanted), None)
        if key is None:
            raise TokenError("the subject token is signed with an unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=_SUBJECT_ALGORITHMS,
            audience=audience,
            issuer=issuer,
            options={"require": ["exp", "sub"]},
        )
    except (jwt.PyJWTError, OSError, ValueError) as exc:
        if isinstance(exc, TokenError):
            raise
        raise TokenError(f"the subject token is not accepted: {type(exc).__name__}") from exc
    return claims
