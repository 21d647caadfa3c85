"""Sends the table's requests to a server, one after the other, and deletes the package that it pushed."""

import contextlib
import io
import secrets
import ssl
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from mocknode.mock.comparing.shapes import Answer
from mocknode.mock.comparing.table import PUSHED, Asked

_LIMIT_S: Final = 30.0
_BODY_MAX: Final = 4 * 1024 * 1024
"""A page of five entries is a few kilobytes; a longer body is something else."""


class NotReachedError(Exception):
    """Nothing answers at the URL; the message names the URL and the reason."""


@dataclass(slots=True)
class Package:
    """The package that both servers get: a zip file with one file in it, under a name that no server has."""

    name: str = field(default_factory=lambda: f"mocknode.compare.{secrets.token_hex(6)}.1.0.0.zip")
    data: bytes = b""

    def __post_init__(self) -> None:
        if not self.data:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("readme.txt", "Pushed by `mocknode compare`, which deletes it again.")
            self.data = file.getvalue()

    @property
    def id(self) -> str:
        """Id in the built-in feed."""
        return f"packages-{self.name.removesuffix('.zip')}"


async def ask(url: str, api_key: str, table: Sequence[Asked], package: Package, ca: str | None = None) -> list[Answer]:
    """Return the answers of one server in the table's order. Redirects count as answers; proxies from the environment are ignored.

    Args:
        ca: PEM file of the certificate authority to trust; None trusts those of the system.

    Raises:
        NotReachedError: the first request got no connection. A later request that breaks off is an answer without a status.
    """
    verify = ssl.create_default_context(cafile=ca) if ca else True
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=_LIMIT_S, verify=verify) as client:
        answers: list[Answer] = []
        there = False
        try:
            for asked in table:
                there = there or asked.push
                try:
                    answers.append(await _send(client, url, api_key, asked, package))
                except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as exc:
                    if not answers:
                        raise NotReachedError(f"{url} does not answer ({str(exc) or type(exc).__name__})") from exc
                    answers.append(Answer(status=0, error=type(exc).__name__))
                except (httpx.TransportError, httpx.DecodingError) as exc:
                    answers.append(Answer(status=0, error=type(exc).__name__))
                if asked.method == "DELETE" and answers[-1].status in (200, 204):
                    there = False
        finally:
            if there:
                # The run was interrupted, or the table's own delete broke off: try to leave nothing behind.
                delete = Asked(path=f"/api/Spaces-1/packages/{PUSHED}", method="DELETE")
                with contextlib.suppress(httpx.HTTPError):
                    await _send(client, url, api_key, delete, package)
    return answers


async def _send(client: httpx.AsyncClient, url: str, api_key: str, asked: Asked, package: Package) -> Answer:
    # A session cookie must not turn the next anonymous request into one of a user.
    client.cookies.clear()
    request = client.build_request(
        asked.method,
        url.rstrip("/") + asked.path.replace(PUSHED, package.id),
        headers={} if asked.anonymous else {"x-octopus-apikey": api_key},
        files={"file": (package.name, package.data, "application/octet-stream")} if asked.push else None,
    )
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _BODY_MAX:
                return Answer(status=0, error=f"body of more than {_BODY_MAX} bytes")
    finally:
        await response.aclose()
    return Answer(status=response.status_code, content_type=response.headers.get("content-type", ""), body=bytes(body))
