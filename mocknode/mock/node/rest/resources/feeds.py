"""`/api/{space}/feeds`: where packages come from; the built-in feed is the one with packages."""

from collections.abc import Sequence
from typing import Final

from mocknode.mock.data.directory import BUILT_IN, Feed
from mocknode.mock.node.packages.versions import newest_first
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.documents.feed import FeedDocument, VersionDocument, feed_document, version_document
from mocknode.mock.node.rest.problems import invalid, not_found
from mocknode.mock.node.rest.routing import IDS, PAGING, PARTIAL_NAME, Operation, Query


async def list_feeds(call: Call) -> None:
    """A page of feeds."""
    feeds: Sequence[Feed] = await call.stored(call.context.directory.feeds, call.space)
    if ids := call.listed("ids"):
        feeds = [feed for feed in feeds if feed.id in ids]
    if types := call.listed("feedType"):
        feeds = [feed for feed in feeds if feed.feed_type.lower() in {kind.lower() for kind in types}]
    if part := call.query("partialName"):
        feeds = [feed for feed in feeds if part.lower() in feed.name.lower()]
    await call.answer(200, paged(call, "Feed", feeds, feed_document))


async def all_feeds(call: Call) -> None:
    """Every feed of the space, as a bare array."""
    await call.answer(
        200, [feed_document(feed) for feed in await call.stored(call.context.directory.feeds, call.space)]
    )


async def one_feed(call: Call) -> None:
    """One feed."""
    await call.answer(200, feed_document(await _find(call)))


async def versions(call: Call) -> None:
    """The versions of one package, highest first."""
    feed = await _find(call)
    package_id, part = call.query("packageId"), (call.query("filter") or "").lower()
    if not package_id:
        raise invalid("packageId: got nothing, allowed: the id of a package")
    packages = await call.stored(call.context.store.packages, call.space) if feed.feed_type == BUILT_IN else []
    wanted = [p for p in packages if p.package_id.lower() == package_id.lower() and part in p.version.lower()]
    await call.answer(200, paged(call, "PackageVersion", newest_first(wanted), lambda p: version_document(p, feed)))


async def _find(call: Call) -> Feed:
    id_ = call.params["feedId"]
    feeds = await call.stored(call.context.directory.feeds, call.space)
    found = next((feed for feed in feeds if feed.id.lower() == id_.lower()), None)
    if found is None:
        raise not_found(id_)
    return found


_TYPE: Final = Query(name="feedType", description="Only those of this type, such as BuiltIn.")
_VERSIONS: Final = (
    *PAGING,
    Query(name="packageId", description="The package.", required=True),
    Query(name="filter", description="Only versions with this in them."),
)

operations: Final = [
    Operation(
        method="GET", path="/feeds", handler=list_feeds, scoped=True, answer=Collection[FeedDocument],
        query=(*PAGING, IDS, PARTIAL_NAME, _TYPE), errors=(400,),
    ),
    Operation(method="GET", path="/feeds/all", handler=all_feeds, scoped=True, answer=list[FeedDocument]),
    Operation(method="GET", path="/feeds/{feedId}", handler=one_feed, scoped=True, answer=FeedDocument),
    Operation(
        method="GET", path="/feeds/{feedId}/packages/versions", handler=versions, scoped=True, query=_VERSIONS,
        answer=Collection[VersionDocument], errors=(400,),
    ),
]  # fmt: skip
