"""The control API's commands for all data of the cluster: fixtures, snapshots, resets.

After the data were replaced, every node receives a command to drop what it cached.
"""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import sqlalchemy as sa

from mocknode.mock.cluster.controller import Controller
from mocknode.mock.cluster.fixture_content import write_content
from mocknode.mock.cluster.lazy_view import LazyView
from mocknode.mock.data import directory
from mocknode.mock.data.directory import BUILT_IN, BUILT_IN_FEED, DEFAULT_SPACE, Feed, Space, User
from mocknode.mock.data.snapshots import (
    FIXTURES,
    SNAPSHOTS_MAX,
    Change,
    Snapshot,
    Snapshots,
    TooManySnapshotsError,
    UnknownSnapshotError,
)
from mocknode.mock.data.store import Package, Store, insert_packages, timestamp
from mocknode.mock.node.packages.kept import whole_path
from mocknode.mock.node.refusals import RefusedError

if TYPE_CHECKING:
    from mocknode.mock.cluster.fixtures import Fixtures, UserFixture

Keep = Literal["data", "fixtures", "nothing"]
"""The data after a reset: unchanged, as in the fixtures file, or as on a fresh server."""
KEEP: Final[tuple[Keep, ...]] = ("data", "fixtures", "nothing")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME_FORM: Final = "1 to 63 letters, digits, '.', '_' and '-', the first a letter or digit"
_LOADED_S: Final = 1767225600.0
"""2026-01-01, the creation time of all fixtures: older than every push and the same on every machine."""
_LOADED_BY: Final = "fixtures"

_Result = TypeVar("_Result")


class UnknownSnapshotNameError(RefusedError):
    """No snapshot has that name."""


