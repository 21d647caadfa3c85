"""Package id, version and extension from a file name.

The rule is the server's: strip the extension, then the shortest id whose rest is a version. Source: `PackageIdentityParser.cs`
of OctopusDeploy/OctopusClients and `package_service.go` of go-octopusdeploy, with their test examples and quirks.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

EXTENSIONS: Final = (
    ".tar.gz", ".tar.bz2", ".tar.bz", ".tar.Z",
    ".nupkg", ".zip", ".jar", ".war", ".ear", ".rar", ".tar", ".tgz", ".tbz2", ".tbz",
)  # fmt: skip
"""Extensions that the feed accepts, longest first. Source: the vendor's page on packaging applications."""

# The longest name that the file systems under a real feed can store.
FILE_NAME_CHARS_MAX: Final = 255

# The published pattern lets `_` be both separator and letter, which backtracks without end; this is the same language.
_ID: Final = re.compile(r"\w+(?:[.-]\w+)*")
_VERSION: Final = re.compile(
    r"\d+(\.\d+){0,3}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?", re.ASCII
)
# Characters of ids and versions.
_LETTERS: Final = re.compile(r"[\w.+-]*")

Issue = Literal["FileNameTooLong", "UnsupportedFileExtension", "InvalidCharactersInFileName", "InvalidPackageId"]


class FileNameError(ValueError):
    """A file name that is no package's; the message is the server's, and so is its word for the `issue`."""

    def __init__(self, issue: Issue, message: str) -> None:
        super().__init__(message)
        self.issue = issue


@dataclass(frozen=True, slots=True)
class PackageName:
    """The parts of a package's file name."""

    package_id: str
    version: str
    extension: str

    @property
    def is_nuget(self) -> bool:
        """Whether it is of the one format that the feed opens."""
        return self.extension.lower() == ".nupkg"


def bare_name(file_name: str) -> str:
    """Return the name without the directories that some clients send along."""
    return re.split(r"[/\\]", file_name)[-1]


def is_version(text: str) -> bool:
    """Return whether a package can have this version."""
    return _VERSION.fullmatch(text) is not None


def parse_file_name(file_name: str) -> PackageName:
    """Return the parts of a bare file name.

    Raises:
        FileNameError: naming what was got and what is allowed.
    """
    if len(file_name) > FILE_NAME_CHARS_MAX:
        raise FileNameError(
            "FileNameTooLong",
            f"Package Name is too long: {len(file_name)} characters, allowed: {FILE_NAME_CHARS_MAX}",
        )
    lower = file_name.lower()
    extension = next((ext for ext in EXTENSIONS if lower.endswith(ext.lower())), None)
    if extension is None:
        raise FileNameError(
            "UnsupportedFileExtension",
            f"The uploaded file isn't in a supported package format: got {file_name!r}, allowed: {', '.join(EXTENSIONS)}",
        )
    stem, written = file_name[: -len(extension)], file_name[-len(extension) :]
    for at, char in enumerate(stem):
        if char == "." and _VERSION.fullmatch(stem, at + 1) and _ID.fullmatch(stem, 0, at):
            return PackageName(stem[:at], stem[at + 1 :], written)
    raise FileNameError(
        "InvalidPackageId" if _LETTERS.fullmatch(stem) else "InvalidCharactersInFileName",
        f"The uploaded file isn't in a supported package format: {file_name!r} has no package id and version, "
        "such as Acme.Web.1.0.0.zip",
    )
