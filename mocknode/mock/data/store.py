"""The shared store: the package catalogue, the node table with its heartbeats, and the id counters.

It uses SQLAlchemy Core with portable statements; SQLite (WAL, busy timeout) in the run directory by default. Every call is one
short blocking transaction, so call it from a worker thread. `locked()` keeps this process out of any transaction, so that the
process can be stopped without blocking the others with "database is locked".
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

# Longer than the worst commit measured with three nodes writing at once (0.5 s), shorter than a client's patience.
BUSY_TIMEOUT_S: Final = 10.0

_metadata = sa.MetaData()
_packages = sa.Table(
    "packages",
    _metadata,
    sa.Column("space", sa.String(64), primary_key=True),
    # Ids and versions are compared without case, as in Octopus, and shown as they were uploaded.
    sa.Column("key", sa.String(400), primary_key=True),
    sa.Column("package_id", sa.String(200), nullable=False),
    sa.Column("version", sa.String(200), nullable=False),
    sa.Column("extension", sa.String(16), nullable=False),
    sa.Column("file_name", sa.String(400), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha1", sa.String(40), nullable=False),
    sa.Column("published", sa.String(40), nullable=False),
    sa.Column("node", sa.String(64), nullable=False),
    sa.Column("kept_as", sa.String(600)),
)
_counters = sa.Table(
    "counters",
    _metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
)
_nodes = sa.Table(
    "nodes",
    _metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sa.Column("draining", sa.Boolean, nullable=False),
    sa.Column("offline", sa.Boolean, nullable=False),
    sa.Column("max_concurrent_tasks", sa.Integer, nullable=False),
)

# Built once, as every upload runs it.
_LAST: Final = sa.select(_counters.c.last).where(_counters.c.name == sa.bindparam("wanted"))
RESTORES: Final = "restores"
"""Name of the counter of restores, which counts how often all data were replaced; the only counter that is never reset."""


def twin(table: sa.Table) -> sa.Table:
    """Return the table that holds the rows of this one for every snapshot, by the snapshot's name."""
    copied = [sa.Column(c.name, c.type, primary_key=c.primary_key, nullable=c.nullable) for c in table.columns]
    # Last in the key, so that a row is found in all snapshots by its own key.
    name = sa.Column("snapshot", sa.String(64), primary_key=True)
    return sa.Table(f"snapshot_{table.name}", table.metadata, *copied, name)


_packages_in_snapshots = twin(_packages)
_counters_in_snapshots = twin(_counters)
COPIED: Final = (
    (_packages, _packages_in_snapshots, sa.true()),
    (_counters, _counters_in_snapshots, _counters.c.name != RESTORES),
)
"""Tables with data: each with its twin and the rows that count as data."""

Existing = Literal["fail", "replace", "keep"]
Stored = Literal["created", "replaced", "kept", "exists"]
Added = tuple[Stored, "Package", "Package | None"]
Engine = sa.Engine


class StoreError(RuntimeError):
    """The shared store cannot be reached or used; the message names its URL and the reason."""


class RestoredError(Exception):
    """All data were replaced meanwhile, so an upload that began before was not stored.

    Attributes:
        restores: Number of restores by now.
    """

    def __init__(self, restores: int) -> None:
        super().__init__("the cluster's data were reset or restored during this upload; nothing of it was stored")
        self.restores = restores


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of the built-in feed.

    Attributes:
        extension: With its dot, `.tar.gz` for two parts.
        size: Bytes of the file.
        sha1: 40 lower-case hex digits.
        published: ISO 8601 with milliseconds and offset.
        node: Name of the node that received it.
        kept_as: Path of the file if the bytes are kept; otherwise None.
    """

    space: str
    package_id: str
    version: str
    extension: str
    file_name: str
    size: int
    sha1: str
    published: str
    node: str
    kept_as: str | None = None

    @property
    def key(self) -> str:
        """Key that is unique in the space."""
        return package_key(self.package_id, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node as the others see it; `last_seen` is seconds since the epoch."""

    name: str
    version: str
    last_seen: float
    draining: bool = False
    offline: bool = False
    max_concurrent_tasks: int = 5


def package_key(package_id: str, version: str) -> str:
    """Return `id.version` in lower case."""
    return f"{package_id}.{version}".lower()


