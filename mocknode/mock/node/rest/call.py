"""One request to a resource: who asks, its space, its query and body, and errors as the server words them."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from mocknode.mock.data.directory import ADMINISTER, User
from mocknode.mock.node.http.answers import Headers, error_document, json_bytes, json_headers
from mocknode.mock.node.http.exchange import Exchange
from mocknode.mock.node.rest.context import RestContext
from mocknode.mock.node.rest.problems import FORBIDDEN, UNAUTHORIZED, ProblemError, invalid
from mocknode.text import json_text

# Documents that clients send are a few KiB; more is not read into memory.
DOCUMENT_BYTES_MAX: Final = 1024 * 1024
# Clients that want every item ask for this many.
INT32_MAX: Final = 2**31 - 1
MAINTENANCE: Final = "maintenance"
TAKE: Final = 30
"""Octopus' default page."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The part of a list that was asked for."""

    skip: int
    take: int


class Call:
    """One request to a resource.

    Attributes:
        exchange: The way to its body and to its client; `facts` is the request itself.
        context: What resources work with.
        user: User who asks; None where no credentials are needed.
        space: Id of the space that the path names; empty outside of spaces.
        query_pairs: The query as it came.
        restores: How often all data had been replaced when it began.
    """

    def __init__(self, scope: Any, exchange: Exchange, context: RestContext) -> None:
        self.exchange, self.facts, self.context = exchange, exchange.facts, context
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.params: dict[str, str] = {}
        self.user: User | None = None
        self.space = ""
        self.restores = context.cataloguing.restores
        self.query_pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self._query: dict[str, list[str]] = {}
        for key, value in self.query_pairs:
            self._query.setdefault(key.lower(), []).append(value)

    def query(self, name: str) -> str | None:
        """Return the first value of a query parameter, by case-insensitive name."""
        values = self._query.get(name.lower())
        return None if values is None else values[0]

    def listed(self, name: str) -> list[str]:
        """Return the values of a query parameter, separated by commas or repeated."""
        return [part for value in self._query.get(name.lower(), ()) for part in value.split(",") if part]

    def flag(self, name: str) -> bool:
        """Return a query parameter that is `true` or `false`, false when absent."""
        text = self.query(name)
        if text is None or text.lower() not in ("true", "false"):
            if text:
                raise invalid(f"{name}: got {text!r}, allowed: true, false")
            return False
        return text.lower() == "true"

    def count(self, name: str, default: int) -> int:
        """Return a query parameter that is a whole number from 0 to 2147483647."""
        text = self.query(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= INT32_MAX):
            raise invalid(f"{name}: got {text!r}, allowed: a whole number from 0 to {INT32_MAX}")
        return int(text)

    def page(self) -> Page:
        """Return `skip` and `take`."""
        return Page(skip=self.count("skip", 0), take=self.count("take", TAKE))

    @property
    def asker(self) -> User:
        """User who asks, on a route that needs credentials."""
        if self.user is None:
            raise ProblemError(401, UNAUTHORIZED)
        return self.user

    def require(self, permission: str) -> None:
        """Refuse a user who lacks a permission.

        Raises:
            ProblemError: 403.
        """
        if not self.asker.may(permission):
            raise ProblemError(403, FORBIDDEN.format(permission))

    async def changes(self, permission: str) -> None:
        """Refuse a change that the user may not make, now or at all.

        Raises:
            ProblemError: 403, or the status of maintenance mode, in which only administrators change anything.
        """
        self.require(permission)
        if self.asker.may(ADMINISTER):
            return
        if await self.stored(self.context.directory.setting, MAINTENANCE) == "true":
            raise ProblemError(
                self.context.config.web.maintenance_status,
                "Octopus Server is in maintenance mode, so only administrators can make changes.",
            )

    async def stored(self, action: Callable[..., _Result], *args: Any) -> _Result:
        """Call the shared store in its thread.

        Raises:
            StoreError: the store cannot be used; the client gets 500.
        """
        return await self.context.services.stored(action, *args)

    async def document(self) -> dict[str, Any]:
        """Read the whole body, and return the JSON object in it.

        Raises:
            ProblemError: 400, it is none.
        """
        body = await self.body()
        await self.exchange.body_end()
        try:
            document = json_text.loads_finite(body)
        except ValueError as exc:
            raise invalid(f"the body is no JSON document: {exc}") from exc
        if not isinstance(document, dict):
            raise invalid(f"the body is no JSON object but {type(document).__name__}")
        return document

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            ProblemError: 413, it is longer than any document.
        """
        data = bytearray()
        while chunks := await self.exchange.read():
            data += b"".join(chunks)
            if len(data) > DOCUMENT_BYTES_MAX:
                raise ProblemError(413, f"a document of more than {DOCUMENT_BYTES_MAX} bytes is not accepted")
        return bytes(data)

    async def no_body(self) -> None:
        """Read a body whose content is ignored."""
        await self.body()
        await self.exchange.body_end()

    async def answer(self, status: int, document: Any, *headers: tuple[bytes, bytes]) -> None:
        """Answer with a JSON document, or an empty body for None."""
        body = b"" if document is None else json_bytes(document)
        await self.answer_bytes(status, json_headers(body, *headers), body)

    async def answer_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with bytes."""
        await self.exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.exchange.send({"type": "http.response.body", "body": body})

    async def answer_parts(self, headers: Headers, length: int, parts: Iterator[bytes]) -> None:
        """Answer 200 with a body that is made part by part, in a thread; a HEAD makes none.

        Args:
            length: Bytes of all parts together.
        """
        headers = [*headers, (b"content-length", str(length).encode())]
        await self.exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        loop = asyncio.get_running_loop()
        left = 0 if self.facts.method == "HEAD" else length
        while left:
            part = await loop.run_in_executor(None, next, parts)
            left -= len(part)
            await self.exchange.send({"type": "http.response.body", "body": part, "more_body": left > 0})
        if not length or self.facts.method == "HEAD":
            await self.exchange.send({"type": "http.response.body", "body": b""})

    async def problem(self, error: ProblemError) -> None:
        """Answer with an error document."""
        await self.answer(error.status, error_document(error.message, error.errors), *error.headers)


def text_of(document: dict[str, Any], name: str, *, default: str | None = None) -> str:
    """Return a text of a document.

    Raises:
        ProblemError: 400, it is missing or no text.
    """
    value = document.get(name, default)
    if not isinstance(value, str):
        raise invalid(f"{name}: got {value!r}, allowed: text")
    return value
