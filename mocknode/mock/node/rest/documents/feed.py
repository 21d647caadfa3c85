"""Documents of feeds and of the versions in them. Sources: FeedResource and PackageVersionResource of the swagger, and what
`octopus package versions` reads (`versions_test.go` of OctopusDeploy/cli)."""

from typing_extensions import TypedDict

from mocknode.mock.data.directory import Feed
from mocknode.mock.data.store import Package


class FeedDocument(TypedDict):
    """A feed."""

    Id: str
    SpaceId: str
    Name: str
    FeedType: str
    PackageAcquisitionLocationOptions: list[str]
    LastModifiedOn: str | None
    LastModifiedBy: str | None
    Links: dict[str, str]


class VersionDocument(TypedDict):
    """One version of a package in a feed."""

    Id: str
    PackageId: str
    FeedId: str
    Version: str
    Title: str
    Published: str
    SizeBytes: int
    ReleaseNotes: None
    Links: dict[str, str]


def feed_document(feed: Feed) -> FeedDocument:
    """One feed."""
    base = f"/api/{feed.space}/feeds/{feed.id}"
    return {
        "Id": feed.id,
        "SpaceId": feed.space,
        "Name": feed.name,
        "FeedType": feed.feed_type,
        "PackageAcquisitionLocationOptions": ["Server", "ExecutionTarget"],
        "LastModifiedOn": None,
        "LastModifiedBy": None,
        "Links": {
            "Self": base,
            "SearchPackageVersionsTemplate": f"{base}/packages/versions{{?packageId,take,skip,includePreRelease,versionRange,"
            "preReleaseTag,filter,includeReleaseNotes}",
        },
    }


def version_document(package: Package, feed: Feed) -> VersionDocument:
    """One version."""
    id_ = f"packages-{package.package_id}.{package.version}"
    return {
        "Id": id_,
        "PackageId": package.package_id,
        "FeedId": feed.id,
        "Version": package.version,
        "Title": package.package_id,
        "Published": package.published,
        "SizeBytes": package.size,
        "ReleaseNotes": None,
        "Links": {"Self": f"/api/{package.space}/packages/{id_}"},
    }
