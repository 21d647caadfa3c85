"""The shape of the one table of routes, and how a path finds its row.

Paths are matched without case and with doubled or trailing slashes, as the real server does. A row that belongs to a space
exists in three spellings: `/api/...` for the default space, `/api/Spaces-N/...` and `/api/spaces/NAME/...`.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mocknode.mock.node.rest.call import Call

Handler = Callable[["Call"], Awaitable[None]]

_SPACE_ID: Final = re.compile(r"spaces-\d+", re.IGNORECASE)
_SPACE: Final = "{spaceId}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query parameter.

    Attributes:
        type: Its type in JSON Schema.
        allowed: The only values, if there is such a list.
        required: A request without it is refused.
    """

    name: str
    description: str
    type: str = "string"
    allowed: tuple[str, ...] = ()
    required: bool = False


PAGING: Final = (
    Query(name="skip", description="Items to leave out before the first, 0 when absent.", type="integer"),
    Query(name="take", description="Items on the page, 30 when absent.", type="integer"),
)
IDS: Final = Query(name="ids", description="Only these, separated by commas.")
PARTIAL_NAME: Final = Query(name="partialName", description="Only those with this in their name, in any case.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row: what is served where, and what its OpenAPI entry says.

    Attributes:
        path: From the root, parameters as `{name}`; of a scoped row without `/api`.
        handler: Its docstring is the description.
        anonymous: Needs no credentials.
        scoped: Belongs to a space.
        root: What a scoped path follows: `/api`, or nothing.
        answer: Type of the successful answer's document; None is an empty body, bytes an octet stream, str a page.
        statuses: Successful ones.
        errors: Statuses with an error document, beyond 401, 404 and 500.
        refusal: Type of the document of its 400, where that is not the server's error document.
        body: Media type of the body and the type of its document; None has no body.
    """

    method: str
    path: str
    handler: Handler
    anonymous: bool = False
    scoped: bool = False
    root: str = "/api"
    answer: Any = None
    statuses: tuple[int, ...] = (200,)
    errors: tuple[int, ...] = ()
    refusal: Any = None
    query: tuple[Query, ...] = ()
    body: tuple[str, Any] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Every spelling."""
        if not self.scoped:
            return (self.path,)
        spellings = (self.root, f"{self.root}/{_SPACE}", "/api/spaces/{spaceIdentifier}" if self.root else None)
        return tuple(spelling + self.path for spelling in spellings if spelling is not None)


def route(path: str, methods: str, handler: Handler, **facts: Any) -> list[Operation]:
    """Return rows for several methods with one handler; `methods` is a list such as `GET PUT`."""
    return [Operation(method=method, path=path, handler=handler, **facts) for method in methods.split()]


@dataclass(slots=True)
class _Step:
    literal: dict[str, "_Step"] = field(default_factory=dict)
    space: "_Step | None" = None
    parameter: "_Step | None" = None
    rows: dict[str, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Rows of one path by method, with the values of its parameters."""

    rows: dict[str, tuple[Operation, tuple[str, ...]]]
    values: tuple[str, ...]

    def params(self, method: str) -> dict[str, str]:
        """Return the parameters as this method's row names them."""
        return dict(zip(self.rows[method][1], self.values, strict=True))


class Router:
    """Finds rows by path, as fast for a thousand rows as for ten."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Step()
        for operation in operations:
            for path in operation.paths:
                self._add(path, operation)

    def _add(self, path: str, operation: Operation) -> None:
        step, names = self._root, []
        for segment in path.split("/")[1:]:
            if segment == _SPACE:
                names.append("space")
                step.space = step = step.space or _Step()
            elif segment.startswith("{"):
                names.append("space" if segment == "{spaceIdentifier}" else segment[1:-1])
                step.parameter = step = step.parameter or _Step()
            else:
                step = step.literal.setdefault(segment.lower(), _Step())
        if operation.method in step.rows:
            raise ValueError(f"two rows for {operation.method} {path}")
        step.rows[operation.method] = (operation, tuple(names))

    def find(self, path: str) -> Found | None:
        """Return the rows of a path without doubled slashes, fixed words before parameters; None without any."""
        return _walk(self._root, path.split("/")[1:], 0, ())


def _walk(step: _Step, segments: list[str], at: int, values: tuple[str, ...]) -> Found | None:
    if at == len(segments):
        return Found(rows=step.rows, values=values) if step.rows else None
    segment = segments[at]
    if (next_step := step.literal.get(segment.lower())) and (found := _walk(next_step, segments, at + 1, values)):
        return found
    if (
        step.space
        and _SPACE_ID.fullmatch(segment)
        and (found := _walk(step.space, segments, at + 1, (*values, segment)))
    ):
        return found
    return _walk(step.parameter, segments, at + 1, (*values, segment)) if step.parameter and segment else None
