"""Journal files of a run, read by cursor while nodes append to them.

A cursor holds the byte offset reached in each node's file. A reader therefore gets every line once, in the order in which its
node wrote it; lines of different nodes are not merged. A last line without a line end is still being written, or was cut short
by SIGKILL: it is read once a line end follows, and skipped if it is not valid JSON.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mocknode.mock.node.refusals import RefusedError
from mocknode.text import json_text

Record = dict[str, Any]
READ_LIMIT: Final = 1 << 18
"""Bytes read from one file in one step: a few milliseconds of work, so that the control API stays responsive."""


class CursorError(RefusedError):
    """A cursor that does not come from a page of this journal."""


@dataclass(slots=True)
class Cursor:
    """Position of a reader: bytes read from each node's file, and the open requests of the attempt it follows.

    Attributes:
        offsets: Bytes read by node name; a missing node is at the beginning.
        following: (node, boot, request) of unfinished requests of the wanted attempt. Needed because only the first phase of
            a request names its attempt.
    """

    offsets: dict[str, int] = field(default_factory=dict)
    following: set[tuple[str, int, int]] = field(default_factory=set)

    def encode(self) -> str:
        """Return the cursor as an opaque word."""
        document = {"at": self.offsets, "in": sorted(self.following)}
        return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")

    def follows(self, record: Record, attempt: str) -> bool:
        """Tell whether the record belongs to the attempt; call it once for every record, in order."""
        key = (record.get("node", ""), record.get("boot", 0), record.get("req", 0))
        if record.get("attempt") == attempt:
            if record.get("phase") == "head":
                self.following.add(key)
            return True
        if key not in self.following or record.get("kind") != "request":
            return False
        if record.get("phase") == "end":
            self.following.discard(key)
        return True


def path_of(run_dir: Path, node: str) -> Path:
    """Return the path of a node's journal file."""
    return run_dir / "journal" / f"{node}.jsonl"


def read(
    run_dir: Path, cursor: Cursor, keep: Callable[[Record], bool], *, limit: int, nodes: list[str]
) -> tuple[list[Record], bool]:
    """Return the next records of these nodes that `keep` accepts, and whether more are available now.

    The cursor moves past what was read; files of other nodes are not touched. Every file gets an equal share of the page, so
    that a busy node does not crowd out the others.

    Args:
        limit: Largest number of records to return.
    """
    found: list[Record] = []
    more = False
    for index, node in enumerate(nodes):
        room = limit - len(found)
        if room == 0:
            return found, True
        share = -(-room // (len(nodes) - index))
        offset = cursor.offsets.get(node, 0)
        records, cursor.offsets[node], left = _read_file(path_of(run_dir, node), offset, keep, share)
        found += records
        more = more or left
    return found, more


def _read_file(path: Path, offset: int, keep: Callable[[Record], bool], limit: int) -> tuple[list[Record], int, bool]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            chunk = file.read(READ_LIMIT)
            if b"\n" not in chunk:
                # A line longer than one step, which no node of ours writes.
                chunk += file.readline() if len(chunk) == READ_LIMIT else b""
    except FileNotFoundError:
        return [], offset, False
    whole = chunk[: chunk.rfind(b"\n") + 1]
    records: list[Record] = []
    for line in whole.splitlines(keepends=True):
        if len(records) == limit:
            return records, offset, True
        offset += len(line)
        try:
            record = json_text.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and keep(record):
            records.append(record)
    return records, offset, len(chunk) >= READ_LIMIT


def decode_cursor(word: str | None, nodes: list[str]) -> Cursor:
    """Decode a cursor that `Cursor.encode` made; None starts at the beginning.

    Raises:
        CursorError: the word is no cursor of this journal.
    """
    if not word:
        return Cursor()
    try:
        document = json_text.loads_finite(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
        offsets, following = document["at"], {(str(n), int(b), int(r)) for n, b, r in document["in"]}
        if all(node in nodes and type(at) is int and at >= 0 for node, at in offsets.items()):
            return Cursor(offsets=dict(offsets), following=following)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise CursorError(
        f"cursor: got {word[:80]!r}, allowed: one that an earlier page of this run gave, or none to begin",
        got=word[:80],
        allowed=["a cursor of an earlier page"],
    )


def last_boot(run_dir: Path, node: str) -> int:
    """Return the highest boot number in a node's journal, or 0: numbers stay unique when a run directory is reused."""
    try:
        with path_of(run_dir, node).open("rb") as file:
            return max((_boot(line) for line in file if b'"boot"' in line), default=0)
    except FileNotFoundError:
        return 0


def _boot(line: bytes) -> int:
    try:
        boot = json.loads(line).get("boot", 0)
    except (ValueError, AttributeError):
        return 0
    return boot if isinstance(boot, int) else 0
