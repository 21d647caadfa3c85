"""Spaces, users with their API keys, feeds, and settings of the cluster, shared by all nodes.

They are tables of the shared store and follow its rule: every call is one short blocking transaction. A new store gets the data of
a fresh server: the default space, its built-in feed and an administrator.
"""

import hashlib
import hmac
import secrets
import string
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from mocknode.mock.data.store import Store, draw, twin

ADMINISTER: Final = "AdministerSystem"
PUSH: Final = "BuiltInFeedPush"
MANAGE_PACKAGES: Final = "BuiltInFeedAdminister"
DOWNLOAD: Final = "BuiltInFeedDownload"
PERMISSIONS: Final = (ADMINISTER, PUSH, MANAGE_PACKAGES, DOWNLOAD)
"""Permissions beyond reading; the first includes the others."""

# Enough to make guessing pointless in a test cluster, little enough that a login takes milliseconds.
_SCRYPT: Final = {"n": 2**12, "r": 8, "p": 1}
_SALT_BYTES: Final = 16
_TOKEN_SECRET: Final = "token-secret"

_metadata = sa.MetaData()
_spaces = sa.Table(
    "spaces", _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("slug", sa.String(200), nullable=False),
    sa.Column("description", sa.String(2000), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("task_queue_stopped", sa.Boolean, nullable=False),
)  # fmt: skip
_users = sa.Table(
    "users", _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("username", sa.String(200), nullable=False),
    sa.Column("display_name", sa.String(200), nullable=False),
    sa.Column("email", sa.String(256), nullable=False),
    sa.Column("password", sa.String(200)),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("is_service", sa.Boolean, nullable=False),
    sa.Column("permissions", sa.JSON, nullable=False),
    sa.Column("audience", sa.String(64)),
    sa.Column("issuer", sa.String(500)),
    sa.Column("subject", sa.String(500)),
)  # fmt: skip
_keys = sa.Table(
    "api_keys", _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("purpose", sa.String(2000), nullable=False),
    sa.Column("hint", sa.String(16), nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float),
)  # fmt: skip
_feeds = sa.Table(
    "feeds", _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("space", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("feed_type", sa.String(40), nullable=False),
)  # fmt: skip
_settings = sa.Table(
    "settings", _metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(4000), nullable=False),
)  # fmt: skip
COPIED: Final = tuple(
    (table, twin(table), _settings.c.name != _TOKEN_SECRET if table is _settings else sa.true())
    for table in (_spaces, _users, _keys, _feeds, _settings)
)
"""Tables with data: each with its twin for snapshots and the rows that count as data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A space; ids are `Spaces-` and a number."""

    id: str
    name: str
    slug: str
    description: str = ""
    is_default: bool = False
    task_queue_stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user or service account.

    Attributes:
        password: Result of `hash_password`; None forbids signing in by password, except for the administrator, whose password
            is the cluster's API key.
        permissions: Some of `PERMISSIONS`.
        audience, issuer, subject: Claims of the OIDC tokens that a service account may exchange; None allows none.
    """

    id: str
    username: str
    display_name: str = ""
    email: str = ""
    password: str | None = field(default=None, repr=False)
    is_active: bool = True
    is_service: bool = False
    permissions: tuple[str, ...] = ()
    audience: str | None = None
    issuer: str | None = None
    subject: str | None = None

    def may(self, permission: str) -> bool:
        """Tell whether the user has a permission."""
        return ADMINISTER in self.permissions or permission in self.permissions


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key without its secret; times are seconds since the epoch."""

    id: str
    user_id: str
    purpose: str
    hint: str
    created: float
    expires: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed of a space."""

    id: str
    space: str
    name: str
    feed_type: str


DEFAULT_SPACE: Final = Space(id="Spaces-1", name="Default", slug="default", is_default=True)
ADMINISTRATOR: Final = User(
    id="Users-1", username="admin", display_name="Administrator", email="admin@octopus.test", permissions=(ADMINISTER,)
)
BUILT_IN: Final = "BuiltIn"
BUILT_IN_FEED: Final = Feed(id="feeds-builtin", space="Spaces-1", name="Octopus Server (built-in)", feed_type=BUILT_IN)

_FRESH: Final = ((_spaces, DEFAULT_SPACE), (_users, ADMINISTRATOR), (_feeds, BUILT_IN_FEED))
_FIRST: Final = {"Spaces": 2, "Users": 2, "Feeds": 1001, "apikeys": 1}
"""First id number of each kind on a fresh server; feeds begin as in the vendor's examples."""

_Row = TypeVar("_Row", Space, User, ApiKey, Feed)


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Return a password as the store holds it."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    return f"{salt.hex()}:{hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT).hex()}"


def same_password(password: str, kept: str) -> bool:
    """Tell whether a password matches its stored hash."""
    return hmac.compare_digest(hash_password(password, bytes.fromhex(kept.partition(":")[0])), kept)


def next_id(connection: sa.Connection, kind: str) -> str:
    """Return the next id of a kind (`Spaces`, `Users`, `Feeds` or `apikeys`) as Octopus writes it."""
    return f"{kind}-{draw(connection, kind, first=_FIRST[kind])}"


