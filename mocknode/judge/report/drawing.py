"""Draws a timeline as shapes on a plane 1000 points wide: the geometry of the HTML report's SVG, without markup.

From top to bottom: an axis; one lane for each node (states shaded, faults below them, ticks for probes and requests); the steps of
the check; then each attempt as a pair of bars, client above node. Everything that a colour says is also said by a text or a shape.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from mocknode.judge.report.schema import Bar, Interval, Lane, NodeBar, Tick, Timeline
from mocknode.judge.report.wording import seconds
from mocknode.text.foreign import plain
from mocknode.text.units import format_size

WIDTH: Final = 1000
LEFT: Final = 150
RIGHT: Final = 985
# Space for the words behind a bar that ends at the right edge.
BAR_WORDS: Final = 190
AXIS_TICKS: Final = 10
_CHARACTER: Final = 6.2
AXIS_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle; `kind` is its CSS class, `title` its tooltip and its text for screen readers."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A text; `anchor` is `start`, `middle` or `end`."""

    x: float
    y: float
    text: str
    kind: str = ""
    anchor: str = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """All strokes of one kind, in one path."""

    path: str
    kind: str


@dataclass(slots=True)
class Drawing:
    """Shapes in painting order, and their total height."""

    title: str
    height: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    lines: list[Lines] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


def draw(timeline: Timeline) -> Drawing | None:
    """Draw a timeline of a report; None if nothing happened in it."""
    if not timeline["span_s"]:
        return None
    return _Pen(timeline).drawing()


