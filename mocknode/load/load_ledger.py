"""The ledger of a load run: attempts of the clients and requests at the nodes, joined on disk in bounded memory.

Both sides arrive as lines while the load flows, and SQLite stores them; `close_accounts` then goes through the
join once and classifies each attempt by the decision table of `mocknode.judge.record.ledger`. The file stays in the run directory
for questions in SQL.
"""

import contextlib
import itertools
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from mocknode.judge.record.history import Told
from mocknode.judge.record.ledger import ABSENT, CLASSES, Class, Ledger, classify
from mocknode.load.outages import Outage
from mocknode.load.schema import Numbers, SizeRow

CACHE_KIB: Final = 16 * 1024
"""Memory for SQLite's pages, whatever the length of the run."""
BATCH: Final = 2000
"""Attempts that are in memory at the same time."""
FIRST: Final = ("head", "whole")
LAST: Final = ("end", "whole")
"""Phases of a request in a node's journal: a small request is written as one line, others phase by phase."""
UPLOADING: Final = ("POST", "PUT")
"""Methods of requests that may be ours without an attempt id, as a balancer may remove the header from some requests only."""

_SCHEMA: Final = """
CREATE TABLE attempts (
    id TEXT PRIMARY KEY, kind TEXT, size INTEGER, form TEXT, due INTEGER, started INTEGER, ended INTEGER, sha1 TEXT,
    told TEXT NOT NULL DEFAULT 'nothing', status INTEGER, node TEXT, sent INTEGER, ending TEXT, error TEXT, class TEXT,
    disturbed INTEGER NOT NULL DEFAULT 0, at_nodes INTEGER NOT NULL DEFAULT 0, stream TEXT
) WITHOUT ROWID;
CREATE TABLE requests (
    node TEXT, boot INTEGER, req INTEGER, attempt TEXT, t INTEGER, complete INTEGER NOT NULL DEFAULT 0, sha1 TEXT,
    status INTEGER, ended INTEGER, adopted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (node, boot, req)
) WITHOUT ROWID;
CREATE INDEX of_attempt ON requests (attempt);
"""
_START: Final = """
INSERT INTO attempts (id, kind, size, form, due, started, stream) VALUES (:id, :kind, :size, :form, :due, :at, :stream)
"""
_END: Final = """
UPDATE attempts SET ended = :at, sha1 = :sha1, told = :told, status = :status, node = :node, sent = :sent, ending = :end,
    error = :error WHERE id = :id
"""
_REQUEST: Final = """
INSERT INTO requests (node, boot, req, attempt, t, complete, sha1, status, ended)
    VALUES (:node, :boot, :req, :attempt, :t, :complete, :sha1, :status, :ended)
"""
_PHASE: Final = """
UPDATE requests SET complete = max(complete, :complete), sha1 = coalesce(:sha1, sha1), status = coalesce(:status, status),
    ended = coalesce(:ended, ended) WHERE node = :node AND boot = :boot AND req = :req
"""
_NAMELESS: Final = "SELECT a.id FROM requests r JOIN attempts a ON a.sha1 = r.sha1 WHERE r.attempt IS NULL"
_ADOPT: Final = """
UPDATE requests SET attempt = (SELECT id FROM attempts WHERE attempts.sha1 = requests.sha1), adopted = 1
WHERE attempt IS NULL AND sha1 IN (SELECT sha1 FROM attempts)
"""
_GONE: Final = "UPDATE requests SET ended = :t WHERE node = :node AND boot < :boot AND ended IS NULL"
_WHOSE: Final = "SELECT attempt FROM requests WHERE node = :node AND boot = :boot AND req = :req"
_COLUMNS: Final = "a.id, a.started, a.ended, a.told, a.sha1, r.complete, r.sha1, r.status, r.ended, r.node, a.kind"
_JOIN: Final = f"""
SELECT {_COLUMNS}
FROM (SELECT * FROM attempts WHERE id > ? ORDER BY id LIMIT ?) a LEFT JOIN requests r ON r.attempt = a.id ORDER BY a.id
"""
_ONE: Final = f"SELECT {_COLUMNS} FROM attempts a LEFT JOIN requests r ON r.attempt = a.id WHERE a.id = ?"


_T = TypeVar("_T")


class LoadLedgerError(Exception):
    """The ledger cannot be written, most likely because the disk is full; what it holds can still be read."""


