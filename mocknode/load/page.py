"""Shows a load run as one HTML file that opens from an e-mail: no network, no script, light and dark.

Latency, uploads and the states of the nodes share one time axis, one above the other, so that the effect of a drain is seen above
it. The template engine escapes everything that came from outside.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import jinja2

from mocknode.judge.record.history import Told
from mocknode.judge.record.ledger import CLASSES
from mocknode.load.schema import LoadReport, Moment, NodeState
from mocknode.load.terminal import NO_LEDGER, WORDS, size_limit
from mocknode.text.units import format_duration, format_size

WIDTH, LEFT, RIGHT = 1080, 62, 12
LATENCY_TOP, LATENCY_HEIGHT = 14, 220
COUNT_TOP, COUNT_HEIGHT = 262, 80
LANES_TOP, LANE, LANE_GAP = 366, 16, 6
AXIS: Final = 24
STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
TICKS_MAX: Final = 14
TOLD_FROM_BELOW: Final[tuple[Told, ...]] = ("error", "nothing", "acknowledged")
"""Parts of a bar, failures first: they stay visible however tall the bar is."""

_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("mocknode.load", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "duration": lambda value: "–" if value is None else format_duration(value),
    "size": format_size,
    "limit": size_limit,
    "words": lambda text: text.replace("_", " "),
}


def render(document: LoadReport) -> str:
    """Return the report as an HTML page."""
    return _ENVIRONMENT.get_template("page.html.j2").render(
        d=document, verdict=WORDS[document["result"]], classes=CLASSES, chart=chart(document), no_ledger=NO_LEDGER
    )


class _Axes:
    """Maps seconds to columns, and latencies to rows (logarithmic: an upload takes 20 ms or 20 s)."""

    def __init__(self, document: LoadReport) -> None:
        points = document["over_time"]
        self.span_s: float = max(
            document["duration_s"], max((p["at_s"] + p["width_s"] for p in points), default=1.0), 1.0
        )
        values = [value for p in points for value in (p["p50_s"], p["p99_s"]) if value]
        self.low: float = 10.0 ** math.floor(math.log10(min(values, default=0.01)))
        self.high: float = max(10.0 ** math.ceil(math.log10(max(values, default=1.0))), self.low * 10)

    def x(self, at_s: float) -> float:
        """Return the column of an instant."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(max(at_s / self.span_s, 0.0), 1.0), 1)

    def y(self, seconds: float) -> float:
        """Return the row of a latency."""
        share = math.log(max(seconds, self.low) / self.low) / math.log(self.high / self.low)
        return round(LATENCY_TOP + LATENCY_HEIGHT * (1 - share), 1)


def chart(document: LoadReport) -> dict[str, Any] | None:
    """Return the shapes of the picture; None if nothing was uploaded."""
    points = document["over_time"]
    if not points:
        return None
    axes = _Axes(document)
    spans = list(_spans(document["states"], document["nodes"], axes.span_s))
    lanes_end = LANES_TOP + len(document["nodes"]) * (LANE + LANE_GAP)
    step = next((s for s in STEPS if axes.span_s / s <= TICKS_MAX), STEPS[-1])
    most = max(sum(p["told"].values()) / p["width_s"] for p in points)
    return {
        "width": WIDTH,
        "height": lanes_end + AXIS,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": lanes_end,
        "top": LATENCY_TOP,
        "bands": [
            {"x": axes.x(s["from"]), "w": round(axes.x(s["to"]) - axes.x(s["from"]), 1), "state": s["state"], "title": s["title"]}
            for s in spans
            if s["state"] != "online"
        ],
        "lanes": [
            {
                "node": node,
                "y": LANES_TOP + index * (LANE + LANE_GAP),
                "spans": [
                    {"x": axes.x(s["from"]), "w": round(axes.x(s["to"]) - axes.x(s["from"]), 1), **s}
                    for s in spans
                    if s["node"] == node
                ],
            }
            for index, node in enumerate(document["nodes"])
        ],
        "lane": LANE,
        "p50": list(_lines(points, "p50_s", axes)),
        "p99": list(_lines(points, "p99_s", axes)),
        "rows": [
            {"y": axes.y(10.0**e), "text": format_duration(10.0**e)}
            for e in range(round(math.log10(axes.low)), round(math.log10(axes.high)) + 1)
        ],
        "columns": [{"x": axes.x(n * step), "text": f"{n * step}{' s' if n == 0 else ''}"} for n in range(int(axes.span_s / step) + 1)],
        "bars": list(_bars(points, most, axes)),
        "most": f"{most:.0f}/s",
        "count_top": COUNT_TOP,
        "count_bottom": COUNT_TOP + COUNT_HEIGHT,
    }  # fmt: skip


def _spans(states: Sequence[NodeState], nodes: Iterable[str], end_s: float) -> Iterator[dict[str, Any]]:
    """Yield the states of each node with their start and end; a node is online before its first change."""
    for node in nodes:
        since, state, how = 0.0, "online", None
        for change in [s for s in states if s["node"] == node]:
            if change["at_s"] > 0:
                yield _span(node, since, change["at_s"], state, how)
            since, state, how = max(change["at_s"], 0.0), change["state"], change["how"]
        yield _span(node, since, end_s, state, how)


def _span(node: str, since: float, until: float, state: str, how: str | None) -> dict[str, Any]:
    label = how or state
    title = f"{node} {label}, {since:.1f} to {until:.1f} s"
    return {"node": node, "from": since, "to": until, "state": state, "label": label, "title": title}


def _lines(points: Sequence[Moment], key: Literal["p50_s", "p99_s"], axes: _Axes) -> Iterator[str]:
    """Yield polylines, with a gap where nothing was acknowledged."""
    line: list[str] = []
    expected = None
    for point in points:
        took_s = point[key]
        if took_s is None or (expected is not None and point["at_s"] > expected + point["width_s"] / 2):
            if line:
                yield " ".join(line)
            line = []
        if took_s is not None:
            line.append(f"{axes.x(point['at_s'] + point['width_s'] / 2)},{axes.y(took_s)}")
        expected = point["at_s"] + point["width_s"]
    if line:
        yield " ".join(line)


def _bars(points: Sequence[Moment], most: float, axes: _Axes) -> Iterator[dict[str, Any]]:
    for point in points:
        x, y = axes.x(point["at_s"]), float(COUNT_TOP + COUNT_HEIGHT)
        width = max(round(axes.x(point["at_s"] + point["width_s"]) - x - 0.6, 1), 0.6)
        for told in TOLD_FROM_BELOW:
            if count := point["told"].get(told):
                height = COUNT_HEIGHT * count / point["width_s"] / most
                y -= height
                title = f"{point['at_s']:.0f} s: {count} {told}"
                yield {"x": x, "y": round(y, 1), "w": width, "h": round(height, 1), "told": told, "title": title}