class _Pen:
    """Draws one row after another; `y` is the top of the next row."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.span_s = float(timeline["span_s"])
        self.right = RIGHT - (BAR_WORDS if timeline["bars"] else 0)
        self.out = Drawing(title=f"Timeline of {timeline['check']} over {seconds(self.span_s)}")
        self.y = 26.0

    def drawing(self) -> Drawing:
        lanes = [lane for lane in self.timeline["lanes"] if _is_worth_drawing(lane, self.timeline)]
        for lane in lanes:
            self._lane(lane)
        self._marks()
        for bar in self.timeline["bars"]:
            self._bar(bar)
        self._axis()
        self.out.height = round(self.y + 4, 1)
        return self.out

    def x(self, at_s: float) -> float:
        inside = min(max(at_s, 0.0), self.span_s)
        return round(LEFT + inside / self.span_s * (self.right - LEFT), 1)

    def box(self, from_s: float, to_s: float, height: float, kind: str, title: str, *, dy: float = 0.0) -> float:
        """Draw a box over a span of seconds, at least one point wide, and return its width."""
        x = self.x(from_s)
        width = round(max(self.x(to_s) - x, 1.0), 1)
        self.out.boxes.append(Box(x=x, y=self.y + dy, width=width, height=height, kind=kind, title=plain(title)))
        return width

    def say(self, x: float, text: str, kind: str = "", *, dy: float, anchor: str = "start") -> None:
        self.out.words.append(Words(x=x, y=self.y + dy, text=plain(text), kind=kind, anchor=anchor))

    def _axis(self) -> None:
        step = next((s for s in AXIS_STEPS if self.span_s / s <= AXIS_TICKS), AXIS_STEPS[-1])
        grid = []
        for number in range(int(self.span_s / step + 1e-9) + 1):
            x = self.x(number * step)
            unit = " s" if number == 0 else ""
            self.out.words.append(Words(x=x, y=12, text=f"{number * step:g}{unit}", kind="axis", anchor="middle"))
            grid.append(f"M{x} 18V{self.y:g}")
        self.out.lines.insert(0, Lines(path="".join(grid), kind="grid"))

    def _lane(self, lane: Lane) -> None:
        self.say(LEFT - 10, lane["node"], "name", dy=13, anchor="end")
        self._spans(lane["states"], 18, "state")
        self.y += 18
        if lane["faults"]:
            self._spans(lane["faults"], 14, "fault")
            self.y += 14
        polling, cuts = lane.get("polling", []), lane.get("cuts", [])
        if polling or cuts:
            self.say(LEFT - 10, self._polling_name(polling), "small", dy=10, anchor="end")
            self._spans(polling, 14, "polling")
            self._cuts(cuts)
            self.y += 14
        rows = (
            ("polls", "new polls", lane.get("polls")),
            ("probes", "probes", lane["probes"]),
            ("arrivals", "requests", lane["arrivals"]),
        )
        for family, label, ticks in rows:
            if ticks:
                self.say(LEFT - 10, label, "small", dy=10, anchor="end")
                self._ticks(ticks, family)
                self.y += 12
        self.y += 8

    def _polling_name(self, spans: Sequence[Interval]) -> str:
        """Return the lane's label, with the highest count if the span that has it is too short for a label of its own."""
        most = max(spans, key=lambda span: int(span["label"].partition(" ")[0]), default=None)
        if most is None or self._fits(most["label"], self.x(most["to_s"]) - self.x(most["from_s"])):
            return "polling"
        return f"up to {most['label']}"

    @staticmethod
    def _fits(label: str, width: float) -> bool:
        return len(label) * _CHARACTER + 8 <= width

    def _spans(self, spans: Sequence[Interval], height: float, family: str) -> None:
        for span in spans:
            label = span["label"]
            kind = f"{family} {label.partition(':')[0]}" if family == "state" else family
            title = f"{label} from {seconds(span['from_s'])} to {seconds(span['to_s'])}"
            width = self.box(span["from_s"], span["to_s"], height, kind, title)
            if self._fits(label, width):
                self.say(self.x(span["from_s"]) + 5, label, "in", dy=height - 5 + (height < 16) * 1.5)

    def _cuts(self, cuts: Sequence[tuple[float, int]]) -> None:
        """Draw a stroke where connections were cut, and their total number at the last stroke."""
        if not cuts:
            return
        path = "".join(f"M{x} {self.y:g}v14" for x in dict.fromkeys(self.x(at_s) for at_s, _ in cuts))
        self.out.lines.append(Lines(path=path, kind="cuts"))
        x, text = self.x(cuts[-1][0]), f"{sum(n for _, n in cuts)} cut"
        if x + 5 + len(text) * _CHARACTER < WIDTH:
            self.say(x + 5, text, "outcome bad", dy=11)
        else:
            self.say(x - 5, text, "outcome bad", dy=11, anchor="end")

    def _ticks(self, ticks: Sequence[Tick], family: str) -> None:
        """Draw a tick for each answer; bad ones are longer, and have another colour."""
        good = [t for t, status in ticks if status is not None and status < 300]
        bad = [t for t, status in ticks if status is None or status >= 300]
        for times, kind, top in ((good, "good", 4), (bad, "bad", 1)):
            if times:
                path = "".join(f"M{self.x(t)} {self.y + top:g}v{11 - top}" for t in times)
                self.out.lines.append(Lines(path=path, kind=f"tick {family} {kind}"))

    def _marks(self) -> None:
        """Draw a stroke over all lanes for each step, with its name where that does not overlap the next one."""
        if not self.timeline["marks"]:
            return
        self.say(LEFT - 10, "the check", "small", dy=11, anchor="end")
        free = [0.0, 0.0]
        strokes = []
        ahead = [*(self.x(mark["t_s"]) for mark in self.timeline["marks"][1:]), WIDTH]
        for mark, next_x in zip(self.timeline["marks"], ahead, strict=True):
            x, text = self.x(mark["t_s"]), mark["what"]
            title = f"{seconds(mark['t_s'])}: {mark['what']} {mark['text']}"
            self.out.boxes.append(Box(x=x - 2, y=self.y + 1, width=4, height=12, kind="mark", title=plain(title)))
            strokes.append(f"M{x} 18V{self.y:g}")
            width = len(text) * _CHARACTER
            # The name stands left of its stroke if the next stroke or the edge is too close, and if there is room.
            before = x + 5 + width > next_x and (x - 5 - width > min(free) or next_x == WIDTH)
            row = next((r for r, end in enumerate(free) if (x - 5 - width if before else x) >= end), None)
            if row is not None:
                self.say(
                    x - 5 if before else x + 5, text, "small", dy=11 + row * 12, anchor="end" if before else "start"
                )
                free[row] = x + 2 if before else x + 12 + width
        self.out.lines.insert(0, Lines(path="".join(strokes), kind="step"))
        self.y += 34

    def _bar(self, bar: Bar) -> None:
        size = f" {format_size(bar['bytes'])}" if bar["bytes"] else ""
        self.say(LEFT - 10, f"{bar['variant'] or bar['attempt']}{size}"[:24], "name", dy=10, anchor="end")
        for from_s, to_s, kind, word in client_phases(bar):
            title = f"client {word} from {seconds(from_s)} to {seconds(to_s)}: {bar['title']} ({bar['attempt']})"
            self.box(from_s, to_s, 11, f"client {kind}", title)
        good = bar["told"] == "acknowledged"
        if not good:
            self._cut(bar["end_s"], 11)
        self.say(self.x(bar["end_s"]) + 5, client_result(bar), "outcome good" if good else "outcome bad", dy=10)
        self.y += 13
        for seen in bar["at"]:
            self.say(LEFT - 10, seen["node"], "small", dy=9, anchor="end")
            for from_s, to_s, kind, word in node_phases(seen, self.span_s):
                title = f"{seen['node']} {word} from {seconds(from_s)} to {seconds(to_s)}"
                self.box(from_s, to_s, 9, f"node {kind}", title)
            end_s = self.span_s if seen["end_s"] is None else seen["end_s"]
            if seen["end"] not in ("complete", None):
                self._cut(end_s, 9)
            self.say(self.x(end_s) + 5, node_result(seen), "outcome", dy=9)
            self.y += 13
        self.y += 7

    def _cut(self, at_s: float, height: float) -> None:
        self.out.boxes.append(Box(x=self.x(at_s) - 3, y=self.y, width=3, height=height, kind="cut"))