@dataclass(frozen=True, slots=True)
class _Sent:
    told: Told
    sha1: str | None


@dataclass(frozen=True, slots=True)
class _Seen:
    complete: bool
    sha1: str | None
    status: int | None
    ended_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCounts:
    """What became of the attempts of one stream; see `LoadLedger.of_stream`.

    Attributes:
        failed_undisturbed: Failures while no node was down on purpose.
    """

    attempts: int
    failed: int
    failed_undisturbed: int
    took_s: "array[float]"
    classes: Mapping[str, int]


class LoadLedger:
    """The ledger, in a new file.

    Args:
        path: Must not exist.
        clock_offset_ns: Added to the nodes' times, to map their clock onto the generator's.
        followed: `news` will be called during the run.

    Attributes:
        synced_ns: Time up to which the nodes' journals are in the ledger.
        dropped: Journal entries that nodes reported as lost.
        states: (time, node, state, how) as the nodes journalled them.
    """

    def __init__(self, path: Path, clock_offset_ns: int = 0, *, followed: bool = False) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        # If this machine crashes, the run is lost anyway; nothing needs a durable ledger.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)
        self._offset = clock_offset_ns
        self._touched: set[str] | None = set() if followed else None
        self._drops: dict[tuple[str, int], int] = {}
        self.synced_ns = 0
        self.states: list[tuple[int, str, str, str | None]] = []

    @property
    def dropped(self) -> int:
        """Journal entries that are missing."""
        return sum(self._drops.values())

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def clients(self, lines: Iterable[Mapping[str, Any]], stream: str = "") -> None:
        """Take `start` and `end` lines of the generator, in the order in which each process wrote them.

        Args:
            stream: Name of the stream that these attempts belong to, where a run has several.

        Raises:
            LoadLedgerError: none of the lines was taken.
        """
        starts, ends = _parted(lines, lambda line: line["t"] == "start")
        with self._batch():
            self._db.executemany(_START, ({**line, "stream": stream} for line in starts))
            self._db.executemany(_END, ends)
        if self._touched is not None:
            self._touched.update(line["id"] for line in ends)

    def journal(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take journal lines of the nodes.

        Raises:
            LoadLedgerError: none of the lines was taken.
        """
        requests, boots = [], []
        for record in records:
            match record["kind"]:
                case "request":
                    requests.append(record)
                case "boot":
                    boots.append(self._row(record))
                case "state":
                    at = record["t_ns"] + self._offset
                    self.states.append((at, record["node"], record["state"], record.get("how")))
                case "dropped":
                    self._drops[record["node"], record["boot"]] = int(record["entries"])
        # One statement after another, not record by record, which takes SQLite twice as long. Heads still come before later phases.
        heads, later = _parted(requests, lambda record: record["phase"] in FIRST)
        heads = [self._row(r) for r in heads if r.get("attempt") is not None or r["method"] in UPLOADING]
        later = [self._row(record) for record in later]
        with self._batch():
            self._db.executemany(_REQUEST, heads)
            # Later phases of a request whose head is not ours match no row and change nothing.
            self._db.executemany(_PHASE, later)
            # A node's new process means that the one before is gone, with the requests that it had open.
            self._db.executemany(_GONE, boots)
        if self._touched is not None:
            telling = [row for row in (*heads, *later) if row["complete"] or row["ended"] is not None]
            self._touched.update(found[0] for row in telling for found in self._db.execute(_WHOSE, row))

    def adopt(self) -> None:
        """Match uploads that came without an attempt id by their digest, which no two attempts share. Call it after taking both sides,
        before `news` and `close_accounts`.

        Raises:
            LoadLedgerError: none of them was matched.
        """
        if self._one("SELECT EXISTS (SELECT 1 FROM requests WHERE attempt IS NULL AND sha1 IS NOT NULL)"):
            with self._batch():
                self._db.execute("CREATE INDEX IF NOT EXISTS of_content ON attempts (sha1)")
                if self._touched is not None:
                    self._touched.update(row[0] for row in self._db.execute(_NAMELESS))
                self._db.execute(_ADOPT)

    def _batch(self) -> "_Transaction":
        return _Transaction(self._db)

    def _row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        phase = record.get("phase")
        at = record["t_ns"] + self._offset
        ended = record.get("ended_ns")
        return {
            "node": record["node"],
            "boot": record["boot"],
            "req": record.get("req"),
            "attempt": record.get("attempt"),
            "t": at,
            "complete": phase == "body" or bool(record.get("complete")),
            "sha1": record.get("sha1"),
            "status": record.get("status"),
            "ended": (at if ended is None else ended + self._offset) if phase in LAST else None,
        }

    def news(self, outages: Iterable[Outage]) -> Iterator[tuple[str, str, Class | None, Told, bool]]:
        """Yield (id, kind, class, told, disturbed) of ended attempts that something was recorded about since the last call.

        An attempt whose class is not certain yet comes again. A class may get worse later, never better.
        """
        assert self._touched is not None
        spans, asked, self._touched = list(outages), self._touched, set()
        for id_ in asked:
            rows = self._db.execute(_ONE, (id_,)).fetchall()
            if not rows or rows[0][2] is None:
                continue  # Not ours, or not ended; its end brings it here again.
            found, disturbed, _ = self._decide(rows, spans)
            # A node that is still reading it may store it yet, whatever the client was told meanwhile.
            if found in ABSENT and any(row[9] is not None and row[8] is None for row in rows):
                found = "unresolved"
            if found == "unresolved":
                self._touched.add(id_)
            yield id_, rows[0][10], found, rows[0][3], bool(disturbed)

    def open_attempts(self) -> int:
        """Count attempts without an end: those in progress, and those of a worker that died."""
        return self._one("SELECT count(*) FROM attempts WHERE ended IS NULL")

    def open_requests(self) -> int:
        """Count requests of this run that a node has not finished."""
        return self._one("SELECT count(*) FROM requests WHERE ended IS NULL AND attempt IS NOT NULL")

    def close_accounts(self, outages: Iterable[Outage] = ()) -> Ledger:
        """Give every upload its class. Call it when nothing more arrives. On a full disk, classes are counted but not stored."""
        spans = list(outages)
        counts: Counter[Class] = Counter()
        last = ""
        while rows := self._db.execute(_JOIN, (last, BATCH)).fetchall():
            decided = []
            for last, group in itertools.groupby(rows, key=lambda row: row[0]):
                found, disturbed, at_nodes = self._decide(list(group), spans)
                counts.update([found] if found is not None else [])
                decided.append((found, disturbed, at_nodes, last))
            with contextlib.suppress(LoadLedgerError), self._batch():
                self._db.executemany("UPDATE attempts SET class = ?, disturbed = ?, at_nodes = ? WHERE id = ?", decided)
        return Ledger(attempts=counts.total(), counts=counts, provoked=0)

    def _decide(self, rows: list[Any], outages: list[Outage]) -> tuple[Class | None, int, int]:
        """Return the class (None if nothing was uploaded), whether a node was down meanwhile, and the number of requests at nodes."""
        _, started, ended, told, sha1 = rows[0][:5]
        requests = [row for row in rows if row[9] is not None]
        disturbed = any(o.since_ns <= (ended or self.synced_ns) and started <= o.until_ns for o in outages)
        if rows[0][10] != "push":
            return None, disturbed, len(requests)
        seen = [_Seen(bool(r[5]), r[6], r[7], r[8]) for r in requests]
        found = classify(_Sent(cast(Told, told), sha1), seen)
        # Without an end, it is unknown what the client sent or was told.
        if ended is None or (found in ABSENT and ended > self.synced_ns):
            found = "unresolved"
        return found, disturbed, len(requests)

    def uploads_at(self, node: str, between: tuple[int, int]) -> tuple[int, int | None]:
        """Return how many uploads a node got between these times, and when the last one came."""
        row = self._db.execute(
            "SELECT count(*), max(r.t) FROM requests r JOIN attempts a ON a.id = r.attempt AND a.kind = 'push' "
            "WHERE r.node = ? AND r.t BETWEEN ? AND ?",
            (node, *between),
        ).fetchone()
        return int(row[0]), row[1]

    def sent_as(self, form: str) -> int:
        """Count uploads of a form."""
        return int(self._db.execute("SELECT count(*) FROM attempts WHERE form = ?", (form,)).fetchone()[0])

    def broken_at(self, node: str, between: tuple[int, int], stream: str) -> int:
        """Count a stream's uploads that were under way at a node at some time in this range and broke off, with no node down."""
        return int(
            self._db.execute(
                "SELECT count(DISTINCT a.id) FROM requests r JOIN attempts a ON a.id = r.attempt AND a.kind = 'push' "
                "WHERE r.node = ? AND r.t <= ? AND coalesce(r.ended, ?) >= ? AND a.stream = ? AND a.disturbed = 0 "
                "AND a.class NOT IN ('delivered_once', 'delivered_twice', 'unresolved')",
                (node, between[1], between[1], between[0], stream),
            ).fetchone()[0]
        )

    def of_stream(self, stream: str) -> "StreamCounts":
        """Return the counts of a stream, and the seconds of its acknowledged attempts, sorted."""
        ended = "FROM attempts WHERE stream = ? AND ended IS NOT NULL"
        failed = f"{ended} AND told != 'acknowledged'"
        classes = self._db.execute(
            "SELECT class, count(*) FROM attempts WHERE stream = ? AND class IS NOT NULL GROUP BY class", (stream,)
        ).fetchall()
        took = self._db.execute(
            f"SELECT (ended - due) / 1e9 {ended} AND told = 'acknowledged' ORDER BY ended - due", (stream,)
        )
        return StreamCounts(
            attempts=self._count("FROM attempts WHERE stream = ?", stream),
            failed=self._count(failed, stream),
            failed_undisturbed=self._count(f"{failed} AND disturbed = 0", stream),
            took_s=array("d", (row[0] for row in took)),
            classes=dict(classes),
        )

    def ends_of(self, stream: str) -> Iterator[tuple[int, int, str, int | None, str | None, str]]:
        """Yield (due, ended, told, size, node, kind) of a stream's attempts that ended, in the order of their ends."""
        yield from self._db.execute(
            "SELECT due, ended, told, size, node, kind FROM attempts WHERE stream = ? AND ended IS NOT NULL ORDER BY ended",
            (stream,),
        )

    def _count(self, scope: str, stream: str) -> int:
        return int(self._db.execute(f"SELECT count(*) {scope}", (stream,)).fetchone()[0])

    def uploads_of_run(self) -> set[str]:
        """Return the ids of all uploads."""
        return {row[0] for row in self._db.execute("SELECT id FROM attempts WHERE kind = 'push'")}

    def numbers(self) -> Numbers:
        """Return the counts other than those of the classes."""
        return {
            "attempts": self._one("SELECT count(*) FROM attempts WHERE kind = 'push'"),
            "recorded": self._one("SELECT count(*) FROM attempts"),
            "failed": self._one(
                "SELECT count(*) FROM attempts WHERE kind = 'push' AND told != 'acknowledged' AND ended IS NOT NULL"
            ),
            "failed_undisturbed": self._one(
                "SELECT count(*) FROM attempts WHERE kind = 'push' AND told != 'acknowledged' AND disturbed = 0 "
                "AND ended IS NOT NULL"
            ),
            "reads": self._one("SELECT count(*) FROM attempts WHERE kind != 'push'"),
            "reads_failed": self._one(
                "SELECT count(*) FROM attempts WHERE kind != 'push' AND told != 'acknowledged' AND disturbed = 0 "
                "AND ended IS NOT NULL"
            ),
            "reads_disturbed": self._one(
                "SELECT count(*) FROM attempts WHERE kind != 'push' AND told != 'acknowledged' AND disturbed = 1 "
                "AND ended IS NOT NULL"
            ),
            "repeated": self._one("SELECT count(*) FROM attempts WHERE at_nodes > 1"),
            "unexplained": self._one(
                "SELECT count(*) FROM requests WHERE attempt IS NOT NULL AND attempt NOT IN (SELECT id FROM attempts)"
            ),
            "nameless": self._one("SELECT count(*) FROM requests WHERE adopted"),
            "unfinished": self.open_attempts(),
            "sent": self._one("SELECT coalesce(sum(sent), 0) FROM attempts"),
            "acknowledged_bytes": self._one(
                "SELECT coalesce(sum(size), 0) FROM attempts WHERE told = 'acknowledged' AND size IS NOT NULL"
            ),
        }

    def span_ns(self) -> tuple[int, int]:
        """Return the first start and the last end; (0, 0) without attempts."""
        row = self._db.execute("SELECT min(due), max(ended) FROM attempts").fetchone()
        return int(row[0] or 0), int(row[1] or row[0] or 0)

    def latencies(self, kind: str, column: str = "due", *, between: tuple[int, int] = (0, 1 << 62)) -> "array[float]":
        """Return the seconds of every acknowledged attempt of a kind, sorted; each takes eight bytes.

        Args:
            column: `due` counts from when it should have started, `started` from when it did.
            between: Range of due times in nanoseconds.
        """
        assert column in ("due", "started")
        rows = self._db.execute(
            f"SELECT ended - {column} AS took FROM attempts WHERE kind = ? AND told = 'acknowledged' AND due BETWEEN ? AND ? "
            "ORDER BY took",
            (kind, *between),
        )
        return array("d", (row[0] / 1e9 for row in rows))

    def kinds(self) -> list[str]:
        """Return the kinds of attempts, pushes first."""
        rows = self._db.execute("SELECT DISTINCT kind FROM attempts ORDER BY kind != 'push', kind")
        return [row[0] for row in rows]

    def by_size(self, bounds: Iterable[tuple[int, int]]) -> list[SizeRow]:
        """Return uploads by size, with the count of each class and what the failed ones were told."""
        found: list[SizeRow] = []
        for low, high in bounds:
            scope = "FROM attempts WHERE kind = 'push' AND size >= ? AND size < ?"
            total = self._db.execute(f"SELECT count(*) {scope}", (low, high)).fetchone()[0]
            if not total:
                continue
            classes = dict(self._db.execute(f"SELECT class, count(*) {scope} GROUP BY class", (low, high)).fetchall())
            statuses = self._db.execute(
                f"SELECT coalesce(CAST(status AS TEXT), ending, 'no end'), count(*) {scope} AND told != 'acknowledged' GROUP BY 1 "
                "ORDER BY 2 DESC",
                (low, high),
            ).fetchall()
            edges = self._db.execute(
                "SELECT max(CASE WHEN told = 'acknowledged' THEN size END), "
                f"min(CASE WHEN told != 'acknowledged' AND ended IS NOT NULL THEN size END) {scope}",
                (low, high),
            ).fetchone()
            found.append(
                {"from": low, "to": high, "attempts": total, "classes": {c: classes[c] for c in CLASSES if c in classes},
                 "failures": dict(statuses), "largest_passed": edges[0], "smallest_failed": edges[1]}
            )  # fmt: skip
        return found

    def failures(self, limit: int) -> list[dict[str, Any]]:
        """Return attempts that are not `delivered_once` (without journals: not acknowledged), worst first."""
        rows = self._db.execute(
            "SELECT id, coalesce(class, 'told ' || told) AS class, size, form, started, ended, status, node, ending, "
            "error, at_nodes, disturbed FROM attempts "
            "WHERE kind = 'push' AND coalesce(class, told) NOT IN ('delivered_once', 'acknowledged') ORDER BY "
            "CASE class WHEN 'lost' THEN 0 WHEN 'corrupted' THEN 1 WHEN 'delivered_twice' THEN 2 ELSE 3 END, disturbed, started "
            "LIMIT ?",
            (limit,),
        )
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def ends(self) -> Iterator[tuple[int, int, int, Told, int | None, str]]:
        """Yield (due, started, ended, told, size, kind) of every attempt that ended, in the order of their ends."""
        yield from self._db.execute(
            "SELECT due, started, ended, told, size, kind FROM attempts WHERE ended IS NOT NULL ORDER BY ended"
        )

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the column names, then every attempt, for CSV."""
        reading = self._db.execute("SELECT * FROM attempts ORDER BY started")
        yield tuple(column[0] for column in reading.description)
        yield from reading

    def _one(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])


def _parted(items: Iterable[_T], first: Callable[[_T], bool]) -> tuple[list[_T], list[_T]]:
    """Split items into those that `first` accepts and the others, each in order."""
    parts: tuple[list[_T], list[_T]] = ([], [])
    for item in items:
        parts[not first(item)].append(item)
    return parts


class _Transaction:
    """A transaction around a batch, which is a hundred times as fast as one commit for each line.

    Raises:
        LoadLedgerError: the disk is full, or the file is gone; the batch was rolled back.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            try:
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as exc:
                error = exc
        # SQLite rolls some batches back by itself.
        if error is not None and self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            raise LoadLedgerError(str(error)) from error