def timestamp(seconds: float) -> str:
    """Return a time, given in seconds since the epoch, as Octopus writes it: ISO 8601 with milliseconds and offset."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Store:
    """The shared store, as one process uses it.

    Args:
        url: SQLAlchemy URL, such as `sqlite:////run/store.db`.

    Raises:
        StoreError: the store cannot be reached. Missing tables are created.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        try:
            self._engine = _open(url)
            with self._transaction() as connection:
                _create_missing(connection, _metadata)
        except (sa_exc.SQLAlchemyError, ImportError, ValueError) as error:
            raise StoreError(f"store {_shown(url)} cannot be reached: {_reason(error)}") from error

    def prepare(self, metadata: sa.MetaData) -> None:
        """Create the tables that are missing.

        Raises:
            StoreError: the store cannot be reached.
        """
        with self.transaction() as connection:
            _create_missing(connection, metadata)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Run one transaction, for modules with tables of their own.

        Raises:
            StoreError: nothing was changed.
        """
        with self._translated(), self._transaction() as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._lock, self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep this process out of transactions while the block runs."""
        with self._lock:
            yield

    def add_package(self, package: Package, existing: Existing) -> Added:
        """Store one package; see `add_packages`."""
        return self.add_packages([(package, existing)])[0]

    def add_packages(self, wanted: Sequence[tuple[Package, Existing]], restores: int | None = None) -> list[Added]:
        """Store packages in this order in one transaction, as a commit costs as much as many rows.

        Args:
            wanted: Packages, each with what to do when the space already has that id and version.
            restores: Value of `restores` when the packages began to arrive; None stores them in any case.

        Returns:
            For each package what happened, the package that the catalogue now holds, and the one that it replaced, if any.

        Raises:
            StoreError, RestoredError: nothing was stored.
        """
        # Every node uses this order, so that two nodes with the same packages cannot deadlock.
        order = sorted(range(len(wanted)), key=lambda index: wanted[index][0].key)
        with self._translated(), self._transaction() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(_packages), [_values(wanted[index][0]) for index in order])
                    _require(connection, restores)
            except sa_exc.IntegrityError:
                added = {index: _add(connection, *wanted[index]) for index in order}
                _require(connection, restores)
                return [added[index] for index in range(len(wanted))]
        return [("created", package, None) for package, _ in wanted]

    def packages(self, space: str, package_id: str | None = None) -> list[Package]:
        """Return all packages of a space, or all versions of one id, newest first."""
        query = sa.select(_packages).where(_packages.c.space == space).order_by(_packages.c.published.desc())
        if package_id is not None:
            query = query.where(_packages.c.key.startswith(f"{package_id.lower()}.", autoescape=True))
        with self._translated(), self._transaction() as connection:
            found = [_package(row) for row in connection.execute(query).mappings()]
        # The prefix `a.b.` also matches versions of a package `a.b.c`.
        return [p for p in found if package_id is None or p.package_id.lower() == package_id.lower()]

    def package(self, space: str, key: str) -> Package | None:
        """Return the package with this key, or None."""
        query = sa.select(_packages).where((_packages.c.space == space) & (_packages.c.key == key.lower()))
        with self._translated(), self._transaction() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _package(row)

    def delete_package(self, space: str, key: str) -> bool:
        """Delete a package; return False if there was none."""
        statement = sa.delete(_packages).where((_packages.c.space == space) & (_packages.c.key == key.lower()))
        with self._translated(), self._transaction() as connection:
            return connection.execute(statement).rowcount > 0

    def restores(self) -> int:
        """Return how often all data were replaced."""
        with self._translated(), self._transaction() as connection:
            return _last(connection, RESTORES)

    def needs_file(self, package: Package) -> bool:
        """Tell whether the catalogue or a snapshot has this package with this file."""
        with self._translated(), self._transaction() as connection:
            return any(
                package.kept_as in connection.execute(sa.select(t.c.kept_as).where(_is(t, package))).scalars()
                for t in (_packages, _packages_in_snapshots)
            )

    def heartbeat(self, row: NodeRow) -> None:
        """Write a node's row; a task cap that was set before is kept."""
        values: dict[str, Any] = asdict(row)
        with self._translated(), self._transaction() as connection:
            changed = {k: v for k, v in values.items() if k not in ("name", "max_concurrent_tasks")}
            result = connection.execute(sa.update(_nodes).where(_nodes.c.name == row.name).values(**changed))
            if result.rowcount == 0:
                connection.execute(sa.insert(_nodes).values(**values))

    def set_task_cap(self, name: str, cap: int) -> None:
        """Change `MaxConcurrentTasks` of a node."""
        statement = sa.update(_nodes).where(_nodes.c.name == name).values(max_concurrent_tasks=cap)
        with self._translated(), self._transaction() as connection:
            connection.execute(statement)

    def nodes(self) -> Sequence[NodeRow]:
        """Return every node that ever sent a heartbeat, sorted by name."""
        with self._translated(), self._transaction() as connection:
            rows = connection.execute(sa.select(_nodes).order_by(_nodes.c.name)).mappings()
            return [NodeRow(**row) for row in rows]

    def delete_node(self, name: str) -> bool:
        """Delete a node's row; a running node adds it again with its next heartbeat."""
        with self._translated(), self._transaction() as connection:
            return connection.execute(sa.delete(_nodes).where(_nodes.c.name == name)).rowcount > 0

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa_exc.SQLAlchemyError as error:
            raise StoreError(f"store {_shown(self._url)}: {_reason(error)}") from error

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


