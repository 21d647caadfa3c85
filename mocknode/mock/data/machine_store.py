"""Registered Tentacles: machines in the shared store, whose thumbprints every node trusts.

They are a table of the shared store and follow its rule: every call is one short blocking transaction. A thumbprint is trusted as
long as some machine has it; as in the real server, it is not bound to that machine's subscription.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from mocknode.mock.data.store import Store, draw, next_after, twin

Style = Literal["TentacleActive", "TentaclePassive"]
POLLING: Final = "TentacleActive"
LISTENING: Final = "TentaclePassive"

_metadata = sa.MetaData()
_machines = sa.Table(
    "machines", _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("space", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    # Names are unique in a space regardless of case.
    sa.Column("name_key", sa.String(200), nullable=False),
    sa.Column("style", sa.String(20), nullable=False),
    sa.Column("uri", sa.String(400), nullable=False),
    sa.Column("thumbprint", sa.String(40), nullable=False, index=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.UniqueConstraint("space", "name_key"),
)  # fmt: skip
COPIED: Final = ((_machines, twin(_machines), sa.true()),)
"""The table with its twin for snapshots and the rows that count as data."""


class NameTakenError(Exception):
    """The space already has a machine with that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A registered Tentacle.

    Attributes:
        number: Number in its id, `Machines-7`; 0 until it is stored.
        style: The end that opens the connection: the Tentacle (`TentacleActive`) or the server.
        uri: The queue that it polls, `poll://abc/`, or the address where it listens, `https://host:10933/`.
        thumbprint: 40 upper-case hex digits.
        document: All other fields of its registration, as they were sent.
    """

    number: int = 0
    space: str = "Spaces-1"
    name: str
    style: Style
    uri: str
    thumbprint: str
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Id as the REST API shows it."""
        return f"Machines-{self.number}"


class Machines:
    """The machines in a store.

    Raises:
        StoreError: the store cannot be used, here and in every method.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        store.prepare(_metadata)

    def all(self, space: str | None = None) -> list[Machine]:
        """Return the machines of one space or of all spaces, sorted by number."""
        query = sa.select(_machines).order_by(_machines.c.number)
        return self._rows(query if space is None else query.where(_machines.c.space == space))

    def named(self, name: str, space: str = "Spaces-1") -> Machine | None:
        """Return the machine with that name, or None."""
        where = (_machines.c.space == space) & (_machines.c.name_key == name.lower())
        return next(iter(self._rows(sa.select(_machines).where(where))), None)

    def numbered(self, number: int, space: str) -> Machine | None:
        """Return the machine with that number if it is in the space, or None."""
        where = (_machines.c.space == space) & (_machines.c.number == number)
        return next(iter(self._rows(sa.select(_machines).where(where))), None)

    def add(self, machine: Machine) -> Machine:
        """Register a machine and return it as it is now stored.

        Raises:
            NameTakenError: nothing was changed.
        """
        with self._store.transaction() as connection:
            try:
                with connection.begin_nested():
                    number = draw(connection, "Machines", first=next_after(_machines.c.number))
                    connection.execute(sa.insert(_machines).values(number=number, **_values(machine)))
            except sa_exc.IntegrityError as exc:
                raise NameTakenError(machine.name) from exc
        return replace(machine, number=number)

    def change(self, machine: Machine) -> None:
        """Replace the machine with that number.

        Raises:
            NameTakenError: nothing was changed.
        """
        statement = sa.update(_machines).where(_machines.c.number == machine.number).values(**_values(machine))
        with self._store.transaction() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(statement)
            except sa_exc.IntegrityError as exc:
                raise NameTakenError(machine.name) from exc

    def remove(self, number: int) -> bool:
        """Delete a machine; return False if there is none."""
        with self._store.transaction() as connection:
            return connection.execute(sa.delete(_machines).where(_machines.c.number == number)).rowcount > 0

    def thumbprints(self) -> frozenset[str]:
        """Return every trusted thumbprint."""
        with self._store.transaction() as connection:
            return frozenset(connection.execute(sa.select(_machines.c.thumbprint)).scalars())

    def _rows(self, query: sa.Select[Any]) -> list[Machine]:
        with self._store.transaction() as connection:
            rows = list(connection.execute(query).mappings())
        return [
            Machine(
                number=row["number"], space=row["space"], name=row["name"], style=row["style"], uri=row["uri"],
                thumbprint=row["thumbprint"], document=json.loads(row["document"]),
            )
            for row in rows
        ]  # fmt: skip


def _values(machine: Machine) -> dict[str, Any]:
    return {
        "space": machine.space,
        "name": machine.name,
        "name_key": machine.name.lower(),
        "style": machine.style,
        "uri": machine.uri,
        "thumbprint": machine.thumbprint,
        "document": json.dumps(machine.document),
    }