def client_phases(bar: Bar) -> Iterator[tuple[float, float, str, str]]:
    """Yield start, end, kind and verb of each phase of the client."""
    head_s = bar["head_s"] if bar["head_s"] is not None else bar["end_s"]
    yield bar["start_s"], head_s, "head", "connects and sends the head"
    if bar["head_s"] is None:
        return
    if bar["body_s"] is None:
        yield head_s, bar["end_s"], "body", "sends, and is cut"
        return
    body_s = min(bar["body_s"], bar["end_s"])
    if bar["bytes"]:
        yield head_s, body_s, "body", "sends the body"
    answered_s = bar["response_s"] if bar["response_s"] is not None else bar["end_s"]
    if answered_s > body_s:
        yield body_s, answered_s, "wait", "waits"
    if bar["end_s"] > answered_s:
        yield answered_s, bar["end_s"], "answer", "reads the answer"


def node_phases(seen: NodeBar, span_s: float) -> Iterator[tuple[float, float, str, str]]:
    """Yield start, end, kind and verb of each phase at a node; a request that is still open lasts to the end."""
    end_s = span_s if seen["end_s"] is None else seen["end_s"]
    last_s = seen["last_body_s"]
    if last_s is None:
        yield seen["start_s"], end_s, "wait", "answers"
        return
    first_s = seen["start_s"] if seen["first_body_s"] is None else seen["first_body_s"]
    if first_s > seen["start_s"]:
        yield seen["start_s"], first_s, "head", "has only the head"
    yield first_s, last_s, "body", "reads the body"
    if end_s > last_s:
        yield last_s, end_s, "wait", "processes"


def client_result(bar: Bar) -> str:
    """Return what answer the client got, and from whom."""
    if bar["status"] is None:
        return f"{bar['end']} after {seconds(bar['end_s'] - bar['start_s'])}"
    return f"{bar['status']} from {bar['node']}" if bar["node"] else f"{bar['status']}, not from a node"


def node_result(seen: NodeBar) -> str:
    """Return how the request ended at the node."""
    size = f"{format_size(seen['received'])} {'whole' if seen['complete'] else 'torn'}, "
    whole = "" if seen["last_body_s"] is None else size
    answer = f"{seen['status']} sent" if seen["status"] is not None else "no answer sent"
    cut = {"complete": "", None: ", never ended"}.get(seen["end"], f", then {seen['end']}")
    return f"{whole}{answer}{cut}"


def _is_worth_drawing(lane: Lane, timeline: Timeline) -> bool:
    """Return whether a lane shows more than a node that was online throughout and whose requests all have bars."""
    if (
        lane["probes"]
        or lane["faults"]
        or lane.get("polls")
        or lane.get("cuts")
        or any(span["label"] != "online" for span in lane["states"])
    ):
        return True
    barred = sum(seen["node"] == lane["node"] for bar in timeline["bars"] for seen in bar["at"])
    return len(lane["arrivals"]) > barred or not timeline["bars"]
