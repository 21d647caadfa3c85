"""One check on a screen, from a report or from the catalogue."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from mocknode.judge.report import ReportError, build
from mocknode.judge.report.explain import explain
from mocknode.judge.report.text_timeline import states, story
from mocknode.judge.verdict.outcome import Fix, Outcome, Variant, merge
from tests.judge.report.uploads import NO_UPLOADS


@dataclass(frozen=True)
class Entry:
    id: str = "UP-04"
    name: str = "node-think-time"
    profile: str = "upload"
    claim: str = "A node may take 45 s to answer."
    offenders: tuple[str, ...] = ("Envoy gives up after 15 s", "HAProxy after 50 s")
    quick: str = "16 s, three tries"
    full: str = "10 to 130 s"


def test_failing_check_shows_cause_picture_fix_and_proof(document: dict[str, Any]) -> None:
    text = explain("UP-04", document)
    for line in (
        "· UP-04 node-think-time · advice · extended · cause response-timeout · 3 tries",
        "  hurts     CI jobs: the package is stored, they are told it failed, and their retry gets 409.",
        "┤ 504, not from a node",
        "✂ closes node-2 50.02 s after the last byte",
        "┤ 8 MiB whole, no answer sent, then rst",
        "  variants  10s ✓  18s ✓  25s ✓  45s ✓  65s ·  130s ·",
        "  measured  65s: asked 65 s, cut after 50.02 s, spread 40 ms, status 504, answered by balancer",
        "  not it    size: 1 KiB and 8 MiB are cut in the same second",
        "            - timeout server 50s\n            + timeout server 15m\n            costs you: A hung node",
        "  prove it  mocknode check --with haproxy --mode stock --seed 42 --only UP-04",
        "  live with accept: [{id: UP-04, because: ..., until: ...}] in the balancer file",
    ):
        assert line in text


def test_health_check_shows_the_states_of_the_nodes(document: dict[str, Any]) -> None:
    lines = explain("HC-02", document).splitlines()
    (drained,) = [line for line in lines if line.endswith(" draining")]
    (fault,) = [line for line in lines if line.endswith(" status 302 on ping")]
    assert drained.startswith("  node-2    ━")
    assert drained.count("▒") > 20
    assert drained.rindex("▒") < fault.index("░")
    assert any(line.startswith("  the check ") and "|drain" in line and "|switch" in line for line in lines)


def test_passing_check_needs_no_proof_and_no_waiver(document: dict[str, Any]) -> None:
    text = explain("RT-01", document)
    assert text.startswith("✓ RT-01 post-exactly-once · pass · core\n")
    assert "prove it" not in text
    assert "live with" not in text


def test_ascii_and_colours(document: dict[str, Any]) -> None:
    assert explain("UP-04", document, unicode=False).isascii()
    assert "\x1b[32m" in explain("UP-04", document, colour=True)


def test_quick_tier_and_root_are_said(facts: Any) -> None:
    wrong = Variant(name="v", level="core", tier="quick", outcome=Outcome.FAIL, summary="s", caused_by="HC-01")
    document = build(facts(tier="quick"), [merge("DR-01", "n", "web", [wrong], duration_s=1)], NO_UPLOADS, {})
    text = explain("DR-01", document)
    assert "root      a consequence of HC-01: fix that first" in text
    assert "tier      quick" in text


def test_variants_with_figures_are_bounded(facts: Any) -> None:
    variants = [
        Variant(name=f"v{n}", level="core", tier="full", outcome=Outcome.FAIL, summary="s", evidence={"requests": n})
        for n in range(20)
    ]
    text = explain("DR-01", build(facts(), [merge("DR-01", "n", "web", variants, duration_s=1)], NO_UPLOADS, {}))
    assert "v5: requests 5\n" in text
    assert "v6: requests" not in text
    assert "and 14 more variants in the report" in text


def test_long_names_of_nodes_keep_the_pictures_aligned(document: dict[str, Any]) -> None:
    timeline = document["timelines"]["HC-02"]
    for lane in timeline["lanes"]:
        lane["node"] = f"octopus-{lane['node']}"
    lines = explain("HC-02", document).splitlines()
    (axis,) = [line for line in lines if line.strip().startswith("0 s")]
    lanes = [line for line in lines if line.startswith("  octopus-node-")]
    assert {line.index("━") for line in lanes} == {axis.index("0 s")}


def test_check_that_the_report_lacks_is_an_error_that_says_which_it_has(document: dict[str, Any], facts: Any) -> None:
    with pytest.raises(ReportError, match=r"has not judged TL-01; it has HC-01, HC-02"):
        explain("TL-01", document)
    with pytest.raises(ReportError, match="HC-01 was planned"):
        explain("HC-01", build(facts(planned=("HC-01",)), [], NO_UPLOADS, {}))


def test_catalogue_entry_shows_claim_offenders_and_the_fix_of_each_balancer() -> None:
    fix = Fix(balancer="haproxy", file="haproxy.cfg", snippet="+ timeout server 15m", costs="Nothing.")
    text = explain("UP-04", entry=Entry(), fixes=[("response-timeout", fix)], limits=["Front Door: 240 s at most"])
    for line in (
        "UP-04 node-think-time · upload\n  A node may take 45 s to answer.\n",
        "  quick     16 s, three tries\n  full      10 to 130 s\n",
        "  no remedy Front Door: 240 s at most\n",
        "  breaks it Envoy gives up after 15 s\n            HAProxy after 50 s\n",
        "  fix       HAProxy: haproxy.cfg (response-timeout)\n            + timeout server 15m\n",
    ):
        assert line in text


def test_without_report_and_entry_there_is_nothing_to_explain() -> None:
    with pytest.raises(ReportError, match="nothing is known about UP-04"):
        explain("UP-04")


def test_balancer_that_sends_again_and_one_that_sends_nothing(document: dict[str, Any]) -> None:
    bar = next(bar for bar in document["timelines"]["UP-04"]["bars"] if bar["variant"] == "65s")
    again = {**bar["at"][0], "node": "node-3", "start_s": bar["start_s"] + 20, "last_body_s": bar["start_s"] + 22}
    rows = story({**bar, "at": [*bar["at"], again]}, 60)
    assert "sends it again, to node-3 at 20 s" in [words.strip() for _, _, words in rows]
    assert [name for name, _, _ in rows] == ["", "client", "balancer", "", "", "node-2", "node-3"]
    assert story({**bar, "at": []}, 60)[2][2] == "sends it to no node"


def test_pictures_keep_their_columns(document: dict[str, Any]) -> None:
    for columns in (1, 2, 30, 77):
        for bar in document["timelines"]["UP-04"]["bars"]:
            assert all(len(picture) <= columns for _, picture, _ in story(bar, columns)[1:])
        rows = states(document["timelines"]["HC-02"], columns)
        assert all(len(picture) <= columns for _, picture, _ in rows[1:-1])


def test_request_cut_before_its_body_was_sent_is_drawn(document: dict[str, Any]) -> None:
    bar = document["timelines"]["UP-04"]["bars"][0]
    torn = {**bar, "body_s": None, "response_s": None, "status": None, "told": "nothing", "end": "reset", "at": []}
    rows = story(torn, 40)
    assert rows[1][1] == "▓" * 39 + "┤"
    assert rows[1][2].startswith("reset after ")
    unsent = replace_head(torn)
    assert story(unsent, 40)[1][1] == "▒" * 39 + "┤"


def replace_head(bar: dict[str, Any]) -> dict[str, Any]:
    return {**bar, "head_s": None}


def test_entry_is_matched_by_shape_alone() -> None:
    entry = replace(Entry(), offenders=())
    assert "breaks it" not in explain("UP-04", entry=entry)


def test_a_variant_that_was_skipped_says_why(document: dict[str, Any]) -> None:
    assert "  skipped   trailers: needs HTTP/2 at the front door" in explain("UP-08", document)


def test_the_lines_of_a_fix_keep_their_indentation(facts: Any) -> None:
    fix = Fix(balancer="haproxy", file="haproxy.cfg", snippet="+ backend one\n+     server one", costs="Nothing.")
    variant = Variant(name="v", level="core", tier="full", outcome=Outcome.FAIL, summary="s")
    judged = replace(merge("TL-02", "n", "polling", [variant], duration_s=1.0), fixes=(fix,))
    assert "            + backend one\n            +     server one\n" in explain(
        "TL-02", build(facts(), [judged], NO_UPLOADS, {})
    )
