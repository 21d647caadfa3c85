"""`GET /journal`: pages of the nodes' journals, with filters and a bounded wait."""

import asyncio
import time
from typing import Any, Final

from starlette.requests import Request

from mocknode.mock.cluster.controller import Controller
from mocknode.mock.cluster.journal_files import Record, decode_cursor, read
from mocknode.mock.cluster.queries import QueryError, count_of, number_of, words_of

KINDS: Final = ("boot", "connection", "probe", "request", "state", "fault", "rpc", "dropped")
PAGE_LIMIT: Final = 5000
"""About a megabyte of JSON."""
PAGE_DEFAULT: Final = 1000
WAIT_LIMIT_S: Final = 300.0
WAIT_DEFAULT_S: Final = 10.0
_POLL_S: Final = 0.01
"""Pause between two looks for new lines; looking at a few unchanged files costs microseconds."""


async def journal_page(controller: Controller, request: Request) -> dict[str, Any]:
    """Return the page that the request's query asks for.

    Raises:
        RefusedError: a parameter is not allowed.
    """
    query = request.query_params
    for name in query:
        if name not in (allowed := ["cursor", "kind", "node", "attempt", "wait_for", "timeout_s", "limit"]):
            raise QueryError(f"parameter: got {name!r}, allowed: {', '.join(allowed)}", got=name, allowed=allowed)
    kinds = frozenset(words_of(query, "kind", KINDS))
    nodes = words_of(query, "node", controller.names)
    attempt = query.get("attempt")
    limit = count_of(query, "limit", default=PAGE_DEFAULT, low=1, high=PAGE_LIMIT)
    wait_for = count_of(query, "wait_for", default=0, low=1, high=PAGE_LIMIT)
    limit = max(limit, wait_for)
    deadline = time.monotonic() + number_of(query, "timeout_s", default=WAIT_DEFAULT_S, low=0, high=WAIT_LIMIT_S)
    cursor = decode_cursor(query.get("cursor"), controller.names)

    def keep(record: Record) -> bool:
        return (attempt is None or cursor.follows(record, attempt)) and record.get("kind") in kinds

    records: list[Record] = []
    while True:
        found, more = read(controller.shared.run_dir, cursor, keep, limit=limit - len(records), nodes=nodes)
        records += found
        if len(records) == limit or (not more and len(records) >= wait_for):
            break
        if more:
            await asyncio.sleep(0)
        elif time.monotonic() >= deadline or await request.is_disconnected():
            break
        else:
            await asyncio.sleep(_POLL_S)
    return {"records": records, "cursor": cursor.encode(), "monotonic_ns": time.monotonic_ns(), "more": more}
