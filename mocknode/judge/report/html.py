"""Shows a report as one HTML file that opens from an e-mail: no network, light and dark, a link to each check such as `#UP-04`.

The template engine escapes everything that came from outside; nothing here builds markup.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import jinja2

from mocknode.judge.report.drawing import draw
from mocknode.judge.report.schema import Report, ReportedCheck, ReportedVariant, Timeline
from mocknode.judge.report.screen import diff, only, screen
from mocknode.judge.report.wording import SIGNS, WORST_FIRST, figures
from mocknode.text.units import format_duration

# Mail gateways and issue trackers accept a megabyte.
HTML_BYTES_MAX: Final = 1_000_000
# Raw evidence of a check; the JSON has all of it. Ten variants with ten facts each take 4000 characters.
EVIDENCE_CHARACTERS_MAX: Final = 6000
# Most figures behind a variant: nobody reads a longer line.
FIGURES_MAX: Final = 12
# Configurations of our balancers take 1 to 8 KiB.
CONFIGURATION_CHARACTERS_MAX: Final = 24 * 1024
_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("mocknode.judge.report", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(document: Report) -> str:
    """Return the report as a page of at most `HTML_BYTES_MAX`.

    A page that would be larger loses timelines, those of good checks first, and then the raw evidence; the JSON has both.
    """
    bare = _page(document, {}, evidence=True)
    evidence = _size(bare) <= HTML_BYTES_MAX
    if not evidence:
        bare = _page(document, {}, evidence=False)
    pictures: dict[str, str] = {}
    room = HTML_BYTES_MAX - _size(bare)
    for check in _worst_first(document):
        picture = _picture(document["timelines"].get(check["id"]))
        if picture and _size(picture) <= room:
            pictures[check["id"]] = picture
            room -= _size(picture)
    return _page(document, pictures, evidence=evidence)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _worst_first(document: Report) -> list[ReportedCheck]:
    return sorted(document["checks"], key=lambda check: WORST_FIRST.index(check["outcome"]))


def _page(document: Report, pictures: Mapping[str, str], *, evidence: bool) -> str:
    checks = _worst_first(document)
    return _ENVIRONMENT.get_template("report.html.j2").render(
        document=document,
        screen=screen(document),
        signs=SIGNS,
        checks=checks,
        names={check["id"]: check["name"] for check in checks},
        telling={check["id"]: _telling(check) for check in checks},
        pictures=pictures,
        evidence={check["id"]: _evidence(check) if evidence else "" for check in checks},
        configuration={
            name: _cut(text, CONFIGURATION_CHARACTERS_MAX) for name, text in document["configuration"].items()
        },
        figures=_figures,
        format_duration=format_duration,
        only=lambda id_: only(document["reproduce"], (id_,)),
        diff=diff,
    )


def _picture(timeline: Timeline | None) -> str | None:
    drawing = draw(timeline) if timeline else None
    if drawing is None:
        return None
    return _ENVIRONMENT.get_template("timeline.svg.j2").render(drawing=drawing)


def _figures(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    return figures(evidence)[:FIGURES_MAX]


def _telling(check: ReportedCheck) -> list[ReportedVariant]:
    """Return the variants that failed and say more than the check's own summary."""
    return [
        variant
        for variant in check["variants"]
        if variant["outcome"] != "pass" and (variant["summary"] != check["summary"] or figures(variant["evidence"]))
    ]


def _evidence(check: ReportedCheck) -> str:
    raw = {variant["name"]: variant["evidence"] for variant in check["variants"] if variant["evidence"]}
    return _cut(json.dumps(raw, indent=1, ensure_ascii=False), EVIDENCE_CHARACTERS_MAX) if raw else ""


def _cut(text: str, count: int) -> str:
    return text if len(text) <= count else f"{text[:count]}\n… {len(text) - count} characters more"
