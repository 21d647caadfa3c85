"""A timeline as shapes on a plane of 1000 points: the geometry of the HTML report's SVG, without a word of markup.

Top down: an axis, a lane a node (states shaded, faults below, ticks for probes and requests), the check's own steps,
then each attempt as a pair of bars, client above node. Whatever a colour says, a text or a shape says too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mocknode.judge.report.wording import plain, seconds
from mocknode.text.units import format_size

WIDTH: Final = 1000
LEFT: Final = 150
RIGHT: Final = 985
# Room for the words behind a bar that ends at the right edge.
BAR_WORDS: Final = 190
AXIS_TICKS: Final = 10
_CHARACTER: Final = 6.2
AXIS_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle; `kind` is its CSS class, `title` what a pointer or a screen reader is told."""

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
    """Many strokes of one kind in one path."""

    path: str
    kind: str


@dataclass(slots=True)
class Drawing:
    """Shapes in painting order, and the height they take."""

    title: str
    height: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    lines: list[Lines] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)


def draw(timeline: Mapping[str, Any]) -> Drawing | None:
    """The drawing of a report's timeline, None where nothing happened."""
    if not timeline["span_s"]:
        return None
    return _Pen(timeline).drawing()


class _Pen:
    """Draws row after row; `y` is where the next one starts."""

    def __init__(self, timeline: Mapping[str, Any]) -> None:
        self.timeline = timeline
        self.span_s = float(timeline["span_s"])
        self.right = RIGHT - (BAR_WORDS if timeline["bars"] else 0)
        self.out = Drawing(title=f"Timeline of {timeline['check']} over {seconds(self.span_s)}")
        self.y = 26.0

    def drawing(self) -> Drawing:
        lanes = [lane for lane in self.timeline["lanes"] if _says_something(lane, self.timeline)]
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
        """A box over a span of seconds, at least one point wide to be seen; its width."""
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

    def _lane(self, lane: Mapping[str, Any]) -> None:
        self.say(LEFT - 10, lane["node"], "name", dy=13, anchor="end")
        self._spans(lane["states"], 18, "state")
        self.y += 18
        if lane["faults"]:
            self._spans(lane["faults"], 14, "fault")
            self.y += 14
        if lane.get("polling") or lane.get("cuts"):
            self.say(LEFT - 10, self._polling_name(lane["polling"]), "small", dy=10, anchor="end")
            self._spans(lane["polling"], 14, "polling")
            self._cuts(lane.get("cuts") or [])
            self.y += 14
        for name, word in (("polls", "new polls"), ("probes", "probes"), ("arrivals", "requests")):
            if lane.get(name):
                self.say(LEFT - 10, word, "small", dy=10, anchor="end")
                self._ticks(lane[name], name)
                self.y += 12
        self.y += 8

    def _polling_name(self, spans: list[Mapping[str, Any]]) -> str:
        """With the most that lived at once, where the span in which they did is too short to say so."""
        most = max(spans, key=lambda span: int(span["label"].partition(" ")[0]), default=None)
        if most is None or self._fits(most["label"], self.x(most["to_s"]) - self.x(most["from_s"])):
            return "polling"
        return f"up to {most['label']}"

    @staticmethod
    def _fits(label: str, width: float) -> bool:
        return len(label) * _CHARACTER + 8 <= width

    def _spans(self, spans: list[Mapping[str, Any]], height: float, family: str) -> None:
        for span in spans:
            label = span["label"]
            kind = f"{family} {label.partition(':')[0]}" if family == "state" else family
            title = f"{label} from {seconds(span['from_s'])} to {seconds(span['to_s'])}"
            width = self.box(span["from_s"], span["to_s"], height, kind, title)
            if self._fits(label, width):
                self.say(self.x(span["from_s"]) + 5, label, "in", dy=height - 5 + (height < 16) * 1.5)

    def _cuts(self, cuts: list[tuple[float, int]]) -> None:
        """A stroke where connections were cut, and how many they were in all, where the last one was."""
        if not cuts:
            return
        path = "".join(f"M{x} {self.y:g}v14" for x in dict.fromkeys(self.x(at_s) for at_s, _ in cuts))
        self.out.lines.append(Lines(path=path, kind="cuts"))
        x, text = self.x(cuts[-1][0]), f"{sum(n for _, n in cuts)} cut"
        if x + 5 + len(text) * _CHARACTER < WIDTH:
            self.say(x + 5, text, "told bad", dy=11)
        else:
            self.say(x - 5, text, "told bad", dy=11, anchor="end")

    def _ticks(self, ticks: list[tuple[float, int | None]], family: str) -> None:
        """Good and bad answers differ in height as well as in colour."""
        good = [t for t, status in ticks if status is not None and status < 300]
        bad = [t for t, status in ticks if status is None or status >= 300]
        for times, kind, top in ((good, "good", 4), (bad, "bad", 1)):
            if times:
                path = "".join(f"M{self.x(t)} {self.y + top:g}v{11 - top}" for t in times)
                self.out.lines.append(Lines(path=path, kind=f"tick {family} {kind}"))

    def _marks(self) -> None:
        """A stroke a step over all lanes; its words as far as they don't run into the next one's."""
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
            # Where the next stroke or the edge comes too soon the words stand before theirs, if there is room.
            before = x + 5 + width > next_x and (x - 5 - width > min(free) or next_x == WIDTH)
            row = next((r for r, end in enumerate(free) if (x - 5 - width if before else x) >= end), None)
            if row is not None:
                self.say(
                    x - 5 if before else x + 5, text, "small", dy=11 + row * 12, anchor="end" if before else "start"
                )
                free[row] = x + 2 if before else x + 12 + width
        self.out.lines.insert(0, Lines(path="".join(strokes), kind="step"))
        self.y += 34

    def _bar(self, bar: Mapping[str, Any]) -> None:
        size = f" {format_size(bar['bytes'])}" if bar["bytes"] else ""
        self.say(LEFT - 10, f"{bar['variant'] or bar['attempt']}{size}"[:24], "name", dy=10, anchor="end")
        for from_s, to_s, kind, word in client_phases(bar):
            title = f"client {word} from {seconds(from_s)} to {seconds(to_s)}: {bar['title']} ({bar['attempt']})"
            self.box(from_s, to_s, 11, f"client {kind}", title)
        good = bar["told"] == "acknowledged"
        if not good:
            self._cut(bar["end_s"], 11)
        self.say(self.x(bar["end_s"]) + 5, told(bar), "told good" if good else "told bad", dy=10)
        self.y += 13
        for seen in bar["at"]:
            self.say(LEFT - 10, seen["node"], "small", dy=9, anchor="end")
            for from_s, to_s, kind, word in node_phases(seen, self.span_s):
                title = f"{seen['node']} {word} from {seconds(from_s)} to {seconds(to_s)}"
                self.box(from_s, to_s, 9, f"node {kind}", title)
            end_s = self.span_s if seen["end_s"] is None else seen["end_s"]
            if seen["end"] not in ("complete", None):
                self._cut(end_s, 9)
            self.say(self.x(end_s) + 5, seen_as(seen), "told", dy=9)
            self.y += 13
        self.y += 7

    def _cut(self, at_s: float, height: float) -> None:
        self.out.boxes.append(Box(x=self.x(at_s) - 3, y=self.y, width=3, height=height, kind="cut"))


