"""Addresses of Tentacles: the queue that one polls, or the host and port where one listens."""

import hashlib
from typing import Final, Literal
from urllib.parse import urlsplit

LISTENING_PORT: Final = 10933
_SUBSCRIPTION_LETTERS: Final = "bcdefghjklmnpqrstuvwxyz23456789"
_SUBSCRIPTION_LENGTH: Final = 20


def subscription_of(thumbprint: str) -> str:
    """Return a subscription id in the form of a real Tentacle's (`PollingSubscriptionId.cs`), the same for each certificate."""
    digest = hashlib.sha256(thumbprint.encode()).digest()
    letters = (_SUBSCRIPTION_LETTERS[byte % len(_SUBSCRIPTION_LETTERS)] for byte in digest[:_SUBSCRIPTION_LENGTH])
    return f"poll://{''.join(letters)}/"


def style_of(uri: str) -> Literal["TentacleActive", "TentaclePassive"]:
    """Return which end opens the connection: the Tentacle for `poll://abc/`, the server for `https://host:10933/`.

    Raises:
        ValueError: the URI has neither form.
    """
    try:
        parts = urlsplit(uri)
        known = parts.hostname is not None and (parts.port is None or parts.scheme == "https")
    except ValueError:
        known = False
    else:
        if known and parts.scheme == "poll":
            return "TentacleActive"
        if known and parts.scheme == "https":
            return "TentaclePassive"
    raise ValueError(f"uri: got {uri!r}, allowed: poll://NAME/ or https://HOST:PORT/")


def host_and_port(uri: str) -> tuple[str, int]:
    """Return host and port of `https://host:10933/`.

    Raises:
        ValueError: the URI has another form.
    """
    if style_of(uri) != "TentaclePassive":
        raise ValueError(f"uri: got {uri!r}, allowed: https://HOST:PORT/")
    parts = urlsplit(uri)
    return str(parts.hostname), parts.port or LISTENING_PORT
