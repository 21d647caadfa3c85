"""Explains one check on a screen: what happened and why, from a report; without one, what it claims and who breaks it."""

import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from rich.cells import cell_len
from rich.text import Text

from mocknode.judge.balancers import title
from mocknode.judge.report import text_timeline
from mocknode.judge.report.document import ReportError
from mocknode.judge.report.schema import Bar, Report, ReportedCheck, ReportedVariant, Timeline
from mocknode.judge.report.screen import diff, only
from mocknode.judge.report.terminal import WIDTH, draw
from mocknode.judge.report.wording import SIGNS, figures
from mocknode.judge.verdict.outcome import Fix
from mocknode.text.foreign import plain

_INDENT: Final = 12
# Pictures of attempts on one screen: the worst two show a pattern, and more would push the fix off the screen.
STORIES_MAX: Final = 2
# A successful attempt that was quicker than this gets no picture: nobody noticed it.
STORY_S_MIN: Final = 1.0
# Variants whose figures are listed; HC-02 alone has seventeen.
MEASURED_MAX: Final = 6
# A picture has at least this many columns, however long the words behind it are.
_COLUMNS_MIN: Final = 30
_DIFF: Final = {"added": "green", "removed": "red", "kept": ""}


class Entry(Protocol):
    """What a catalogue says about a check."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def profile(self) -> str: ...  # noqa: D102
    @property
    def claim(self) -> str: ...  # noqa: D102
    @property
    def offenders(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def quick(self) -> str: ...  # noqa: D102
    @property
    def full(self) -> str: ...  # noqa: D102


def explain(
    check_id: str,
    document: Report | None = None,
    *,
    entry: Entry | None = None,
    fixes: Sequence[tuple[str, Fix]] = (),
    limits: Sequence[str] = (),
    width: int = WIDTH,
    colour: bool = False,
    unicode: bool = True,
) -> str:
    """Return the screen of one check.

    Args:
        check_id: Id of the check, for example `UP-04`.
        document: A report; None shows the catalogue's entry.
        entry: The check in the catalogue; needed without a report.
        fixes: Causes and the fix of each balancer, for the catalogue's entry.
        limits: A sentence for each balancer that cannot be fixed, for the catalogue's entry.
        width: Columns.
        colour: Whether to use ANSI colours.
        unicode: False gives ASCII.

    Raises:
        ReportError: the report has not judged this check, or nothing is known about it.
    """
    if document is not None:
        lines = _judged(_find(check_id, document), document, width)
    elif entry is not None:
        lines = _entry(entry, fixes, limits, width)
    else:
        raise ReportError(f"nothing is known about {check_id}: neither a report nor the catalogue was given")
    return draw(lines, colour=colour, unicode=unicode)


def _find(check_id: str, document: Report) -> ReportedCheck:
    for check in document["checks"]:
        if check["id"] == check_id:
            return check
    if check_id in document["unfinished"]:
        raise ReportError(f"{check_id} was planned, but the run ended before it was judged")
    there = ", ".join(check["id"] for check in document["checks"]) or "none"
    raise ReportError(f"this report has not judged {check_id}; it has {there}")


def _judged(check: ReportedCheck, document: Report, width: int) -> list[Text]:
    sign = SIGNS[check["outcome"]]
    title = Text().append(f"{sign.mark} {check['id']} {check['name']}", sign.style)
    levels = dict.fromkeys(v["level"] for v in check["variants"] if v["outcome"] == check["outcome"])
    parts = [sign.one, *levels, *([f"cause {check['cause']}"] if check["cause"] else [])]
    parts += [f"{check['tries']} tries"] if check["tries"] > 1 else []
    lines = [title.append(" · " + " · ".join(plain(part) for part in parts))]
    lines += _wrapped(check["summary"], width, indent=2)
    for name, text in (("hurts", check["hurts"]), ("claim", document["claims"].get(check["id"]))):
        lines += _field(name, [text] if text else [], width)
    if check["caused_by"]:
        lines += _field("root", [f"a consequence of {check['caused_by']}: fix that first"], width)
    lines += _pictures(check, document, width)
    lines += [Text(), *_variants(check["variants"], width)]
    lines += _field("measured", _measured(check), width)
    skipped = [variant for variant in check["variants"] if variant["outcome"] == "skip"]
    lines += _field(
        "skipped", [f"{v['name']}: {v['summary']}" for v in skipped if v["summary"] != check["summary"]], width
    )
    lines += _field("not it", [text.removeprefix("not ") for text in check["ruled_out"]], width)
    if document["tier"] == "quick":
        lines += _field("tier", ["quick: a shorter form of the claim was tested"], width)
    for fix in check["fixes"]:
        lines += [Text(), *_fix("fix", fix["file"], fix["snippet"], fix["costs"], width)]
    if check["outcome"] not in ("pass", "skip", "observed"):
        lines.append(_label("prove it").append(only(document["reproduce"], (check["id"],))))
    if check["outcome"] in ("fail", "advice"):
        waiver = f"accept: [{{id: {check['id']}, because: ..., until: ...}}] in the balancer file"
        lines.append(_label("live with").append(waiver))
    return lines


def _pictures(check: ReportedCheck, document: Report, width: int) -> list[Text]:
    timeline = document["timelines"].get(check["id"])
    if not timeline or not timeline["span_s"]:
        return []
    lines: list[Text] = []
    for bar in _telling(check, timeline):
        title = " ".join(part for part in (bar["variant"], bar["title"]) if part)
        lines += [Text(), Text(f"{'':{_INDENT}}{plain(title)}", "dim")]
        lines += _fitted(partial(text_timeline.story, bar), width)
    if text_timeline.eventful(timeline):
        lines += [Text(), *_fitted(partial(text_timeline.states, timeline), width)]
    return lines


def _telling(check: ReportedCheck, timeline: Timeline) -> list[Bar]:
    """Return the attempts to draw: those of failed variants first, then those that went wrong, then the longest."""
    wrong = {variant["name"] for variant in check["variants"] if variant["outcome"] != "pass"}

    def rank(bar: Bar) -> tuple[bool, bool, float]:
        return bar["variant"] not in wrong, bar["told"] == "acknowledged", bar["start_s"] - bar["end_s"]

    bars = [bar for bar in timeline["bars"] if _has_a_story(bar)]
    return sorted(bars, key=rank)[: STORIES_MAX if wrong else 1]


def _has_a_story(bar: Bar) -> bool:
    """Return whether an attempt took long, went wrong or went to several nodes; any other picture would show nothing."""
    return bar["end_s"] - bar["start_s"] >= STORY_S_MIN or bar["told"] != "acknowledged" or len(bar["at"]) > 1


def _fitted(rows: Callable[[int], list[text_timeline.Row]], width: int) -> list[Text]:
    """Return a picture as wide as its names and the words behind it allow."""
    least = rows(_COLUMNS_MIN)
    indent = max(_INDENT, *(len(name) + 3 for name, _, _ in least))
    room = width - indent - max(len(words) for _, _, words in least) - 1
    lines = []
    for name, picture, words in rows(max(room, _COLUMNS_MIN)):
        line = Text(f"  {plain(name) if name.strip() == name else name:<{indent - 2}}").append(picture)
        lines.append(line.append(f" {plain(words)}" if words else ""))
    return lines


def _variants(variants: Sequence[ReportedVariant], width: int) -> list[Text]:
    """Return the variants with their signs; no line break separates a name from its sign."""
    lines = [_label("variants")]
    for variant in variants:
        sign = SIGNS[variant["outcome"]]
        name = plain(variant["name"])
        if lines[-1].cell_len + cell_len(name) + 2 > width:
            lines.append(Text(" " * _INDENT))
        lines[-1].append(f"{name} ").append(sign.mark, sign.style).append("  ")
    return lines


def _measured(check: ReportedCheck) -> list[str]:
    wrong = [variant for variant in check["variants"] if variant["outcome"] not in ("pass", "skip")]
    lines = []
    for variant in wrong[:MEASURED_MAX]:
        facts = [f"{name} {value or '(empty)'}" for name, value in figures(variant["evidence"])]
        facts += [variant["summary"]] if variant["summary"] != check["summary"] else []
        if facts:
            lines.append(f"{variant['name']}: {', '.join(facts)}")
    if len(wrong) > MEASURED_MAX:
        lines.append(f"and {len(wrong) - MEASURED_MAX} more variants in the report")
    return lines


def _entry(entry: Entry, fixes: Sequence[tuple[str, Fix]], limits: Sequence[str], width: int) -> list[Text]:
    lines = [Text().append(f"{entry.id} {entry.name}", "bold").append(f" · {entry.profile}")]
    lines += [*_wrapped(entry.claim, width, indent=2), Text()]
    lines += _field("quick", [entry.quick], width)
    lines += _field("full", [entry.full], width)
    lines += _field("breaks it", entry.offenders, width)
    lines += _field("no remedy", limits, width)
    for causes, fix in fixes:
        name = f"{title(fix.balancer)}: {fix.file} ({causes})"
        lines += [Text(), *_fix("fix", name, fix.snippet, fix.costs, width)]
    return [*lines, Text(), _label("judge it").append(f"mocknode check ... --only {entry.id}")]


def _fix(label: str, title: str, snippet: str, costs: str, width: int) -> list[Text]:
    lines = _field(label, [title], width)
    lines += [Text(" " * _INDENT).append(_line(text), _DIFF[kind]) for kind, text in diff(snippet)]
    return [*lines, *_wrapped(f"costs you: {costs}", width, indent=_INDENT)]


def _line(text: str) -> str:
    """Return a line of a snippet with its sign and indentation, and without control characters."""
    body = text.lstrip(" +-")
    return text[: len(text) - len(body)] + plain(body)


def _field(label: str, texts: Sequence[str], width: int) -> list[Text]:
    lines: list[Text] = []
    hang = "  " if len(texts) > 1 else ""
    for text in texts:
        for part in textwrap.wrap(plain(text), width - _INDENT, subsequent_indent=hang, break_on_hyphens=False):
            lines.append((Text(" " * _INDENT) if lines else _label(label)).append(part))
    return lines


def _label(label: str) -> Text:
    return Text(f"  {label:<{_INDENT - 2}}")


def _wrapped(text: str, width: int, *, indent: int) -> list[Text]:
    return [Text(" " * indent + part) for part in textwrap.wrap(plain(text), width - indent, break_on_hyphens=False)]
