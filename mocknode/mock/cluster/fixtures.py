"""The fixtures file, strict YAML with the spaces, users, feeds and packages that a cluster starts with.

Entries that a node would refuse, and entries that contradict each other, are refused with their line before anything starts.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mocknode.mock.cluster.fixture_content import ZIP_BYTES, ZIPPED
from mocknode.mock.cluster.settings_error import SettingsError
from mocknode.mock.data.directory import ADMINISTRATOR, BUILT_IN, DEFAULT_SPACE
from mocknode.mock.node.packages.names import EXTENSIONS, FileNameError, PackageName, parse_file_name
from mocknode.text import strict_yaml
from mocknode.text.strict_yaml import Document, StrictYamlError
from mocknode.text.suggestions import did_you_mean
from mocknode.text.units import format_size, parse_size

ENTRIES_MAX: Final = 10_000
"""Largest number of entries of one kind: an hour of a busy build server, loaded in seconds."""
PACKAGE_BYTES_MAX: Final = 1 << 30
"""Largest size of one package: the largest archive that needs no ZIP64, which clients read differently."""
TOTAL_BYTES_MAX: Final = 4 << 30
"""Largest size of all packages together: 250 MB are made in a second, and a cluster has to start in seconds."""
_SHOWN: Final = 80
"""Characters of a wrong value that its error shows."""

_FAULTS_SHOWN: Final = 10

Place = tuple[int | str, ...]


class FixturesError(SettingsError):
    """The fixtures file has an error; the message names file, line, what was got and what is allowed."""


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("allowed: printable characters, without spaces around them")
    return text


def _key(text: str) -> str:
    if not re.fullmatch(r"API-[A-Z0-9]{1,60}", text):
        raise ValueError("allowed: API- and 1 to 60 capital letters or digits")
    return text


def _slug(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        raise ValueError("allowed: lower-case letters and digits, in groups joined by -")
    return text


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _extension(text: str) -> str:
    if text.lower() not in {one.lower() for one in EXTENSIONS}:
        raise ValueError(f"allowed: {', '.join(EXTENSIONS)}")
    return text


def _feed_type(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,39}", text) or text.lower() == BUILT_IN.lower():
        raise ValueError(f"allowed: a word such as NuGet or Docker, not {BUILT_IN}, which every space has already")
    return text


_Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SpaceFixture(_Part):
    """A space; its slug defaults to one made from its name. Its built-in feed is created with it."""

    name: _Text
    slug: Annotated[str, Field(max_length=200), AfterValidator(_slug)] | None = None
    description: str = Field("", max_length=2000)

    @property
    def its_slug(self) -> str:
        """Slug of the space, as paths use it."""
        return self.slug or "-".join(re.findall(r"[a-z0-9]+", self.name.lower()))


class UserFixture(_Part):
    """A user or service account."""

    username: _Text
    display_name: str = Field("", alias="display-name", max_length=200)
    email: str = Field("", max_length=256)
    password: str | None = Field(None, min_length=1, max_length=200)
    service: bool = False
    permissions: list[
        Literal["AdministerSystem", "BuiltInFeedPush", "BuiltInFeedAdminister", "BuiltInFeedDownload"]
    ] = Field(default=[], max_length=4)
    api_keys: list[Annotated[str, AfterValidator(_key)]] = Field(default=[], alias="api-keys", max_length=100)


class FeedFixture(_Part):
    """A feed in addition to the built-in one."""

    name: _Text
    type: Annotated[str, AfterValidator(_feed_type)]
    space: str = DEFAULT_SPACE.name


class PackageFixture(_Part):
    """A package of a built-in feed; its bytes are made from its seed."""

    id: _Text
    version: _Text
    extension: Annotated[str, AfterValidator(_extension)] = ".zip"
    space: str = DEFAULT_SPACE.name
    size: Annotated[int, BeforeValidator(_size), Field(ge=1, le=PACKAGE_BYTES_MAX)]
    seed: int = Field(1, ge=0, le=2**63 - 1)

    @property
    def file_name(self) -> str:
        """Name under which a client would have uploaded it."""
        return f"{self.id}.{self.version}{self.extension}"


class Fixtures(_Part):
    """The content of a fixtures file."""

    schema_: Annotated[int, Field(alias="mocknode-fixtures", ge=1, le=1)]
    spaces: list[SpaceFixture] = Field(default=[], max_length=ENTRIES_MAX)
    users: list[UserFixture] = Field(default=[], max_length=ENTRIES_MAX)
    feeds: list[FeedFixture] = Field(default=[], max_length=ENTRIES_MAX)
    packages: list[PackageFixture] = Field(default=[], max_length=ENTRIES_MAX)

    @cached_property
    def places(self) -> dict[str, int]:
        """Index in `spaces` by name or slug in lower case, which feeds and packages refer to; -1 is the default space."""
        places = {name.lower(): -1 for name in (DEFAULT_SPACE.name, DEFAULT_SPACE.slug)}
        for index, space in enumerate(self.spaces):
            for name in (space.name.lower(), space.its_slug):
                places.setdefault(name, index)
        return places


_PARTS: Final[dict[str, type[_Part]]] = {
    "spaces": SpaceFixture, "users": UserFixture, "feeds": FeedFixture, "packages": PackageFixture,
}  # fmt: skip


def read_fixtures(path: Path, cluster_key: str | None = None) -> Fixtures:
    """Read and validate a fixtures file.

    Args:
        cluster_key: The administrator's API key, which nobody else can have.

    Raises:
        FixturesError: the file has errors; the message lists all of them.
    """
    try:
        document = strict_yaml.read(path)
    except StrictYamlError as exc:
        raise FixturesError(f"--fixtures {exc}") from exc
    if not isinstance(document.content, dict):
        raise FixturesError(f"--fixtures {path}: a fixtures file is a mapping that begins with `mocknode-fixtures: 1`")
    try:
        found = Fixtures.model_validate(document.content)
    except ValidationError as exc:
        faults = [(error["loc"], _words(error)) for error in exc.errors(include_url=False)]
        raise FixturesError(_message(path, document, faults)) from exc
    if faults := list(_clashes(found, cluster_key)):
        raise FixturesError(_message(path, document, faults))
    return found


def _message(path: Path, document: Document, faults: Sequence[tuple[Place, str]]) -> str:
    lines = sorted((document.line(place), words) for place, words in faults)
    shown = [f"line {line}: {words}" for line, words in lines[:_FAULTS_SHOWN]]
    rest = [f"and {len(faults) - _FAULTS_SHOWN} more"] if len(faults) > _FAULTS_SHOWN else []
    return f"--fixtures {path}, " + "; ".join(shown + rest)


def _words(error: Any) -> str:
    *owner, last = error["loc"]
    where = ".".join(str(part) for part in error["loc"])
    got = repr(error["input"])
    got = got if len(got) <= _SHOWN else got[:_SHOWN] + "..."
    if error["type"] == "extra_forbidden":
        model = _PARTS[str(owner[0])] if owner else Fixtures
        known = [item.alias or name for name, item in model.model_fields.items()]
        return f"unknown key {where!r}, allowed: {', '.join(known)}{did_you_mean(str(last), known)}"
    if error["type"] == "missing":
        return f"{where}: required and not there"
    quotes = "" if error["type"] != "string_type" or isinstance(error["input"], dict | list) else " (in quotes)"
    return f"{where}: got {got}: {error['msg'].removeprefix('Value error, ')}{quotes}"


def _clashes(found: Fixtures, cluster_key: str | None) -> Iterator[tuple[Place, str]]:
    """What each entry says well, and not together with the others."""
    yield from _space_errors(found)
    yield from _user_errors(found, cluster_key)
    spaces = sorted({DEFAULT_SPACE.name, *(space.name for space in found.spaces)})
    entries: list[tuple[str, int, str]] = [("feeds", index, feed.space) for index, feed in enumerate(found.feeds)]
    entries += [("packages", index, package.space) for index, package in enumerate(found.packages)]
    for kind, index, space in entries:
        if space.lower() not in found.places:
            shown = ", ".join(spaces[:20])
            yield (kind, index, "space"), f"space: got {space!r}, allowed: {shown}{did_you_mean(space, spaces)}"
    yield from _feed_errors(found)
    yield from _package_errors(found)


def _space_errors(found: Fixtures) -> Iterator[tuple[Place, str]]:
    seen = {DEFAULT_SPACE.name.lower(): "the default space"}
    for index, space in enumerate(found.spaces):
        if not space.its_slug:
            yield ("spaces", index), f"spaces.{index}: {space.name!r} makes no slug; give one"
        if re.fullmatch(r"spaces-\d+", space.name, re.IGNORECASE) or re.fullmatch(r"spaces-\d+", space.its_slug):
            yield (
                ("spaces", index),
                f"spaces.{index}: got {space.name!r}, allowed: a name and a slug that are no id of a space",
            )
        for name in dict.fromkeys((space.name.lower(), space.its_slug)):
            if name in seen:
                yield ("spaces", index), f"spaces.{index}: {name!r} is {seen[name]} already"
            seen.setdefault(name, f"spaces.{index}")


def _user_errors(found: Fixtures, cluster_key: str | None) -> Iterator[tuple[Place, str]]:
    names = {ADMINISTRATOR.username: "the administrator"}
    keys = {} if cluster_key is None else {cluster_key: "the cluster's (--api-key)"}
    for index, user in enumerate(found.users):
        name = user.username.lower()
        if name in names:
            yield ("users", index, "username"), f"users.{index}.username: {user.username!r} is {names[name]} already"
        names.setdefault(name, f"users.{index}")
        if user.service and user.password is not None:
            yield ("users", index, "password"), f"users.{index}.password: a service account has none; give it api-keys"
        for number, key in enumerate(user.api_keys):
            if key in keys:
                yield ("users", index, "api-keys", number), f"users.{index}.api-keys: {key!r} is {keys[key]} already"
            keys.setdefault(key, f"users.{index}'s")


def _feed_errors(found: Fixtures) -> Iterator[tuple[Place, str]]:
    seen: set[tuple[int | None, str]] = set()
    for index, feed in enumerate(found.feeds):
        key = found.places.get(feed.space.lower()), feed.name.lower()
        if key in seen:
            yield ("feeds", index, "name"), f"feeds.{index}.name: {feed.name!r} is in this space already"
        seen.add(key)


def _package_errors(found: Fixtures) -> Iterator[tuple[Place, str]]:
    seen: set[tuple[int | None, str, str]] = set()
    for index, package in enumerate(found.packages):
        try:
            read = parse_file_name(package.file_name)
        except FileNameError as exc:
            yield ("packages", index), f"packages.{index}: {exc}"
            continue
        if read != PackageName(package.id, package.version, package.extension):
            yield (
                ("packages", index),
                f"packages.{index}: a server reads {package.file_name!r} as package {read.package_id!r}, version {read.version!r}",
            )
        key = found.places.get(package.space.lower()), package.id.lower(), package.version.lower()
        if key in seen:
            yield ("packages", index), f"packages.{index}: {package.id} {package.version} is in this space already"
        seen.add(key)
        if package.extension.lower() in ZIPPED and package.size < ZIP_BYTES:
            yield (
                ("packages", index, "size"),
                f"packages.{index}.size: got {package.size}, allowed for {package.extension}: {ZIP_BYTES} bytes or more",
            )
    total = sum(package.size for package in found.packages)
    if total > TOTAL_BYTES_MAX:
        yield ("packages",), f"packages: got {format_size(total)} together, allowed: {format_size(TOTAL_BYTES_MAX)}"
