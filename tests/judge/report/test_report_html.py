"""The HTML report: one file, safe, small, linkable."""

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mocknode.judge.record.history import History
from mocknode.judge.report import Timeline, build, timeline
from mocknode.judge.report.drawing import draw
from mocknode.judge.report.html import HTML_BYTES_MAX, render
from mocknode.judge.report.schema import Bar, Interval, Lane, Mark, NodeBar
from mocknode.judge.report.tracing import BARS_MAX, INTERVALS_MAX, MARKS_MAX, POLLING_SPANS, TICKS_MAX
from mocknode.judge.verdict.outcome import Fix, Outcome, Variant, merge
from tests.judge.report.uploads import NO_UPLOADS

VOID = {"meta", "br", "link", "input", "img", "hr"}


class Page(HTMLParser):
    """Counts elements, collects ids, links and text, and fails on elements that don't nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "xlink:href")]
        assert not [name for name in found if name.startswith("on")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_is_whole_and_stands_alone(document: dict[str, Any]) -> None:
    text = render(document)
    page = Page(text)
    assert page.tags["script"] == page.tags["link"] == page.tags["img"] == page.tags["iframe"] == 0
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_every_check_is_linkable_and_every_link_leads_somewhere(document: dict[str, Any]) -> None:
    page = Page(render(document))
    checks = [check["id"] for check in document["checks"]]
    assert set(checks) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_faults_come_first_and_say_their_outcome_in_words(document: dict[str, Any]) -> None:
    page = Page(render(document))
    assert [id_ for id_ in page.ids if re.fullmatch(r"[A-Z]{2}-\d\d", id_)][:4] == ["HC-02", "PR-01", "UP-03", "UP-04"]
    words = " ".join(page.text)
    for outcome in ("core fault", "advice", "limitation", "observed", "pass"):
        assert outcome in words


def test_timelines_configuration_evidence_and_command_are_in_it(document: dict[str, Any]) -> None:
    text = render(document)
    page = Page(text)
    assert page.tags["svg"] == 3
    words = " ".join(page.text)
    assert "504, not from a node" in words
    assert "status 302 on ping" in words
    assert "timeout server 50s" in words
    assert '"cut_after_s": 50.02' in words
    assert "mocknode check --with haproxy --mode stock --seed 42 --only HC-02,PR-01" in words


@pytest.mark.parametrize(
    "nasty", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</pre></section>", "{{ 7*7 }}"]
)
def test_nothing_from_outside_becomes_markup(document: dict[str, Any], nasty: str) -> None:
    before = Page(render(document)).tags
    page = Page(render(spoil(document, nasty)))
    # Longer texts leave less room for words in the drawings and add figures that were empty.
    assert {tag: count for tag, count in page.tags.items() if tag not in ("text", "span", "br")} == {
        tag: count for tag, count in before.items() if tag not in ("text", "span", "br")
    }
    assert nasty in "".join(page.text)


KEPT = (
    "schema",
    "result",
    "started",
    "tier",
    "outcome",
    "level",
    "levels",
    "id",
    "check",
    "caused_by",
    "told",
    "end",
    "role",
    "label",
)


def spoil(value: Any, nasty: str) -> Any:
    """The document with `nasty` behind every free text."""
    if isinstance(value, dict):
        return {key: item if key in KEPT else spoil(item, nasty) for key, item in value.items()}
    if isinstance(value, list):
        return [spoil(item, nasty) for item in value]
    return value + nasty if isinstance(value, str) and not value.startswith("mocknode check") else value


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(text=st.text())
def test_any_text_gives_a_page_that_nests(text: str, document: dict[str, Any]) -> None:
    Page(render(spoil(document, text)))


def fullest(check_id: str) -> Timeline:
    """A timeline at all its limits, with the longest texts that it takes."""
    seen = NodeBar(
        node="node-1", start_s=1.23, first_body_s=2.34, last_body_s=40.12, end_s=99.99, status=None, end="rst",
        received=10**10, complete=True,
    )  # fmt: skip
    bar = Bar(
        attempt="0123456789abcdef", variant="variant-name", title="POST " + "x" * 115, bytes=10**10, start_s=1.01, head_s=1.02,
        body_s=33.33, response_s=88.88, end_s=99.99, told="error", end="complete", status=504, node=None, at=[seen, seen],
    )  # fmt: skip
    ticks = [(n * 0.66, 200 if n % 2 else 418) for n in range(TICKS_MAX)]
    spans = [Interval(from_s=n, to_s=n + 1.0, label=("online", "draining")[n % 2]) for n in range(INTERVALS_MAX)]
    lanes = [Lane(node=f"node-{n}", states=spans, faults=spans, probes=ticks, arrivals=ticks) for n in range(1, 5)]
    marks = [Mark(t_s=n * 3.3, what="a-step", text="y" * 120) for n in range(MARKS_MAX)]
    return Timeline(
        check=check_id, start_ns=1, span_s=100.0, lanes=lanes, bars=[bar] * BARS_MAX, marks=marks, left_out={}
    )


def test_fullest_report_of_forty_checks_stays_below_the_limit(facts: Any) -> None:
    evidence = {f"fact_{n}": '"<quoted & long>"' * 4 for n in range(40)}
    fix = Fix(balancer="haproxy", file="haproxy.cfg", snippet="+ a\n" * 30, costs="x" * 200)
    results, timelines = [], {}
    for number in range(40):
        outcome = (Outcome.FAIL, Outcome.PASS, Outcome.PASS, Outcome.ADVICE)[number % 4]
        variants = [
            Variant(name=f"v{n}", level="core", tier="full", outcome=outcome, summary="s" * 200, evidence=evidence)
            for n in range(5)
        ]
        id_ = f"{('HC', 'DR', 'UP', 'RT')[number % 4]}-{number:02}"
        results.append(merge(id_, "a-name", "web", variants, duration_s=1))
        timelines[id_] = fullest(id_)
    document = build(facts(), results, NO_UPLOADS, timelines)
    document["checks"][0]["fixes"] = [
        {"balancer": fix.balancer, "file": fix.file, "snippet": fix.snippet, "costs": fix.costs}
    ]
    text = render(document)
    assert len(text.encode()) <= HTML_BYTES_MAX
    assert "The timeline is in the JSON report" in text
    assert Page(text).tags["svg"] > 1


def test_one_full_timeline_of_four_lanes_is_small(facts: Any) -> None:
    one = merge("HC-01", "n", "web", [], duration_s=1)
    empty = len(render(build(facts(), [one], NO_UPLOADS, {})))
    assert len(render(build(facts(), [one], NO_UPLOADS, {"HC-01": fullest("HC-01")}))) - empty < 120_000


def test_one_full_timeline_of_polling_is_small(facts: Any) -> None:
    """Checks of Tentacles upload nothing and set no faults."""
    one = merge("TL-03", "n", "polling", [], duration_s=1)
    empty = len(render(build(facts(), [one], NO_UPLOADS, {})))
    full = fullest("TL-03")
    live = [Interval(from_s=n, to_s=n + 1.0, label=f"{n + 1} polling") for n in range(POLLING_SPANS)]
    lanes: list[Lane] = [{**lane, "faults": [], "polling": live, "polls": lane["probes"]} for lane in full["lanes"]]
    polled: Timeline = {**full, "lanes": lanes, "bars": []}
    assert empty < len(render(build(facts(), [one], NO_UPLOADS, {"TL-03": polled}))) < empty + 120_000


def test_shapes_stay_on_the_canvas(document: dict[str, Any]) -> None:
    for one in document["timelines"].values():
        drawing = draw(one)
        assert drawing is not None
        for box in drawing.boxes:
            assert 0 <= box.x <= box.x + box.width <= 1000
            assert 0 <= box.y <= box.y + box.height <= drawing.height
        assert all(0 <= words.x <= 1000 and 0 < words.y <= drawing.height for words in drawing.words)


def test_empty_timeline_has_no_drawing() -> None:
    assert draw(timeline(History(), "HC-01")) is None


def test_report_of_a_run_that_has_just_begun_has_a_page(facts: Any) -> None:
    text = render(
        build(facts(result="partial", calibration=None, planned=("HC-01",), notes=("a note",)), [], NO_UPLOADS, {})
    )
    assert "no check has been judged" in text
    assert "Not done: HC-01" in text
    Page(text)


def test_a_check_that_passed_says_what_holds_and_why_a_variant_was_skipped(document: dict[str, Any]) -> None:
    section = render(document).partition('<section id="UP-08"')[2].partition("</section>")[0]
    assert "<p>holds</p>" in section
    assert "trailers skipped: needs HTTP/2 at the front door" in section


def test_every_colour_of_a_drawing_is_in_the_legend(document: dict[str, Any]) -> None:
    text = render(document)
    legend = text.partition('<p class="key">')[2].partition("</p>")[0]
    for kind in (
        "body",
        "wait",
        "node-body",
        "node-wait",
        "online",
        "draining",
        "starting",
        "offline",
        "fault",
        "polling",
    ):
        assert f"var(--{kind})" in legend
