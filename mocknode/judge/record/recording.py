"""A lane's record on disk. Attempts and steps are appended as they end, journal lines as they are read.

The same code builds the history from these lines, whether the run is going on or a saved run is judged again.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, TextIO

from mocknode.judge.record.history import Attempt, History, Session, Step, from_lines, to_line
from mocknode.judge.record.journal_merge import AnsweringNodes, JournalMerger
from mocknode.judge.record.since import Since
from mocknode.text import json_text


class Recording:
    """Appends events to a file and keeps the history that they make up.

    Args:
        path: File of JSON lines; it must not exist yet.
        clock_offset_ns: Added to the nodes' times, see `JournalMerger`.
        since_ns: When the run began, on our clock: older journal lines are neither recorded nor evidence. The default keeps all, for a
            cluster that was started for this run.
    """

    def __init__(self, path: Path, clock_offset_ns: int = 0, since_ns: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.history = History()
        self._merger = JournalMerger(self.history, clock_offset_ns)
        self._nodes = AnsweringNodes(self.history)
        self._since = None if since_ns is None else Since(since_ns - clock_offset_ns)
        self._file: TextIO = path.open("x", encoding="utf-8")
        self._write({"type": "clock", "offset_ns": clock_offset_ns})

    def _write(self, document: dict[str, Any]) -> None:
        self._file.write(json_text.dumps(document).decode() + "\n")

    def attempt(self, attempt: Attempt) -> None:
        """Record an attempt that has ended."""
        self.history.attempts.append(attempt)
        self._nodes.seen(attempt)
        self._file.write(to_line(attempt) + "\n")

    def step(self, step: Step) -> None:
        """Record a step of a check."""
        self.history.steps.append(step)
        self._file.write(to_line(step) + "\n")

    def session(self, session: Session) -> None:
        """Record a polling connection that has ended."""
        self.history.sessions.append(session)
        self._file.write(to_line(session) + "\n")

    def journal(self, records: Iterable[dict[str, Any]]) -> None:
        """Record journal lines as the control API returned them."""
        for record in records:
            if self._since is not None and not self._since.keeps(record):
                continue
            self._merger.feed(record)
            self._write({"type": "journal", "record": record})

    @property
    def probed_before(self) -> bool:
        """Whether somebody probed the nodes before the run began. This is a hint at what is there, and no evidence."""
        return self._since is not None and self._since.probed_before

    def synced(self, t_ns: int) -> None:
        """Record that every journal line written before `t_ns` has been read."""
        self.history.synced_ns = t_ns
        self._nodes.find()
        self._write({"type": "synced", "t_ns": t_ns})

    def flush(self) -> None:
        """Hand all records to the operating system, so that they survive a killed run. Does nothing once the file is closed."""
        if not self._file.closed:
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def load(path: Path) -> History:
    """Return the history of a saved lane.

    Raises:
        ValueError: a line is not a record; the message gives file and line.
        OSError: the file cannot be read.
    """
    history = History()
    merger, nodes = JournalMerger(history), AnsweringNodes(history)
    with path.open("rb") as file:
        for number, written in enumerate(file, 1):
            # Every line is written with its line end. One without was being written when the run was killed, so it is the last.
            if not written.endswith(b"\n"):
                break
            try:
                line = written.decode()
                document = json_text.loads(written)
                match document["type"]:
                    case "clock":
                        merger = JournalMerger(history, document["offset_ns"])
                    case "synced":
                        history.synced_ns = document["t_ns"]
                        nodes.find()
                    case "journal":
                        merger.feed(document["record"])
                    case _:
                        event = from_lines([line])
                        history.attempts += event.attempts
                        for attempt in event.attempts:
                            nodes.seen(attempt)
                        history.steps += event.steps
                        history.sessions += event.sessions
            except (KeyError, TypeError, ValueError) as exc:
                raise ValueError(f"{path}:{number}: not a record of a run: {exc}") from exc
    return history
