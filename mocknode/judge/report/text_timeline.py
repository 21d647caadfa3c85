"""Draws a timeline in characters: one attempt as client, balancer and nodes saw it, and the states of all nodes.

Both drawings take `columns` characters and return rows of (name, picture, words behind it); the caller aligns the names.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mocknode.judge.report.drawing import AXIS_STEPS, client_phases, client_result, node_phases, node_result
from mocknode.judge.report.schema import Bar, Interval, Lane, Mark, NodeBar, Timeline
from mocknode.judge.report.wording import seconds
from mocknode.text.foreign import plain

_PHASES: Final = {"head": "▒", "body": "▓", "wait": "┄", "answer": "▓"}
_STATES: Final = {"online": "━", "draining": "▒", "starting": "╌", "offline": "×"}
# Polling connections: the highest count of the check, a lower count, and a moment when some were cut.
_LIVE: Final = "≈"
_FEWER: Final = "┄"
_CUT: Final = "✂"
# Numbers on an axis touch each other in fewer columns than this.
_AXIS_COLUMNS: Final = 8
_TRAILING: Final = re.compile(r"\s+$")

Row = tuple[str, str, str]
"""Name, picture and the words behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Seconds from `from_s` to `to_s` on `columns` characters."""

    from_s: float
    to_s: float
    columns: int

    def column(self, at_s: float) -> int:
        """Return the column of an instant, the nearest one if it is outside the axis."""
        share = (at_s - self.from_s) / (self.to_s - self.from_s)
        return min(max(int(share * self.columns), 0), self.columns - 1)

    def row(self) -> Row:
        """Return the axis itself; it counts from 0, whichever second of the check it begins at."""
        span_s = self.to_s - self.from_s
        fits = max(self.columns // _AXIS_COLUMNS, 1)
        step = next((s for s in AXIS_STEPS if span_s / s <= fits), AXIS_STEPS[-1])
        line = [" "] * (self.columns + _AXIS_COLUMNS)
        for number in range(int(span_s / step + 1e-9) + 1):
            text = f"{number * step:g}{' s' if number == 0 else ''}"
            column = self.column(self.from_s + number * step)
            line[column : column + len(text)] = text
        return "", "".join(line).rstrip(), ""


class _Picture:
    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        self.cells = [" "] * axis.columns

    def span(self, from_s: float, to_s: float, sign: str) -> None:
        """Draw a span of at least one column; its last column is left to what follows."""
        first, last = self.axis.column(from_s), self.axis.column(to_s)
        for column in range(first, max(last, first + 1)):
            self.cells[column] = sign

    def point(self, at_s: float, sign: str) -> None:
        self.cells[self.axis.column(at_s)] = sign

    def text(self) -> str:
        return _TRAILING.sub("", "".join(self.cells))


def story(bar: Bar, columns: int) -> list[Row]:
    """Draw one attempt, from its client's first byte to the last event that client or nodes recorded."""
    ends = [bar["end_s"], *(seen["end_s"] for seen in bar["at"] if seen["end_s"] is not None)]
    from_s, to_s = bar["start_s"], max(ends)
    axis = Axis(from_s=from_s, to_s=max(to_s, from_s + 0.001), columns=columns)
    client = _Picture(axis)
    for start_s, end_s, kind, _ in client_phases(bar):
        client.span(start_s, end_s, _PHASES[kind])
    client.point(bar["end_s"], "┤")
    rows = [axis.row(), ("client", client.text(), client_result(bar)), *_balancer(bar, axis)]
    for seen in bar["at"]:
        node = _Picture(axis)
        for start_s, end_s, kind, _ in node_phases(seen, to_s):
            node.span(start_s, end_s, _PHASES[kind])
        if seen["end_s"] is not None:
            node.point(seen["end_s"], "┤")
        rows.append((seen["node"], node.text(), node_result(seen)))
    return rows


