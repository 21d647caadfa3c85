"""Documents of packages.

Sources: PackageFromBuiltInFeedResource in the server's swagger and the generated API reference. `ReleaseNotes` stays null: the
Go client decodes that name as a time and fails on anything else.
"""

from typing import Literal

from typing_extensions import TypedDict

from mocknode.mock.data.store import Package


class PackageDocument(TypedDict):
    """A package of the built-in feed."""

    Id: str
    PackageId: str
    NuGetPackageId: str
    FeedId: str
    NuGetFeedId: str
    Version: str
    Title: str
    Summary: str | None
    Description: str | None
    Published: str
    ReleaseNotes: None
    FileExtension: str
    PackageSizeBytes: int
    Hash: str
    PackageVersionBuildInformation: None
    LastModifiedOn: str | None
    LastModifiedBy: str | None
    Links: dict[str, str]


class NotesDocument(TypedDict):
    """What the feed knows about the notes of a package."""

    Notes: str | None
    Succeeded: bool
    FailureReason: str | None
    DisplayMessage: str | None
    Published: str | None


class PackageNotes(TypedDict):
    """Notes of one package."""

    FeedId: str
    PackageId: str
    Version: str
    Notes: NotesDocument


class PackageNotesList(TypedDict):
    """Notes of the packages that were asked for."""

    Packages: list[PackageNotes]


class DeltaSignature(TypedDict):
    """From which version a delta may start, and its signature in base64."""

    Signature: str
    BaseVersion: str


class Validation(TypedDict):
    """What keeps a package from being stored; null is nothing."""

    Issue: (
        Literal[
            "CorruptedNugetPackage", "CouldNotValidate", "EmptyFile", "FileNameTooLong", "InvalidCharactersInFileName",
            "InvalidPackageId", "PackageAlreadyExists", "UnsupportedFileExtension",
        ]
        | None
    )  # fmt: skip


def package_document(package: Package, feed: str) -> PackageDocument:
    """One package of the built-in feed with this id."""
    id_ = f"packages-{package.package_id}.{package.version}"
    base = f"/api/{package.space}/packages/{id_}"
    return {
        "Id": id_,
        "PackageId": package.package_id,
        "NuGetPackageId": package.package_id,
        "FeedId": feed,
        "NuGetFeedId": feed,
        "Version": package.version,
        "Title": package.package_id,
        "Summary": None,
        "Description": None,
        "Published": package.published,
        "ReleaseNotes": None,
        "FileExtension": package.extension,
        "PackageSizeBytes": package.size,
        "Hash": package.sha1,
        "PackageVersionBuildInformation": None,
        "LastModifiedOn": package.published,
        "LastModifiedBy": None,
        "Links": {"Self": base, "Raw": f"{base}/raw"},
    }
