"""`/api/{space}/packages`: what the built-in feed holds; list, get, notes, delete, and download where nodes keep bytes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from typing_extensions import TypedDict

from mocknode.mock.data.directory import DOWNLOAD, MANAGE_PACKAGES
from mocknode.mock.data.store import Package
from mocknode.mock.node.packages.kept import forget, path_of
from mocknode.mock.node.packages.versions import latest_of_each
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.documents.package import (
    PackageDocument,
    PackageNotes,
    PackageNotesList,
    package_document,
)
from mocknode.mock.node.rest.problems import invalid, not_found
from mocknode.mock.node.rest.routing import PAGING, Operation, Query

_READ_BYTES: Final = 256 * 1024
_PREFIX: Final = "packages-"


class Bulk(TypedDict):
    """Packages to be deleted."""

    Ids: list[str]


async def list_packages(call: Call) -> None:
    """A page of packages, newest first; `filter` and `latest` leave one of each id, its highest version."""
    wanted, text = call.query("nuGetPackageId"), call.query("filter")
    latest = call.flag("latest")
    if wanted and text:
        raise invalid("nuGetPackageId and filter: got both, allowed: one of them")
    packages: Sequence[Package] = await call.stored(call.context.store.packages, call.space)
    if wanted:
        packages = [p for p in packages if p.package_id.lower() == wanted.lower()]
    if text:
        packages = [p for p in packages if text.lower() in p.package_id.lower()]
    if text or latest:
        packages = latest_of_each(packages)
    feed = await call.context.spaces.built_in_feed(call.space)
    await call.answer(200, paged(call, "PackageFromBuiltInFeed", packages, lambda p: package_document(p, feed)))


async def one_package(call: Call) -> None:
    """One package, by its id with or without `packages-`."""
    package = await _find(call, call.params["id"])
    if package is None:
        raise not_found(call.params["id"])
    await call.answer(200, package_document(package, await call.context.spaces.built_in_feed(call.space)))


async def _delete_one(call: Call) -> None:
    await call.no_body()
    await call.changes(MANAGE_PACKAGES)
    package = await _find(call, call.params["id"])
    if package is None:
        raise not_found(call.params["id"])
    await _delete(call, package)


async def delete_one(call: Call) -> None:
    """Delete a package; the answer is empty."""
    await _delete_one(call)
    await call.answer(200, None)


async def delete_one_v1(call: Call) -> None:
    """Delete a package; the answer is an empty document."""
    await _delete_one(call)
    await call.answer(200, {})


async def delete_bulk(call: Call) -> None:
    """Delete packages, by ids in the query or the body; unknown ones are not missed."""
    ids = call.listed("ids")
    if call.facts.expects_body and not ids:
        document = await call.document()
        found = document.get("Ids", document.get("ids"))
        if not isinstance(found, list) or not all(isinstance(id_, str) for id_ in found):
            raise invalid(f"Ids: got {found!r}, allowed: a list of package ids")
        ids = found
    else:
        await call.no_body()
    if not ids:
        raise invalid("ids: got nothing, allowed: package ids")
    await call.changes(MANAGE_PACKAGES)
    for id_ in ids:
        package = await _find(call, id_)
        if package is not None:
            await _delete(call, package)
    await call.answer(200, {})


async def _delete(call: Call, package: Package) -> None:
    await call.stored(call.context.store.delete_package, package.space, package.key)
    await call.stored(forget, call.context.store, call.context.config.run_dir, package)


async def notes(call: Call) -> None:
    """Notes of packages: the feed reads none from archives, so each says where it stands."""
    feed = await call.context.spaces.built_in_feed(call.space)
    found: list[PackageNotes] = []
    for id_ in call.listed("packageIds"):
        package = await _find(call, id_)
        name, version = (package.package_id, package.version) if package else (id_.removeprefix(_PREFIX), "")
        found.append({
            "FeedId": feed,
            "PackageId": name,
            "Version": version,
            "Notes": {
                "Notes": None,
                "Succeeded": package is not None,
                "FailureReason": None if package else f"Package {id_} was not found.",
                "DisplayMessage": None if package else f"Package {id_} was not found.",
                "Published": package.published if package else None,
            },
        })  # fmt: skip
    await call.answer(200, PackageNotesList(Packages=found))


async def download(call: Call) -> None:
    """The bytes of a package; the server documents 400, not 404, where there are none."""
    call.require(DOWNLOAD)
    id_ = call.params["id"]
    package = await _find(call, id_)
    if package is None:
        raise invalid(f"{id_} is not in the index")
    path = path_of(call.context.config.run_dir, package)
    if path is None:
        raise invalid(
            f"{package.file_name} is in the index but its bytes were not kept; start nodes with --keep-packages"
        )
    if not path.is_file():
        raise invalid(f"{package.file_name} is in the index but missing on disk")
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", f"attachment; filename*=UTF-8''{quote(package.file_name, safe='')}".encode()),
    ]
    await call.answer_parts(headers, package.size, _parts(path))


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            yield data


async def _find(call: Call, id_: str) -> Package | None:
    return await call.stored(call.context.store.package, call.space, id_.removeprefix(_PREFIX))


_LIST: Final = (
    *PAGING,
    Query(name="nuGetPackageId", description="Only versions of this package; excludes filter."),
    Query(name="filter", description="Only the latest version of packages with this in their id."),
    Query(name="latest", description="Only the latest version of each.", type="boolean"),
    Query(name="includeNotes", description="Changes nothing: there are no notes.", type="boolean"),
)
_IDS: Final = (Query(name="ids", description="Package ids, separated by commas."),)
_NOTES: Final = (Query(name="packageIds", description="Package ids, separated by commas."),)

operations: Final = [
    Operation(
        method="GET", path="/packages", handler=list_packages, scoped=True, answer=Collection[PackageDocument], query=_LIST,
        errors=(400,),
    ),
    Operation(
        method="DELETE", path="/packages/bulk", handler=delete_bulk, scoped=True, answer=dict[str, str], query=_IDS,
        errors=(400, 403, 413), body=("application/json", Bulk),
    ),
    Operation(
        method="DELETE", path="/packages/bulk/v1", handler=delete_bulk, scoped=True, answer=dict[str, str], query=_IDS,
        errors=(400, 403, 413), body=("application/json", Bulk),
    ),
    Operation(
        method="GET", path="/packages/notes", handler=notes, scoped=True, answer=PackageNotesList, query=_NOTES
    ),
    Operation(method="GET", path="/packages/{id}", handler=one_package, scoped=True, answer=PackageDocument),
    Operation(
        method="DELETE", path="/packages/{id}", handler=delete_one, scoped=True, errors=(403, 413)
    ),
    Operation(
        method="DELETE", path="/packages/{id}/v1", handler=delete_one_v1, scoped=True, answer=dict[str, str], errors=(403, 413),
    ),
    Operation(
        method="GET", path="/packages/{id}/raw", handler=download, scoped=True, answer=bytes, errors=(400, 403)
    ),
]  # fmt: skip
