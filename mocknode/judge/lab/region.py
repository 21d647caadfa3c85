"""The standby: a second cluster behind the balancer. Its journals are read together with the primary's, as if both were one.

Both clusters may use the same node names, as two `mocknode up` do; the recording then gives the standby's nodes other names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mocknode.mock.cluster.client import ControlClient, JournalPage

PREFIX: Final = "standby-"
"""Put before the name of a standby node when a primary node has the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BothJournals:
    """The journals of two clusters.

    Attributes:
        names: Name of each standby node in the recording, by its own name.
        shift_ns: Added to the standby's times, to convert from its clock to the primary's.
    """

    primary: ControlClient
    standby: ControlClient
    names: Mapping[str, str]
    shift_ns: int = 0

    async def journal(
        self, cursor: str | None = None, *, kind: str | None = None, wait_for: int | None = None,
        timeout_s: float | None = None,
    ) -> JournalPage:  # fmt: skip
        """Return the records of both after `cursor`. `wait_for` applies to the primary's journal only."""
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
        api_key: Key of this cluster. A real standby has a copy of the primary's database, but a second mock has its own.
        nodes: Its nodes by their names in the recording; the n-th stands in for the n-th primary node.
        thumbprints: Certificate thumbprint of each of them; empty where nothing polls.
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
        """Return a standby whose node names differ from all primary node names."""
        names = {name: PREFIX + name if name in primary_nodes else name for name in standby_nodes}
        journals = BothJournals(primary=primary, standby=standby, names=names, shift_ns=shift_ns)
        return cls(control=standby, api_key=api_key, nodes=tuple(names.values()), journals=journals)
