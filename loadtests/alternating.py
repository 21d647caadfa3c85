"""Subjects that take turns, and the tables that say how they went: ratios, medians, lowest and highest.

A subject that cannot be started or fails in a turn stops nothing: its row says why.
"""

import contextlib
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

Started = TypeVar("Started")
Figures = dict[str, float]
"""What one turn gave, by column: the first is what rows are compared by."""

NOT_INSTALLED = "not installed"
FAILED = "failed"
REASON_CHARS_MAX = 160
"""A row stays a row."""
TURN_MAX_S = 20.0
"""Whose turn took longer takes no other: the rest shall not wait for it all evening."""


class NotInstalledError(Exception):
    """What would be measured is not on this machine; the message says what is missing."""


@dataclass
class Subject:
    """What is measured, the figures of its turns by column, and why there are none."""

    name: str
    turn: Callable[[int], Figures] | None
    figures: dict[str, list[float]] = field(default_factory=dict)
    failure: str = ""
    slow: bool = False

    def take(self, number: int) -> None:
        """One turn; turn 0 warms up."""
        if self.turn is None or self.failure or self.slow:
            return
        began = time.monotonic()
        try:
            found = self.turn(number)
        except (Exception, SystemExit) as exc:  # noqa: BLE001  # shown in the row
            self.failure = reason(exc)
            print(f"{self.name}: {self.failure}", file=sys.stderr, flush=True)
            return
        if number:
            self.slow = time.monotonic() - began > TURN_MAX_S
            for column, value in found.items():
                self.figures.setdefault(column, []).append(value)
            shown = ", ".join(f"{column} {show(value)}" for column, value in found.items())
            print(f"{self.name}: {shown}", file=sys.stderr, flush=True)

    @property
    def main(self) -> list[float]:
        """Figures of the first column."""
        return next(iter(self.figures.values()), [])


def subject(
    stack: contextlib.ExitStack,
    name: str,
    start: Callable[[], AbstractContextManager[Started]],
    turn: Callable[[Started, int], Figures],
) -> Subject:
    """A subject whose server runs until the stack ends; if it does not start, one whose row says why."""
    started = begin(stack, start)
    if isinstance(started, str):
        return Subject(name, None, failure=started)
    return Subject(name, lambda number: turn(started, number))


def begin(stack: contextlib.ExitStack, start: Callable[[], AbstractContextManager[Started]]) -> Started | str:
    """What was started and ends with the stack, or why it could not be."""
    try:
        return stack.enter_context(start())
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # shown in the row
        return reason(exc)


def reason(exc: BaseException) -> str:
    """An error in one cell of a table."""
    text = " ".join(str(exc).replace("|", "/").split()) or type(exc).__name__
    kind = NOT_INSTALLED if isinstance(exc, NotInstalledError) else FAILED
    return f"{kind}: {text[:REASON_CHARS_MAX]}"


def take_turns(subjects: Sequence[Subject], runs: int) -> None:
    """One turn each that warms up, then `runs` turns each, the next subject after every turn."""
    for number in range(runs + 1):
        for one in subjects:
            one.take(number)


# What is written


def show(value: float) -> str:
    """Three digits, more only where the number has them: 0.85, 12.3, 4,300."""
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"


def median(ours: Subject, theirs: Subject) -> float | None:
    """Median of the ratios of turns that follow each other."""
    if ours.failure or theirs.failure or not ours.main or not theirs.main:
        return None
    return statistics.median(a / b for a, b in zip(ours.main, theirs.main, strict=False))


def ratio(ours: Subject, theirs: Subject, wanted: str = "") -> str:
    """A line of the list that a section begins with."""
    middle = median(ours, theirs)
    if middle is None:
        return f"- {ours.name} / {theirs.name}: not measured, {ours.failure or theirs.failure}"
    every = [a / b for a, b in zip(ours.main, theirs.main, strict=False)]
    suffix = f"; wanted: {wanted}" if wanted else ""
    return f"- {ours.name} / {theirs.name}: **{middle:.2f}** ({min(every):.2f} - {max(every):.2f}{suffix})"


def ratios(what: str, found: Mapping[str, float | None], digits: int = 2) -> str:
    """A line of that list with several ratios, by name."""
    each = [f"{name} **{value:.{digits}f}**" for name, value in found.items() if value is not None]
    return f"- {what}: {', '.join(each) or 'nothing was measured'}"


def table(subjects: Sequence[Subject], head: str, to: Subject | None = None) -> str:
    """Ratio to a subject, then of each column the median, and of the first the lowest and the highest."""
    columns = list(next((one.figures for one in subjects if one.figures), {"figure": []}))
    first = ["ratio"] if to is not None else []
    titles = [head, *first, f"{columns[0]}, median", "lowest - highest", *columns[1:]]
    lines = [_row(titles), _row(["---"] * len(titles))]
    for one in subjects:
        cells = [one.name + (f" (slow: {len(one.main)} turn)" if one.slow else "")]
        if one.failure or not one.main:
            cells += ["-"] * len(first) + [one.failure or f"{FAILED}: no turn was taken"]
            cells += ["-"] * (len(titles) - len(cells))
        else:
            if to is not None:
                middle = median(one, to)
                cells.append("-" if middle is None else f"{middle:.2f}")
            cells += [show(statistics.median(one.main)), f"{show(min(one.main))} - {show(max(one.main))}"]
            cells += [show(statistics.median(one.figures[column])) for column in columns[1:]]
        lines.append(_row(cells))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def script(measure: Callable[[Sequence[str]], str]) -> None:
    """What every benchmark does when it is started: measure as the command line says, and print Markdown."""
    # What was started is ended on this signal too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(measure(sys.argv[1:]))
