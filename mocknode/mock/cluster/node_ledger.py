"""The nodes' side of the ledger: what reached them of each attempt, kept up to date from the journal files.

It does not hold what the client received; the judge joins both sides.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mocknode.mock.cluster.journal_files import Cursor, Record, read

_STEP_RECORDS: Final = 5000
"""Records that are read before other work in the event loop may run."""


@dataclass(slots=True)
class _Attempt:
    requests: int = 0
    deliveries: int = 0
    nodes: dict[str, None] = field(default_factory=dict)
    digests: dict[str, None] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    def document(self, name: str) -> dict[str, Any]:
        return {
            "attempt": name,
            "requests": self.requests,
            "deliveries": self.deliveries,
            "nodes": list(self.nodes),
            "digests": list(self.digests),
            "statuses": self.statuses,
        }


class NodeLedger:
    """One entry for each attempt that reached a node."""

    def __init__(self, run_dir: Path, nodes: list[str]) -> None:
        self._run_dir = run_dir
        self._nodes = nodes
        self._cursor = Cursor()
        self._attempts: dict[str, _Attempt] = {}
        self._open: dict[tuple[str, int, int], str] = {}
        self._delivered: set[tuple[str, int, int]] = set()
        self._dropped: dict[tuple[str, int], int] = {}
        self._reading = asyncio.Lock()

    @property
    def dropped(self) -> int:
        """Number of journal entries that nodes dropped."""
        return sum(self._dropped.values())

    async def refresh(self) -> None:
        """Read the records that nodes have written since the last call."""
        async with self._reading:
            more = True
            while more:
                records, more = read(self._run_dir, self._cursor, _matters, limit=_STEP_RECORDS, nodes=self._nodes)
                for record in records:
                    self._take(record)
                await asyncio.sleep(0)

    def page(self, start: int, limit: int, attempt: str | None) -> tuple[list[dict[str, Any]], int | None]:
        """Return entries in order of their first arrival, from `start` on, and the start of the next page, if any."""
        if attempt is not None:
            found = self._attempts.get(attempt)
            return ([found.document(attempt)] if found else []), None
        names = list(self._attempts)
        page = [self._attempts[name].document(name) for name in names[start : start + limit]]
        return page, (start + limit if start + limit < len(names) else None)

    def _take(self, record: Record) -> None:
        if record["kind"] == "dropped":
            # The last such line of a boot holds the sum.
            self._dropped[record["node"], record["boot"]] = record["entries"]
            return
        key = (record["node"], record["boot"], record["req"])
        phase = record["phase"]
        if phase in ("head", "whole"):
            if record.get("attempt") is None:
                return
            self._open[key] = record["attempt"]
            entry = self._attempts.setdefault(record["attempt"], _Attempt())
            entry.requests += 1
            entry.nodes[record["node"]] = None
        if key not in self._open:
            return
        entry = self._attempts[self._open[key]]
        if (phase == "body" or record.get("complete")) and key not in self._delivered:
            self._delivered.add(key)
            entry.deliveries += 1
            if record.get("sha1"):
                entry.digests[record["sha1"]] = None
        if phase in ("end", "whole"):
            if record.get("status") is not None:
                entry.statuses.append(record["status"])
            del self._open[key]
            self._delivered.discard(key)


def _matters(record: Record) -> bool:
    return record.get("kind") in ("request", "dropped")
