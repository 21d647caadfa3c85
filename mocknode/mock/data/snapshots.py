"""Snapshots of everything that a test changes: catalogue, directory, tasks, machines and id counters, saved under a name.

The nodes' own table is left out, as heartbeats describe processes, and so is the secret that signs tokens. A snapshot consists of
rows next to the originals, which the store copies in one transaction with portable statements. Files of packages are not copied:
each is written once, under a name that is never used again, and stays as long as the catalogue or a snapshot names it.

Restoring is safe while nodes work, as each of their changes is a transaction before it or after it. The data that a change was
based on may be gone, though. An upload therefore notes how often data had been replaced when it began, and is refused if that
number has changed (`Store.add_packages`).
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from mocknode.mock.data import directory, machine_store, store, tasks
from mocknode.mock.data.store import RESTORES, Store

FIXTURES: Final = "fixtures"
"""Name of the snapshot with the data that `mocknode up --fixtures` loaded."""
SNAPSHOTS_MAX: Final = 100
"""Enough for people, who have a handful; a loop that makes up names runs into it."""

_metadata = sa.MetaData()
_snapshots = sa.Table(
    "snapshots", _metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("taken", sa.Float, nullable=False),
)  # fmt: skip
_COPIED: Final = (*store.COPIED, *directory.COPIED, *tasks.COPIED, *machine_store.COPIED)
_PACKAGES, _PACKAGES_KEPT, _ = store.COPIED[0]


class UnknownSnapshotError(LookupError):
    """No snapshot has that name.

    Attributes:
        names: Names of all snapshots.
    """

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(name)
        self.names = names


class TooManySnapshotsError(Exception):
    """`SNAPSHOTS_MAX` snapshots exist already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot; `taken` is seconds since the epoch."""

    name: str
    taken: float
    packages: int


@dataclass(slots=True)
class Change:
    """The result of a change of snapshots or data.

    Attributes:
        unneeded: Files of packages that no row names any more.
        packages: Packages in the snapshot that was taken.
        restores: How often all data have been replaced by now.
    """

    unneeded: set[str] = field(default_factory=set)
    packages: int = 0
    restores: int = 0


class Snapshots:
    """The snapshots in a store, and changes to all of its data.

    Raises:
        StoreError: the store cannot be used, here and in every method; nothing was changed.
    """

    def __init__(self, shared: Store) -> None:
        self._store = shared
        # These create their tables and insert the data of a fresh server.
        directory.Directory(shared)
        tasks.Tasks(shared)
        machine_store.Machines(shared)
        shared.prepare(_metadata)

    def all(self) -> list[Snapshot]:
        """Return every snapshot, sorted by name."""
        count = (
            sa.select(sa.func.count()).where(_PACKAGES_KEPT.c.snapshot == _snapshots.c.name).scalar_subquery()
        )  # fmt: skip
        query = sa.select(_snapshots, count.label("packages")).order_by(_snapshots.c.name)
        with self._store.transaction() as connection:
            return [Snapshot(**row) for row in connection.execute(query).mappings()]

    def take(self, name: str, now_s: float) -> Change:
        """Save the data under a name; a snapshot with that name is replaced.

        Raises:
            TooManySnapshotsError: nothing was changed.
        """
        with self._changing() as (connection, change):
            take(connection, name, now_s)
            count = connection.execute(sa.select(sa.func.count()).select_from(_snapshots)).scalar_one()
            if count > SNAPSHOTS_MAX:
                raise TooManySnapshotsError
            packages = sa.select(sa.func.count()).where(_PACKAGES_KEPT.c.snapshot == name)
            change.packages = connection.execute(packages).scalar_one()
        return change

    def restore(self, name: str) -> Change:
        """Replace the data with those of a snapshot; tasks that ran then are queued again.

        Raises:
            UnknownSnapshotError: nothing was changed.
        """
        with self._changing() as (connection, change):
            self._require(connection, name)
            for table, kept, rows in _COPIED:
                names = [column.name for column in table.columns]
                saved = sa.select(*(kept.c[column] for column in names)).where(kept.c.snapshot == name)
                connection.execute(sa.delete(table).where(rows))
                connection.execute(sa.insert(table).from_select(names, saved))
            tasks.begin_again(connection)
            change.restores = store.draw(connection, RESTORES)
        return change

    def clear(self) -> Change:
        """Replace the data with those of a fresh server; snapshots stay."""
        with self._changing() as (connection, change):
            clear(connection)
            change.restores = store.draw(connection, RESTORES)
        return change

    def begin_with(self, name: str, fill: Callable[[sa.Connection], None], now_s: float) -> Change:
        """Replace the data with those of a fresh server and what `fill` adds, and save them under a name."""
        with self._changing() as (connection, change):
            clear(connection)
            fill(connection)
            take(connection, name, now_s)
            change.restores = store.draw(connection, RESTORES)
        return change

    def forget(self, name: str) -> Change:
        """Delete a snapshot.

        Raises:
            UnknownSnapshotError: nothing was changed.
        """
        with self._changing() as (connection, change):
            self._require(connection, name)
            _forget(connection, name)
        return change

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[sa.Connection, Change]]:
        change = Change()
        with self._store.transaction() as connection:
            _keep_others_out(connection)
            before = store.kept_files(connection)
            yield connection, change
            change.unneeded = before - store.kept_files(connection)

    def _require(self, connection: sa.Connection, name: str) -> None:
        names = tuple(connection.execute(sa.select(_snapshots.c.name).order_by(_snapshots.c.name)).scalars())
        if name not in names:
            raise UnknownSnapshotError(name, names)


def take(connection: sa.Connection, name: str, now_s: float) -> None:
    """Save the data under a name in the caller's transaction."""
    _forget(connection, name)
    connection.execute(sa.insert(_snapshots).values(name=name, taken=now_s))
    for table, kept, rows in _COPIED:
        names = [column.name for column in table.columns]
        found = sa.select(*table.columns, sa.literal(name)).where(rows)
        connection.execute(sa.insert(kept).from_select([*names, "snapshot"], found))


def clear(connection: sa.Connection) -> None:
    """Replace the data with those of a fresh server in the caller's transaction."""
    for table, _, rows in _COPIED:
        connection.execute(sa.delete(table).where(rows))
    directory.begin_afresh(connection)


def _forget(connection: sa.Connection, name: str) -> None:
    connection.execute(sa.delete(_snapshots).where(_snapshots.c.name == name))
    for _, kept, _ in _COPIED:
        connection.execute(sa.delete(kept).where(kept.c.snapshot == name))


def _keep_others_out(connection: sa.Connection) -> None:
    """Lock out all other changes until this transaction ends, so that all tables are copied as of one moment."""
    if connection.dialect.name == "postgresql":
        everything = ", ".join(table.name for copied in _COPIED for table in copied[:2])
        connection.execute(sa.text(f"LOCK TABLE {everything} IN EXCLUSIVE MODE"))
    else:
        # SQLite has one writer at a time, and this statement makes this connection the writer.
        connection.execute(sa.delete(_snapshots).where(sa.false()))
