"""One request or one upload on a connection of its own."""

import itertools
from collections.abc import Sequence
from typing import TypedDict, Unpack

from mocknode.judge.record.history import Attempt
from mocknode.judge.traffic.framing import Framing
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.http1 import Http1Connection
from mocknode.judge.traffic.pace import AbortAt, Pace, Pause
from mocknode.judge.traffic.package import Form, new_attempt_id, package_body, package_file_name
from mocknode.judge.traffic.spec import Headers, RequestSpec

API_KEY_HEADER = "X-Octopus-ApiKey"

UPLOAD_TIMEOUT_S = 300.0
"""Default timeout of an upload: longer than any wait that a check asks for."""


class UploadOptions(TypedDict, total=False):
    """The optional arguments of `upload_spec`, for callers that pass them on."""

    total: int | None
    space: str
    form: Form
    field: str
    pace: Pace | None
    pauses: Sequence[Pause]
    chunks: Framing | Sequence[int] | None
    abort: AbortAt | None
    expect_continue: bool
    timeout_s: float
    query: str
    headers: Headers
    attempt: str | None


_numbers = itertools.count(1)


async def request(front: FrontDoor, spec: RequestSpec) -> Attempt:
    """Send one HTTP/1.1 request on a new connection, and close it with FIN afterwards."""
    connection = Http1Connection(front)
    try:
        return await connection.exchange(spec)
    finally:
        connection.close()


def upload_spec(
    check: str,
    variant: str = "",
    size: int | None = None,
    *,
    api_key: str,
    total: int | None = None,
    space: str = "Spaces-1",
    form: Form = "multipart",
    field: str = "file",
    pace: Pace | None = None,
    pauses: Sequence[Pause] = (),
    chunks: Framing | Sequence[int] | None = None,
    abort: AbortAt | None = None,
    expect_continue: bool = False,
    timeout_s: float = UPLOAD_TIMEOUT_S,
    query: str = "",
    headers: Headers = (),
    attempt: str | None = None,
) -> RequestSpec:
    """Return the spec of a raw package upload, for a connection of the caller's choice.

    Args:
        size: Size of the file in bytes; give this or `total`, the size of the whole request body.
        pauses: Added to those of `pace`.
        chunks: Chunk sizes used in turn, or a framing; None sends Content-Length.
        query: Without its question mark, such as `overwriteMode=IgnoreIfExists`.
        attempt: Id to use; None makes one.
    """
    attempt = attempt or new_attempt_id()
    name = package_file_name(check, next(_numbers), attempt)
    framing = chunks if isinstance(chunks, Framing) else Framing.chunked(*chunks) if chunks else Framing.length()
    if pauses:
        pace = Pace(rate=pace.rate if pace else None, pauses=(*(pace.pauses if pace else ()), *pauses))
    return RequestSpec(
        check=check,
        variant=variant,
        method="POST",
        target=f"/api/{space}/packages/raw" + (f"?{query}" if query else ""),
        headers=((API_KEY_HEADER, api_key), *headers),
        body=package_body(attempt, size, total=total, form=form, file_name=name, field=field),
        framing=framing,
        pace=pace,
        abort=abort,
        expect_continue=expect_continue,
        timeout_s=timeout_s,
        attempt=attempt,
    )


async def upload(
    front: FrontDoor,
    check: str,
    variant: str = "",
    size: int | None = None,
    *,
    api_key: str,
    **options: Unpack[UploadOptions],
) -> Attempt:
    """Upload one raw package on a new connection; the arguments are those of `upload_spec`."""
    return await request(front, upload_spec(check, variant, size, api_key=api_key, **options))