def draw(connection: sa.Connection, name: str, count: int = 1, *, first: Any = 1) -> int:
    """Take the next `count` numbers of a counter in the caller's transaction and return the first; no two nodes get the same.

    Args:
        first: First number of a new counter; a number or a scalar query.
    """
    counter = _counters.c.name == name
    step = sa.update(_counters).where(counter).values(last=_counters.c.last + count)
    if connection.execute(step).rowcount == 0:
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(_counters).values(name=name, last=first))
                connection.execute(sa.update(_counters).where(counter).values(last=_counters.c.last + count - 1))
        except sa_exc.IntegrityError:
            connection.execute(step)  # Another node was first.
    return _last(connection, name) - count + 1


def insert_packages(connection: sa.Connection, packages: Sequence[Package]) -> None:
    """Add packages that the catalogue does not have, in the caller's transaction."""
    if packages:
        connection.execute(sa.insert(_packages), [_values(package) for package in packages])


def next_after(column: sa.Column[Any]) -> Any:
    """Return a query for the highest number plus one: the start of a counter whose table may already have rows."""
    return sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()


def kept_files(connection: sa.Connection) -> set[str]:
    """Return the files that the catalogue and all snapshots name."""
    return {
        name
        for table in (_packages, _packages_in_snapshots)
        for name in connection.execute(sa.select(table.c.kept_as).where(table.c.kept_as.is_not(None))).scalars()
    }


def _last(connection: sa.Connection, name: str) -> int:
    value = connection.execute(_LAST, {"wanted": name}).scalar_one_or_none()
    return int(value or 0)


def _require(connection: sa.Connection, restores: int | None) -> None:
    """Raise if data were replaced; called after the first change of a transaction, so that nobody can restore before its commit."""
    if restores is not None and (now := _last(connection, RESTORES)) != restores:
        raise RestoredError(now)


def _create_missing(connection: sa.Connection, metadata: sa.MetaData) -> None:
    for table in metadata.sorted_tables:
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))


def _values(package: Package) -> dict[str, Any]:
    return {**asdict(package), "key": package.key}


def _add(connection: sa.Connection, package: Package, existing: Existing) -> Added:
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(_packages).values(**_values(package)))
    except sa_exc.IntegrityError:
        where = _is(_packages, package)
        held = _package(connection.execute(sa.select(_packages).where(where)).mappings().one())
        if existing == "replace":
            connection.execute(sa.update(_packages).where(where).values(**_values(package)))
            return "replaced", package, held
        return ("kept" if existing == "keep" else "exists"), held, None
    return "created", package, None


def _is(table: sa.Table, package: Package) -> sa.ColumnElement[bool]:
    return (table.c.space == package.space) & (table.c.key == package.key)


def _package(row: sa.RowMapping) -> Package:
    return Package(**{key: value for key, value in row.items() if key != "key"})


def _open(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)
    engine = sa.create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _tune(connection: Any, _record: Any) -> None:
        # Switching to WAL ignores the busy timeout, so ask first: all nodes but one find it switched already.
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            with contextlib.suppress(Exception):
                connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _shown(url: str) -> str:
    try:
        return sa.engine.make_url(url).render_as_string(hide_password=True)
    except sa_exc.ArgumentError:
        return repr(url)


def _reason(error: Exception) -> str:
    original = getattr(error, "orig", None)
    return str(original or error).strip().splitlines()[0]
