"""Journal files of a run, read by cursor while nodes append to them.

A cursor is the byte offset reached in each node's file, so a reader gets every line once, in the order its node wrote it;
lines of different nodes are not merged. A last line without its end is being written, or was torn by SIGKILL: it is left
alone until a line end follows, and a torn one is skipped.
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
"""Bytes of one file looked at in one step: a few milliseconds, so that the control API stays responsive."""


class CursorError(RefusedError):
    """A cursor that no page of this journal gave out."""


@dataclass(slots=True)
class Cursor:
    """Where a reader is: bytes read of each node's file, and the requests it follows.

    Attributes:
        offsets: By node name; a missing one is at the beginning.
        following: (node, boot, request) of requests that belong to the attempt asked for and have not ended: only the
            first phase of a request names its attempt.
    """

    offsets: dict[str, int] = field(default_factory=dict)
    following: set[tuple[str, int, int]] = field(default_factory=set)

    def encode(self) -> str:
        """The cursor as an opaque word."""
        document = {"at": self.offsets, "in": sorted(self.following)}
        return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")

    def follows(self, record: Record, attempt: str) -> bool:
        """Whether the record belongs to the attempt; to be asked once for every record, in order."""
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
    """A node's journal file."""
    return run_dir / "journal" / f"{node}.jsonl"


def read(
    run_dir: Path, cursor: Cursor, keep: Callable[[Record], bool], *, limit: int, nodes: list[str]
) -> tuple[list[Record], bool]:
    """The next records of these nodes' files that `keep` wants, and whether more is there already.

    Moves the cursor; files of other nodes stay where they are. Every file gets an equal share of the page, so that a busy
    node hides no other.

    Args:
        limit: At most so many records.
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
                # A line longer than a step; nodes bound theirs far below this.
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
    """The cursor that `Cursor.encode` made; None is the beginning.

    Raises:
        CursorError: it is none of ours.
    """
    if not word:
        return Cursor()
    try:
        document = json.loads(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
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
    """The highest boot number in a node's journal, 0 without one: numbers stay unique when a run directory is reused."""
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