def begin_afresh(connection: sa.Connection) -> None:
    """Insert the data of a fresh server into empty tables."""
    for table, row in _FRESH:
        connection.execute(sa.insert(table).values(**asdict(row)))


def put(connection: sa.Connection, row: Space | User | Feed) -> None:
    """Add a row, or replace the one with the same id."""
    table = {Space: _spaces, User: _users, Feed: _feeds}[type(row)]
    values = asdict(row)
    same = sa.and_(*(column == values[column.name] for column in table.primary_key))
    connection.execute(sa.delete(table).where(same))
    connection.execute(sa.insert(table).values(**values))


def insert_key(
    connection: sa.Connection, user_id: str, secret: str, *, purpose: str, now_s: float, expires: float | None = None
) -> ApiKey:
    """Give a user a key, of which only the digest is stored; return it."""
    id_ = next_id(connection, "apikeys")
    key = ApiKey(id=id_, user_id=user_id, purpose=purpose, hint=secret[:7], created=now_s, expires=expires)
    connection.execute(sa.insert(_keys).values(**asdict(key), digest=_digest(secret)))
    return key


def make_api_key() -> str:
    """Return a new API key in Octopus' form."""
    return "API-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(25))


class Directory:
    """Spaces, users, keys, feeds and settings in a store.

    Attributes:
        token_secret: Secret that signs the tokens of this cluster.

    Raises:
        StoreError: the store cannot be used, here and in every method.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        store.prepare(_metadata)
        if not self.spaces():
            for table, row in _FRESH:
                self._insert_missing(table, asdict(row))
        self._insert_missing(_settings, {"name": _TOKEN_SECRET, "value": secrets.token_hex(32)})
        self.token_secret = bytes.fromhex(self.setting(_TOKEN_SECRET) or "")

    def spaces(self) -> list[Space]:
        """Return every space, sorted by name."""
        return self._rows(Space, sa.select(_spaces).order_by(_spaces.c.name))

    def users(self) -> list[User]:
        """Return every user, sorted by name."""
        return self._rows(User, sa.select(_users).order_by(_users.c.username))

    def user(self, id_: str) -> User | None:
        """Return the user with this id, or None."""
        return _first(self._rows(User, sa.select(_users).where(_users.c.id == id_)))

    def feeds(self, space: str) -> list[Feed]:
        """Return the feeds of a space, sorted by name."""
        return self._rows(Feed, sa.select(_feeds).where(_feeds.c.space == space).order_by(_feeds.c.name))

    def built_in_feeds(self) -> list[Feed]:
        """Return the built-in feed of each space."""
        return self._rows(Feed, sa.select(_feeds).where(_feeds.c.feed_type == BUILT_IN))

    def put(self, *rows: Space | User | Feed) -> None:
        """Add rows, or replace those with the same id."""
        with self.store.transaction() as connection:
            for row in rows:
                put(connection, row)

    def add_key(self, user_id: str, secret: str, *, purpose: str, now_s: float, expires: float | None = None) -> ApiKey:
        """Give a user a key, of which only the digest is stored; return it."""
        with self.store.transaction() as connection:
            return insert_key(connection, user_id, secret, purpose=purpose, now_s=now_s, expires=expires)

    def keys(self, user_id: str) -> list[ApiKey]:
        """Return the keys of a user, newest first."""
        return self._rows(ApiKey, sa.select(_keys).where(_keys.c.user_id == user_id).order_by(_keys.c.created.desc()))

    def delete_key(self, user_id: str, id_: str) -> bool:
        """Revoke a key; return False if the user has no such key."""
        statement = sa.delete(_keys).where((_keys.c.user_id == user_id) & (_keys.c.id == id_))
        with self.store.transaction() as connection:
            return connection.execute(statement).rowcount > 0

    def user_of_key(self, secret: str, now_s: float) -> User | None:
        """Return the owner of a key, or None if it is unknown or has expired."""
        valid = (_keys.c.digest == _digest(secret)) & (_keys.c.expires.is_(None) | (_keys.c.expires > now_s))
        query = sa.select(_users).join(_keys, _keys.c.user_id == _users.c.id).where(valid)
        return _first(self._rows(User, query))

    def setting(self, name: str) -> str | None:
        """Return the value of a setting, or None."""
        with self.store.transaction() as connection:
            value: str | None = connection.execute(
                sa.select(_settings.c.value).where(_settings.c.name == name)
            ).scalar_one_or_none()
        return value

    def set_setting(self, name: str, value: str) -> None:
        """Change or add a setting."""
        with self.store.transaction() as connection:
            connection.execute(sa.delete(_settings).where(_settings.c.name == name))
            connection.execute(sa.insert(_settings).values(name=name, value=value))

    def _insert_missing(self, table: sa.Table, values: dict[str, Any]) -> None:
        with self.store.transaction() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(table).values(**values))
            except sa_exc.IntegrityError:
                return  # Another node was first.

    def _rows(self, kind: type[_Row], query: sa.Select[Any]) -> list[_Row]:
        make: Any = kind
        names = {item.name for item in fields(kind)}
        with self.store.transaction() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [
            make(**{k: tuple(v) if k == "permissions" else v for k, v in row.items() if k in names}) for row in rows
        ]


def _first(rows: Iterable[_Row]) -> _Row | None:
    return next(iter(rows), None)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
