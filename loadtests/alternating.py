"""Measurements of several subjects in alternation, and tables of the results: ratios, medians, lowest and highest.

A turn is one measurement of one subject. A subject that cannot be started or fails in a turn does not stop the others; its row
says why.
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
"""Results of one turn by column; rows are compared by the first column."""

NOT_INSTALLED = "not installed"
FAILED = "failed"
REASON_CHARS_MAX = 160
"""Longest reason in a cell, so that the table stays readable."""
TURN_MAX_S = 20.0
"""A subject whose turn took longer is not measured again, so that it does not delay the others."""


class NotInstalledError(Exception):
    """The program to measure is not on this machine; the message says what is missing."""


@dataclass
class Subject:
    """Something to measure, with the results of its turns by column, or the reason why there are none."""

    name: str
    turn: Callable[[int], Figures] | None
    figures: dict[str, list[float]] = field(default_factory=dict)
    failure: str = ""
    slow: bool = False

    def take(self, number: int) -> None:
        """Measure once; turn 0 only warms up."""
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
        """Results in the first column."""
        return next(iter(self.figures.values()), [])


def subject(
    stack: contextlib.ExitStack,
    name: str,
    start: Callable[[], AbstractContextManager[Started]],
    turn: Callable[[Started, int], Figures],
) -> Subject:
    """Return a subject whose server runs until the stack ends; if it does not start, the subject's row says why."""
    started = begin(stack, start)
    if isinstance(started, str):
        return Subject(name, None, failure=started)
    return Subject(name, lambda number: turn(started, number))


def begin(stack: contextlib.ExitStack, start: Callable[[], AbstractContextManager[Started]]) -> Started | str:
    """Start something that ends with the stack; return it, or the reason why it could not be started."""
    try:
        return stack.enter_context(start())
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # shown in the row
        return reason(exc)


def reason(exc: BaseException) -> str:
    """Return an error as the text of a table cell."""
    text = " ".join(str(exc).replace("|", "/").split()) or type(exc).__name__
    kind = NOT_INSTALLED if isinstance(exc, NotInstalledError) else FAILED
    return f"{kind}: {text[:REASON_CHARS_MAX]}"


def alternate(subjects: Sequence[Subject], runs: int) -> None:
    """Measure one subject after the other: first a turn each to warm up, then `runs` turns each."""
    for number in range(runs + 1):
        for one in subjects:
            one.take(number)


def show(value: float) -> str:
    """Format a number with three digits, or all digits before the point: 0.85, 12.3, 4,300."""
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"


def median(ours: Subject, theirs: Subject) -> float | None:
    """Return the median of the ratios of consecutive turns."""
    if ours.failure or theirs.failure or not ours.main or not theirs.main:
        return None
    return statistics.median(a / b for a, b in zip(ours.main, theirs.main, strict=False))


def ratio(ours: Subject, theirs: Subject, wanted: str = "") -> str:
    """Return one ratio as a line of the list at the start of a section."""
    middle = median(ours, theirs)
    if middle is None:
        return f"- {ours.name} / {theirs.name}: not measured, {ours.failure or theirs.failure}"
    every = [a / b for a, b in zip(ours.main, theirs.main, strict=False)]
    suffix = f"; wanted: {wanted}" if wanted else ""
    return f"- {ours.name} / {theirs.name}: **{middle:.2f}** ({min(every):.2f} - {max(every):.2f}{suffix})"


def ratios(what: str, found: Mapping[str, float | None], digits: int = 2) -> str:
    """Return several ratios by name as a line of that list."""
    each = [f"{name} **{value:.{digits}f}**" for name, value in found.items() if value is not None]
    return f"- {what}: {', '.join(each) or 'nothing was measured'}"


def table(subjects: Sequence[Subject], head: str, to: Subject | None = None) -> str:
    """Return a table: the ratio to a subject, the median of each column, and the lowest and highest of the first column."""
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
    """Run a benchmark as the command line asks, and print its results as Markdown."""
    # SIGTERM has to end the started processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(measure(sys.argv[1:]))
