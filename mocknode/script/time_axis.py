"""Shows a scenario run as one HTML file: node states, steps, streams and uploads on one time axis, and the same in tables.

No network and no script. Hover and focus give figures. The template engine escapes everything that came from outside.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jinja2

from mocknode.script.script_report import HEADLINES, MARKS, ScenarioReport
from mocknode.text.units import format_duration, format_size

WIDTH, LEFT, RIGHT, TOP = 1080, 110, 12, 8
LANE, GAP, STREAM, BAR = 16, 6, 56, 5
STEP_ROW: Final = 18
AXIS: Final = 24
TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
TICKS_MAX: Final = 14

_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("mocknode.script", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "duration": lambda value: "–" if value is None else format_duration(value),
    "words": lambda text: text.replace("_", " "),
}


def render(report: ScenarioReport) -> str:
    """Return the report as an HTML page."""
    return _ENVIRONMENT.get_template("time_axis.html.j2").render(
        d=report, headline=HEADLINES[report["result"]], marks=MARKS, chart=chart(report)
    )


class _Axis:
    def __init__(self, report: ScenarioReport) -> None:
        self.span_s = max(report["duration_s"], 1.0)

    def x(self, at_s: float) -> float:
        """Return the column of an instant."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(max(at_s / self.span_s, 0.0), 1.0), 1)

    def width(self, since_s: float, until_s: float) -> float:
        """Return the width of a span, never so small that it cannot be seen."""
        return max(round(self.x(until_s) - self.x(since_s), 1), 1.5)


def chart(report: ScenarioReport) -> dict[str, Any]:
    """Return the shapes of the picture."""
    axis = _Axis(report)
    nodes_top = TOP + STEP_ROW + GAP
    streams_top = nodes_top + len(report["nodes"]) * (LANE + GAP) + GAP
    uploads_top = streams_top + len(report["streams"]) * (STREAM + GAP) + GAP
    bottom = uploads_top + len(report["uploads"]) * BAR + GAP
    tick = next((s for s in TICKS if axis.span_s / s <= TICKS_MAX), TICKS[-1])
    spans = list(_spans(report["states"], report["nodes"], axis))
    return {
        "width": WIDTH,
        "height": bottom + AXIS,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": bottom,
        "steps": [_step(item, axis) for item in report["steps"]],
        "lane": LANE,
        "lanes": [
            {"name": node, "y": nodes_top + n * (LANE + GAP), "spans": [s for s in spans if s["node"] == node]}
            for n, node in enumerate(report["nodes"])
        ],
        "bands": [span for span in spans if span["state"] != "online"],
        "bands_top": streams_top,
        "streams": [
            _stream(name, figures, axis, streams_top + n * (STREAM + GAP), report["width_s"])
            for n, (name, figures) in enumerate(report["streams"].items())
        ],
        "uploads": [_upload(item, axis, uploads_top + n * BAR) for n, item in enumerate(report["uploads"])],
        "uploads_top": uploads_top,
        "columns": [{"x": axis.x(n * tick), "text": f"{n * tick} s"} for n in range(int(axis.span_s / tick) + 1)],
    }


def _spans(states: Sequence[Mapping[str, Any]], nodes: Sequence[str], axis: _Axis) -> Iterator[dict[str, Any]]:
    """Yield the states of each node with their place; a node is online before its first change."""
    for node in nodes:
        since, label, state = 0.0, "online", "online"
        changes = [s for s in states if s["node"] == node]
        for change in [*changes, None]:
            until = axis.span_s if change is None else max(change["at_s"], 0.0)
            if until > since:
                title = f"{node} {label}, {since:.1f} to {until:.1f} s"
                yield {"node": node, "x": axis.x(since), "w": axis.width(since, until), "state": state, "title": title}
            if change is not None:
                since, state, label = until, change["state"], change["how"] or change["state"]


def _step(item: Mapping[str, Any], axis: _Axis) -> dict[str, Any]:
    title = f"{item['id']} {item['text']}: {item['saw']} ({item['began_s']:.1f} to {item['ended_s']:.1f} s)"
    width = axis.width(item["began_s"], item["ended_s"])
    return {"x": axis.x(item["began_s"]), "w": width, "y": TOP, "ended": item["ended"], "title": title}


def _stream(name: str, figures: Mapping[str, Any], axis: _Axis, top: float, width_s: float) -> dict[str, Any]:
    """Return the bars of a stream: what failed in each interval, and on top of it what succeeded."""
    moments = figures["over_time"]
    most = max((m["acknowledged"] + m["failed"] for m in moments), default=0) or 1
    bars = []
    for moment in moments:
        x, w = axis.x(moment["at_s"]), axis.width(moment["at_s"], moment["at_s"] + width_s)
        took = ""
        if moment["p50_s"] is not None:
            took = f", p50 {format_duration(moment['p50_s'])}, p99 {format_duration(moment['p99_s'])}"
        title = f"{name} at {moment['at_s']:.0f} s: {moment['acknowledged']} succeeded, {moment['failed']} failed{took}"
        bottom = top + STREAM
        for told in ("failed", "acknowledged"):
            height = round(STREAM * moment[told] / most, 1)
            bottom -= height
            if height:
                bars.append({"x": x, "y": round(bottom, 1), "w": w, "h": height, "told": told, "title": title})
    return {"name": name, "y": top, "bars": bars, "most": f"{most / width_s:.0f}/s", "base": top + STREAM}


def _upload(item: Mapping[str, Any], axis: _Axis, top: float) -> dict[str, Any]:
    told = "acknowledged" if item["told"] == "acknowledged" else "failed"
    took = format_duration(item["ended_s"] - item["began_s"])
    by = f" by {item['node']}" if item["node"] else ""
    title = f"{item['stream']}: {format_size(item['size'])} in {took}, {item['told']}{by}, from {item['began_s']:.1f} s"
    width = axis.width(item["began_s"], item["ended_s"])
    return {"x": axis.x(item["began_s"]), "w": width, "y": top, "told": told, "title": title}