class DataCommands:
    """Takes snapshots of the data and replaces the data.

    Raises:
        StoreError: in every method, when the store cannot be used; nothing was changed.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._snapshots = LazyView(lambda: Snapshots(Store(controller.shared.store)))

    async def all(self) -> list[dict[str, Any]]:
        """Return every snapshot, sorted by name."""
        return [asdict(snapshot) for snapshot in await self._with(lambda snapshots: snapshots.all())]

    async def take(self, name: str) -> dict[str, Any]:
        """Save the data as a snapshot and return it; a snapshot with that name is replaced.

        Raises:
            RefusedError: the name is not allowed, or there are too many snapshots.
        """
        if not _NAME.fullmatch(name):
            raise RefusedError(f"snapshot: got {name!r}, allowed: {_NAME_FORM}", got=name, allowed=[_NAME_FORM])
        self._not_fixtures(name)
        now_s = time.time()
        try:
            change = await self._with(lambda snapshots: snapshots.take(name, now_s))
        except TooManySnapshotsError as exc:
            raise RefusedError(
                f"snapshot: got one more, allowed: {SNAPSHOTS_MAX}; delete one that is not needed", got=name
            ) from exc
        # It may have been deleted meanwhile, so this is what the transaction saw.
        return asdict(Snapshot(name=name, taken=now_s, packages=change.packages))

    async def restore(self, name: str) -> None:
        """Replace the data with those of a snapshot; on return every reachable node uses them.

        Raises:
            UnknownSnapshotNameError: no snapshot has that name.
        """
        await self._send((await self._known(name, lambda snapshots: snapshots.restore(name))).restores)

    async def forget(self, name: str) -> None:
        """Delete a snapshot.

        Raises:
            UnknownSnapshotNameError: no snapshot has that name.
            RefusedError: the snapshot holds what `--fixtures` loaded.
        """
        self._not_fixtures(name)
        await self._known(name, lambda snapshots: snapshots.forget(name))

    async def require(self, keep: Keep) -> None:
        """Make sure that a reset can leave these data.

        Raises:
            RefusedError: the cluster has no fixtures.
        """
        if keep == "fixtures" and FIXTURES not in {snapshot["name"] for snapshot in await self.all()}:
            raise RefusedError(
                "keep: got 'fixtures', allowed: data, nothing; this cluster was started without --fixtures",
                got=keep,
                allowed=["data", "nothing"],
            )

    async def reset(self, keep: Keep) -> None:
        """Replace the data as a reset asks for.

        Raises:
            UnknownSnapshotNameError: the cluster has no fixtures.
        """
        if keep == "fixtures":
            await self.restore(FIXTURES)
        elif keep == "nothing":
            await self._send((await self._with(lambda snapshots: snapshots.clear())).restores)

    async def _send(self, restores: int) -> None:
        await self._controller.send_to_all({"do": "data-changed", "restores": restores})

    def _not_fixtures(self, name: str) -> None:
        if name == FIXTURES:
            raise RefusedError(
                f"snapshot: got {name!r}, which is what --fixtures loaded; allowed: another name", got=name
            )

    async def _known(self, name: str, action: Callable[[Snapshots], Change]) -> Change:
        try:
            return await self._with(action)
        except UnknownSnapshotError as exc:
            shown = ", ".join(exc.names) or "there is none"
            raise UnknownSnapshotNameError(
                f"snapshot: got {name!r}, allowed: {shown}", got=name, allowed=exc.names
            ) from exc

    async def _with(self, action: Callable[[Snapshots], _Result]) -> _Result:
        def act(snapshots: Snapshots) -> _Result:
            result = action(snapshots)
            if isinstance(result, Change):
                _delete(self._controller.shared.run_dir, result)
            return result

        return await self._snapshots.use(act)


def load_fixtures(
    store_url: str, run_dir: Path, fixtures: "Fixtures", *, keep_packages: bool, stop: threading.Event
) -> None:
    """Replace everything in a store with the content of a fixtures file; call it before any node uses the store.

    Args:
        stop: Once set, loading ends without a change.

    Raises:
        StoreError, OSError: the store is unchanged, and no file is left behind.
    """
    store = Store(store_url)
    written: list[Path] = []
    try:
        snapshots = Snapshots(store)
        content = list(_contents(fixtures, run_dir if keep_packages else None, written, stop))
        change = snapshots.begin_with(FIXTURES, lambda connection: _fill(connection, fixtures, content), time.time())
        written.clear()
        _delete(run_dir, change)
    finally:
        for path in written:
            path.unlink(missing_ok=True)
        store.close()


def _contents(
    fixtures: "Fixtures", run_dir: Path | None, written: list[Path], stop: threading.Event
) -> Iterator[tuple[str, str | None]]:
    """Write each package and yield its digest and file; `run_dir` is None when no bytes are kept."""
    load = secrets.token_hex(8)
    for number, package in enumerate(fixtures.packages):
        if stop.is_set():
            raise InterruptedError("the cluster was stopped while packages were written")
        kept_as = None if run_dir is None else f"fixtures/{load}-{number}"
        path = None if run_dir is None or kept_as is None else whole_path(run_dir, kept_as)
        sha1 = write_content(path, extension=package.extension, size=package.size, seed=package.seed)
        written += [] if path is None else [path]
        yield sha1, kept_as


def _fill(connection: sa.Connection, fixtures: "Fixtures", content: Sequence[tuple[str, str | None]]) -> None:
    """Add everything in the order of the file, so that ids are the same each time."""
    spaces = {-1: DEFAULT_SPACE.id}
    for index, space in enumerate(fixtures.spaces):
        id_ = spaces[index] = directory.next_id(connection, "Spaces")
        directory.put(connection, Space(id=id_, name=space.name, slug=space.its_slug, description=space.description))
        _add_feed(connection, id_, BUILT_IN_FEED.name, BUILT_IN)
    for feed in fixtures.feeds:
        _add_feed(connection, spaces[fixtures.places[feed.space.lower()]], feed.name, feed.type)
    for user in fixtures.users:
        _add_user(connection, user)
    insert_packages(
        connection,
        [
            Package(
                space=spaces[fixtures.places[package.space.lower()]], package_id=package.id, version=package.version,
                extension=package.extension, file_name=package.file_name, size=package.size, sha1=sha1,
                published=timestamp(_LOADED_S + number / 1000), node=_LOADED_BY, kept_as=kept_as,
            )
            for number, (package, (sha1, kept_as)) in enumerate(zip(fixtures.packages, content, strict=True))
        ],
    )  # fmt: skip


def _add_feed(connection: sa.Connection, space: str, name: str, feed_type: str) -> None:
    id_ = directory.next_id(connection, "Feeds")
    directory.put(connection, Feed(id=id_, space=space, name=name, feed_type=feed_type))


def _add_user(connection: sa.Connection, user: "UserFixture") -> None:
    id_ = directory.next_id(connection, "Users")
    password = None if user.password is None else directory.hash_password(user.password)
    row = User(
        id=id_, username=user.username, display_name=user.display_name or user.username, email=user.email,
        password=password, is_service=user.service, permissions=tuple(user.permissions),
    )  # fmt: skip
    directory.put(connection, row)
    for key in user.api_keys:
        directory.insert_key(connection, id_, key, purpose=_LOADED_BY, now_s=_LOADED_S)


def _delete(run_dir: Path, change: Change) -> None:
    """Delete files that no row names; file names are never reused, so nobody can need one meanwhile."""
    for kept_as in change.unneeded:
        whole_path(run_dir, kept_as).unlink(missing_ok=True)