def _balancer(bar: Bar, axis: Axis) -> list[Row]:
    """Draw what the balancer must have done, one row for each action: only client and nodes have a record."""
    picture, actions = _Picture(axis), []
    for number, seen in enumerate(bar["at"]):
        until_s = seen["start_s"] if seen["last_body_s"] is None else seen["last_body_s"]
        picture.span(seen["start_s"], until_s, "▓")
        picture.point(until_s, "▶")
        if number:
            actions.append(f"sends it again, to {seen['node']} at {seconds(seen['start_s'] - bar['start_s'])}")
        end_s = seen["end_s"]
        if end_s is not None and seen["end"] in ("fin", "rst", "timeout") and bar["end"] != "aborted":
            picture.point(end_s, "✂")
            actions.append(f"closes {seen['node']} {_when(bar, seen, end_s)}")
    if not bar["at"]:
        actions.append("sends it to no node")
    first, *others = actions or [""]
    return [("balancer", picture.text(), first), *(("", "", f"  {action}") for action in others)]


def _when(bar: Bar, seen: NodeBar, end_s: float) -> str:
    if seen["complete"] and seen["last_body_s"] is not None:
        return f"{seconds(end_s - seen['last_body_s'])} after the last byte"
    return f"at {seconds(end_s - bar['start_s'])}"


def states(timeline: Timeline, columns: int) -> list[Row]:
    """Draw the nodes' states, faults, probes and requests over the whole check, and the steps of the check."""
    axis = Axis(from_s=0.0, to_s=timeline["span_s"], columns=columns)
    rows = [axis.row()]
    for lane in timeline["lanes"]:
        rows += _lane(lane, axis)
    if timeline["marks"]:
        rows.append(("the check", _marks(timeline["marks"], axis), ""))
    return rows


def eventful(timeline: Timeline) -> bool:
    """Return whether some node changed its state, had a fault or lost connections, which is worth a picture."""
    return any(
        lane["faults"]
        or lane.get("polls")
        or lane.get("cuts")
        or any(span["label"] != "online" for span in lane["states"])
        for lane in timeline["lanes"]
    )


def _lane(lane: Lane, axis: Axis) -> Iterator[Row]:
    picture = _Picture(axis)
    for span in lane["states"]:
        picture.span(span["from_s"], span["to_s"], _STATES.get(span["label"].partition(":")[0], "?"))
    picture.span(axis.to_s, axis.to_s, picture.cells[-2] if axis.columns > 1 else " ")
    others = dict.fromkeys(span["label"] for span in lane["states"] if span["label"] != "online")
    yield lane["node"], picture.text(), ", ".join(others)
    if lane["faults"]:
        faults = _Picture(axis)
        for span in lane["faults"]:
            faults.span(span["from_s"], span["to_s"], "░")
        first, *more = dict.fromkeys(plain(span["label"]) for span in lane["faults"])
        yield " fault", faults.text(), f"{first}, and {len(more)} more" if more else first
    polling, cuts = lane.get("polling", []), lane.get("cuts", [])
    if polling or cuts:
        yield _polling(polling, cuts, axis)
    for name, ticks, words in (
        (" new polls", lane.get("polls"), ""),
        (" probes", lane["probes"], ""),
        (" requests", lane["arrivals"], "the check's own"),
    ):
        if ticks:
            row = _Picture(axis)
            for at_s, status in ticks:
                row.point(at_s, "•" if status is not None and status < 300 else "×")
            yield name, row.text(), words


def _polling(polling: Sequence[Interval], cuts: Sequence[tuple[float, int]], axis: Axis) -> Row:
    live = _Picture(axis)
    counts = [int(span["label"].partition(" ")[0]) for span in polling]
    most = max(counts, default=0)
    for span, count in zip(polling, counts, strict=True):
        live.span(span["from_s"], span["to_s"], _LIVE if count == most else _FEWER)
    for at_s, _ in cuts:
        live.point(at_s, _CUT)
    words = [f"{most} live", *([f"{_FEWER} fewer"] if min(counts, default=0) < most else [])]
    words.append(f"{_CUT} {sum(n for _, n in cuts)} cut" if cuts else "none cut")
    return " polling", live.text(), ", ".join(words)


def _marks(marks: Sequence[Mark], axis: Axis) -> str:
    line, free = "", 0
    for mark in marks:
        column = axis.column(mark["t_s"])
        if column >= free:
            line = f"{line:<{column}}|{plain(mark['what'])}"
            free = len(line) + 1
    return line
