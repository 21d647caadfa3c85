"""What CI systems read: JUnit and Markdown."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mocknode.judge.report import build, matrix
from mocknode.judge.report.junit import render as junit
from mocknode.judge.report.markdown import render as markdown
from mocknode.judge.verdict.outcome import Level, Outcome, Variant, merge
from tests.judge.report.uploads import NO_UPLOADS


def suite(text: str) -> dict[str, ET.Element]:
    return {case.attrib["name"].split()[0]: case for case in ET.fromstring(text).iter("testcase")}


@pytest.mark.parametrize(
    ("outcome", "level", "element"),
    [
        (Outcome.FAIL, "core", "failure"),
        (Outcome.UNKNOWN, "core", "error"),
        (Outcome.UNKNOWN, "extended", "skipped"),
        (Outcome.ADVICE, "extended", "system-out"),
        (Outcome.LIMITATION, "core", "skipped"),
        (Outcome.OBSERVED, "policy", "skipped"),
        (Outcome.ACCEPTED, "core", "skipped"),
        (Outcome.SKIP, "core", "skipped"),
        (Outcome.PASS, "core", None),
    ],
)
def test_each_outcome_has_its_element(facts: Any, outcome: Outcome, level: Level, element: str | None) -> None:
    variant = Variant(name="v", level=level, tier="full", outcome=outcome, summary="what happened", cause="a-cause")
    text = junit(build(facts(), [merge("HC-01", "n", "web", [variant], duration_s=1)], NO_UPLOADS, {}))
    found = [child for child in suite(text)["HC-01"] if child.tag != "properties"]
    assert [child.tag for child in found] == ([element] if element else [])
    assert all("what happened" in (child.attrib.get("message", "") + (child.text or "")) for child in found)


def test_counts_properties_and_details(document: dict[str, Any]) -> None:
    root = ET.fromstring(junit(document))
    assert root.attrib == {
        "name": "mocknode",
        "tests": "16",
        "failures": "2",
        "errors": "0",
        "skipped": "2",
        "time": "251.400",
    }
    cases = suite(junit(document))
    assert cases["HC-02"].attrib["classname"] == "mocknode.web"
    values = {p.attrib["name"]: p.attrib["value"] for p in cases["UP-04"].iter("property")}
    assert values["65s.cut after"] == "50.02 s"
    assert values["tries"] == "3"
    failure = cases["HC-02"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "accepts-redirect"
    assert "+ http-check expect status 200" in (failure.text or "")
    ledger = {p.attrib["name"]: p.attrib["value"] for p in root.iter("property")}
    assert ledger["ledger.delivered_once"] == "36"


@given(text=st.text())
def test_any_text_gives_xml_that_parses(text: str, facts: Any) -> None:
    evidence = {"got": text}
    variant = Variant(
        name="v", level="core", tier="full", outcome=Outcome.FAIL, summary=text, cause=text, evidence=evidence
    )
    document = build(facts(), [merge("HC-01", "n", "web", [variant], duration_s=1)], NO_UPLOADS, {})
    assert "HC-01" in suite(junit(document))


def test_markdown_is_the_first_screen(document: dict[str, Any]) -> None:
    text = markdown(document)
    assert text.startswith("## mocknode: NOT CONFORMANT\n")
    assert "| health HC | 01 ✓ &nbsp; 02 ✗ &nbsp; 03 ✓ &nbsp; 06 L |" in text
    row = "| ✗ core fault | **HC-02** only-200-is-in | a node that redirects to a login page (302) is put back into rotation "
    assert row + "| ` http-check expect status 200 ` |" in text
    assert "```sh\nmocknode check --with haproxy --mode stock --seed 42 --only HC-02,PR-01\n```" in text


def test_markdown_of_a_clean_run_repeats_the_whole(facts: Any) -> None:
    fine = Variant(name="v", level="core", tier="full", outcome=Outcome.PASS, summary="s")
    document = build(facts(result="conformant"), [merge("HC-01", "n", "web", [fine], duration_s=1)], NO_UPLOADS, {})
    text = markdown(document)
    assert "## mocknode: CONFORMANT\n" in text
    assert "how to fix it" not in text
    assert "**Repeat this run:**" in text


@example(text="", snippet="\\|")
@example(text="", snippet="a\\\\|b")
@given(text=st.text(), snippet=st.text())
def test_text_from_outside_stays_in_its_cell(text: str, snippet: str, facts: Any) -> None:
    variant = Variant(name="v", level="core", tier="full", outcome=Outcome.FAIL, summary=text)
    document = build(facts(), [merge("HC-01", "n", "web", [variant], duration_s=1)], NO_UPLOADS, {})
    document["checks"][0]["fixes"] = [{"balancer": "b", "file": "f", "snippet": snippet, "costs": "c"}]
    (row,) = [line for line in markdown(document).split("\n") if "**HC-01**" in line]
    assert len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) == 5
    assert "<" not in re.sub(r"\\.|`.*`", "", row)


def test_the_measured_results_begin_as_the_command_writes_them() -> None:
    page = Path(__file__).parents[3] / "scenarios" / "RESULTS.md"
    assert page.read_text(encoding="utf-8").startswith(matrix.head())
