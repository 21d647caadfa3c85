"""The envelope of a list. Source: `pkg/resources/paged_results.go` of go-octopusdeploy; page numbers start at 0."""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

from typing_extensions import TypedDict

from mocknode.mock.node.rest.call import INT32_MAX, Call, Page

Item = TypeVar("Item")
_Row = TypeVar("_Row")

# What a link to another page does not repeat: its own numbers, and a key that was given in the query.
_NOT_KEPT: Final = ("skip", "take", "apikey")


class Collection(TypedDict, Generic[Item]):
    """A page of items."""

    Id: str | None
    ItemType: str
    TotalResults: int
    ItemsPerPage: int
    NumberOfPages: int
    LastPageNumber: int
    Items: list[Item]
    Links: dict[str, str]


def paged(call: Call, item_type: str, rows: Sequence[_Row], document: Callable[[_Row], Item]) -> Collection[Item]:
    """The page of rows that a call asks for; only its items become documents."""
    page = call.page()
    items = [document(row) for row in rows[page.skip : page.skip + page.take]]
    filters = [pair for pair in call.query_pairs if pair[0].lower() not in _NOT_KEPT]
    return _envelope(item_type, call.path, items, len(rows), page, filters)


def _envelope(
    item_type: str, path: str, items: list[Item], total: int, page: Page, filters: list[tuple[str, str]]
) -> Collection[Item]:
    skip, take = page.skip, page.take
    pages = max(1, -(-total // take)) if take else 1

    def link(at: int, size: int = take) -> str:
        return f"{path}?{urlencode([('skip', at), ('take', size), *filters])}"

    return {
        "Id": None,
        "ItemType": item_type,
        "TotalResults": total,
        "ItemsPerPage": take,
        "NumberOfPages": pages,
        "LastPageNumber": pages - 1,
        "Items": items,
        "Links": {
            "Self": link(skip),
            "Template": f"{path}{{?skip,take}}",
            "Page.All": link(0, INT32_MAX),
            "Page.Current": link(skip),
            "Page.Last": link((pages - 1) * take),
            **({"Page.Next": link(skip + take)} if take and skip + take < total else {}),
        },
    }