def client_phases(bar: Mapping[str, Any]) -> Iterator[tuple[float, float, str, str]]:
    """From, to, kind and verb of what the client did, phase after phase."""
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


def node_phases(seen: Mapping[str, Any], span_s: float) -> Iterator[tuple[float, float, str, str]]:
    """From, to, kind and verb of what a node saw and did; a request still open lasts to the end."""
    end_s = span_s if seen["end_s"] is None else seen["end_s"]
    last_s = seen["last_body_s"]
    if last_s is None:
        yield seen["start_s"], end_s, "wait", "answers"
        return
    first_s = seen["start_s"] if seen["first_body_s"] is None else seen["first_body_s"]
    if first_s > seen["start_s"]:
        yield seen["start_s"], first_s, "head", "has the head alone"
    yield first_s, last_s, "body", "reads the body"
    if end_s > last_s:
        yield last_s, end_s, "wait", "thinks"


def told(bar: Mapping[str, Any]) -> str:
    """What the client was told, and by whom."""
    if bar["status"] is None:
        return f"{bar['end']} after {seconds(bar['end_s'] - bar['start_s'])}"
    return f"{bar['status']} from {bar['node']}" if bar["node"] else f"{bar['status']}, not from a node"


def seen_as(seen: Mapping[str, Any]) -> str:
    """How the request ended for the node."""
    size = f"{format_size(seen['received'])} {'whole' if seen['complete'] else 'torn'}, "
    whole = "" if seen["last_body_s"] is None else size
    answer = f"{seen['status']} sent" if seen["status"] is not None else "no answer sent"
    cut = {"complete": "", None: ", never ended"}.get(seen["end"], f", then {seen['end']}")
    return f"{whole}{answer}{cut}"


def _says_something(lane: Mapping[str, Any], timeline: Mapping[str, Any]) -> bool:
    """A lane that was online throughout, and all of whose requests are bars, is a line of nothing."""
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
