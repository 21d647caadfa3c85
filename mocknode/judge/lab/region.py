"""A standby: the second cluster behind the balancer, its journals read beside the primary's as if both were one.

Both clusters may call their nodes alike, as two `mocknode up` do; in the record the standby's then have a name of their own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mocknode.mock.cluster.client import ControlClient, JournalPage

PREFIX: Final = "standby-"
"""Before the name of a standby's node that a primary node has as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BothJournals:
    """The journals of two clusters.

    Attributes:
        names: A standby's own node name to the one in the record.
        shift_ns: Added to the standby's times, to map its clock onto the primary's.
    """

    primary: ControlClient
    standby: ControlClient
    names: Mapping[str, str]
    shift_ns: int = 0

    async def journal(
        self, cursor: str | None = None, *, kind: str | None = None, wait_for: int | None = None,
        timeout_s: float | None = None,
    ) -> JournalPage:  # fmt: skip
        """Records of both after `cursor`; whoever waits, waits for the primary's."""
        ours, theirs = (None, None) if cursor is None else json.loads(cursor)
        first = await self.primary.journal(ours, kind=kind, wait_for=wait_for, timeout_s=timeout_s)
        second = await self.standby.journal(theirs, kind=kind)
        return JournalPage(
            records=[*first.records, *(self._renamed(record) for record in second.records)],
            cursor=json.dumps([first.cursor, second.cursor]),
            monotonic_ns=first.monotonic_ns,
            more=first.more or second.more,
        )

    def _renamed(self, record: Mapping[str, Any]) -> dict[str, Any]:
        times = {name: at + self.shift_ns for name, at in record.items() if name.endswith("_ns") and at is not None}
        return {**record, **times, "node": self.names[record["node"]]}


@dataclass(slots=True, kw_only=True)
class Standby:
    """The cluster that takes over.

    Attributes:
        api_key: Of its cluster: a real standby has a copy of the primary's database, a second mock its own.
        nodes: Its nodes by their names in the record, in order: the n-th stands in for the primary's n-th.
        thumbprints: By which Tentacles know each of them; empty where nothing polls.
    """

    control: ControlClient
    api_key: str
    nodes: tuple[str, ...]
    journals: BothJournals
    thumbprints: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, primary: ControlClient, standby: ControlClient, primary_nodes: Sequence[str], standby_nodes: Sequence[str],
        api_key: str, shift_ns: int = 0,
    ) -> "Standby":  # fmt: skip
        """With names that no primary node has."""
        names = {name: PREFIX + name if name in primary_nodes else name for name in standby_nodes}
        journals = BothJournals(primary=primary, standby=standby, names=names, shift_ns=shift_ns)
        return cls(control=standby, api_key=api_key, nodes=tuple(names.values()), journals=journals)
