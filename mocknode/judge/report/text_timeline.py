"""A timeline in characters: one attempt as client, balancer and nodes lived it, and the states the nodes went through.

Both draw on `columns` of one time axis; rows are (name, picture, words behind it), so that the caller sets them out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mocknode.judge.report.drawing import AXIS_STEPS, client_phases, node_phases, seen_as, told
from mocknode.judge.report.wording import plain, seconds

_PHASES: Final = {"head": "▒", "body": "▓", "wait": "┄", "answer": "▓"}
_STATES: Final = {"online": "━", "draining": "▒", "starting": "╌", "offline": "×"}
# Polling connections: as many as there were at most, or fewer; and where some were cut.
_LIVE: Final = "≈"
_FEWER: Final = "┄"
_CUT: Final = "✂"
# Numbers on an axis need this many columns not to touch.
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
        """The column of an instant, the nearest one for instants outside."""
        share = (at_s - self.from_s) / (self.to_s - self.from_s)
        return min(max(int(share * self.columns), 0), self.columns - 1)

    def row(self) -> Row:
        """The axis itself; it counts from 0, whatever second of the check that was."""
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
        """A span; the last column belongs to what follows, but a span is never nothing."""
        first, last = self.axis.column(from_s), self.axis.column(to_s)
        for column in range(first, max(last, first + 1)):
            self.cells[column] = sign

    def point(self, at_s: float, sign: str) -> None:
        self.cells[self.axis.column(at_s)] = sign

    def text(self) -> str:
        return _TRAILING.sub("", "".join(self.cells))


def story(bar: Mapping[str, Any], columns: int) -> list[Row]:
    """An attempt, from its client's first byte to the last thing that anybody saw of it."""
    ends = [bar["end_s"], *(seen["end_s"] for seen in bar["at"] if seen["end_s"] is not None)]
    from_s, to_s = bar["start_s"], max(ends)
    axis = Axis(from_s=from_s, to_s=max(to_s, from_s + 0.001), columns=columns)
    client = _Picture(axis)
    for start_s, end_s, kind, _ in client_phases(bar):
        client.span(start_s, end_s, _PHASES[kind])
    client.point(bar["end_s"], "┤")
    rows = [axis.row(), ("client", client.text(), told(bar)), *_balancer(bar, axis)]
    for seen in bar["at"]:
        node = _Picture(axis)
        for start_s, end_s, kind, _ in node_phases(seen, to_s):
            node.span(start_s, end_s, _PHASES[kind])
        if seen["end_s"] is not None:
            node.point(seen["end_s"], "┤")
        rows.append((seen["node"], node.text(), seen_as(seen)))
    return rows


def _balancer(bar: Mapping[str, Any], axis: Axis) -> list[Row]:
    """What the balancer must have done, a row a deed: it shows only in what both sides saw."""
    picture, deeds = _Picture(axis), []
    for number, seen in enumerate(bar["at"]):
        until_s = seen["start_s"] if seen["last_body_s"] is None else seen["last_body_s"]
        picture.span(seen["start_s"], until_s, "▓")
        picture.point(until_s, "▶")
        if number:
            deeds.append(f"sends it again, to {seen['node']} at {seconds(seen['start_s'] - bar['start_s'])}")
        if seen["end"] in ("fin", "rst", "timeout") and bar["end"] != "aborted":
            picture.point(seen["end_s"], "✂")
            deeds.append(f"closes {seen['node']} {_when(bar, seen)}")
    if not bar["at"]:
        deeds.append("sends it to no node")
    first, *others = deeds or [""]
    return [("balancer", picture.text(), first), *(("", "", f"  {deed}") for deed in others)]


def _when(bar: Mapping[str, Any], seen: Mapping[str, Any]) -> str:
    if seen["complete"] and seen["last_body_s"] is not None:
        return f"{seconds(seen['end_s'] - seen['last_body_s'])} after the last byte"
    return f"at {seconds(seen['end_s'] - bar['start_s'])}"


def states(timeline: Mapping[str, Any], columns: int) -> list[Row]:
    """The nodes' states, faults, probes and requests over the whole check, and what the check did."""
    axis = Axis(from_s=0.0, to_s=timeline["span_s"], columns=columns)
    rows = [axis.row()]
    for lane in timeline["lanes"]:
        rows += _lane(lane, axis)
    if timeline["marks"]:
        rows.append(("the check", _marks(timeline["marks"], axis), ""))
    return rows


def eventful(timeline: Mapping[str, Any]) -> bool:
    """Some node changed its state or had a fault: the states are worth a picture."""
    return any(
        lane["faults"]
        or lane.get("polls")
        or lane.get("cuts")
        or any(span["label"] != "online" for span in lane["states"])
        for lane in timeline["lanes"]
    )


def _lane(lane: Mapping[str, Any], axis: Axis) -> Iterator[Row]:
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
    cuts = lane.get("cuts") or []
    if (polling := lane.get("polling")) or cuts:
        live = _Picture(axis)
        counts = [int(span["label"].partition(" ")[0]) for span in polling or []]
        most = max(counts, default=0)
        for span, count in zip(polling or [], counts, strict=True):
            live.span(span["from_s"], span["to_s"], _LIVE if count == most else _FEWER)
        for at_s, _ in cuts:
            live.point(at_s, _CUT)
        words = [f"{most} live", *([f"{_FEWER} fewer"] if min(counts, default=0) < most else [])]
        yield (
            " polling",
            live.text(),
            ", ".join([*words, f"{_CUT} {sum(n for _, n in cuts)} cut" if cuts else "none cut"]),
        )
    for key, name in (("polls", " new polls"), ("probes", " probes"), ("arrivals", " requests")):
        if lane.get(key):
            ticks = _Picture(axis)
            for at_s, status in lane[key]:
                ticks.point(at_s, "•" if status is not None and status < 300 else "×")
            yield name, ticks.text(), "the check's own" if key == "arrivals" else ""


def _marks(marks: Sequence[Mapping[str, Any]], axis: Axis) -> str:
    line, free = "", 0
    for mark in marks:
        column = axis.column(mark["t_s"])
        if column >= free:
            line = f"{line:<{column}}|{plain(mark['what'])}"
            free = len(line) + 1
    return line
