"""The first screen on a terminal."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mocknode.judge.report import BalancerFacts, build
from mocknode.judge.report.screen import fix_line, only, screen
from mocknode.judge.report.terminal import render
from mocknode.judge.verdict.outcome import CheckResult, Fix, Outcome, Variant, merge
from tests.judge.report.uploads import NO_UPLOADS

SCREEN = """\
 NOT CONFORMANT   2 core faults · 2 advice · 1 limit · 1 observed · 10 pass                 4 m 11 s
 http://127.0.0.1:10080 -> node-1 node-2 node-3            HAProxy 2.8.25 stock (detected)   seed 42
 probes: 1 prober, GET HTTP/1.0 every 2 s     a drained node leaves after 5.1 s, returns after 3.9 s

 health   HC  01 ✓  02 ✗  03 ✓  06 L            drain    DR  01 ✓  02 ✓  04 ✓  05 o
 upload   UP  01 ✓  02 ✓  03 ·  04 ·  08 ✓      retry    RT  01 ✓
 protocol PR  01 ✗  05 ✓
          ✗ core fault  · advice  L limitation  o observed  ✓ pass

 ✗ HC-02  a node that redirects to a login page (302) is put back into rotation
          hurts Users and CI jobs that the balancer sends to a node which is down for maintenance.
          -> http-check expect status 200
 ✗ PR-01  nodes are not told the client's scheme: X-Forwarded-Proto is missing
          hurts Every user behind TLS: links and redirects of the portal go to http.
          -> http-request set-header X-Forwarded-Proto https if { ssl_fc } (+1 line)
"""
FOOT = """\
 next     mocknode explain HC-02 report.json
 reports  report.json   report.html
 re-run   mocknode check --with haproxy --mode stock --seed 42 --only HC-02,PR-01
"""


def result(id_: str, outcome: Outcome, **more: Any) -> CheckResult:
    variant = Variant(name="v", level="core", tier="full", outcome=outcome, summary=f"{id_} summary", **more)
    return merge(id_, "name", "web", [variant], duration_s=1.0)


def test_first_screen_names_verdict_faults_and_the_next_command(document: dict[str, Any]) -> None:
    text = render(document, files=["report.json", "report.html"])
    assert text.startswith(SCREEN)
    assert text.endswith(FOOT)
    assert " uploads  42 attempts = 36 delivered once + 4 stored but reported failed + 1 refused" in text
    assert "(0 lost, 0 doubled, 0 corrupt; faults acted on 6)" in text


def test_no_line_but_a_command_is_wider_than_asked(document: dict[str, Any]) -> None:
    for width in (60, 80, 100, 160):
        lines = render(document, width=width).splitlines()
        wide = [
            line for line in lines if cell_len(line) > max(width, 100) and not line.startswith((" next", " re-run"))
        ]
        assert wide == []


def test_ascii_screen_is_ascii_and_says_the_same(document: dict[str, Any]) -> None:
    text = render(document, unicode=False)
    assert text.isascii()
    assert "x HC-02" in text
    assert "?" not in text


def test_colours_only_where_asked_for(document: dict[str, Any]) -> None:
    plain, coloured = render(document), render(document, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31m✗" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_environment_does_not_decide_about_colours(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[1;31m✗" in render(document, colour=True)


def test_only_checks_that_were_judged_are_in_the_grid(facts: Any) -> None:
    document = build(facts(planned=("HC-01", "UP-01")), [result("HC-01", Outcome.PASS)], NO_UPLOADS, {})
    text = render(document)
    assert "SO FAR (1 of 2 checks)" in text
    assert "HC  01 ✓" in text
    assert "UP" not in text
    assert " uploads  none sent\n" in text


def test_a_note_of_a_variant_that_passes_is_on_the_first_screen(facts: Any) -> None:
    noted = Variant(
        name="v", level="core", tier="full", outcome=Outcome.PASS, summary="s", evidence={"note": "trust 10.0.0.9"}
    )
    judged = merge("PR-01", "n", "web", [noted, noted], duration_s=1)
    assert render(build(facts(), [judged], NO_UPLOADS, {})).count("note: PR-01: trust 10.0.0.9") == 1


def test_a_run_of_some_checks_says_how_many_it_left_out(facts: Any) -> None:
    some = facts(result="passed", planned=("HC-01",), left_out=("UP-01", "UP-02"))
    text = render(build(some, [result("HC-01", Outcome.PASS)], NO_UPLOADS, {}))
    assert text.startswith(" PASSED (1 of 3 checks judged)   1 pass")
    assert "CONFORMANT" not in text


def test_a_report_of_an_older_version_left_nothing_out(facts: Any) -> None:
    document = build(facts(result="conformant"), [result("HC-01", Outcome.PASS)], NO_UPLOADS, {})
    del document["left_out"]
    assert render(document).startswith(" CONFORMANT   1 pass")


def test_a_run_without_a_judged_check_says_so(facts: Any) -> None:
    document = build(facts(result="partial", calibration=None), [], NO_UPLOADS, {})
    assert "no check has been judged" in render(document)
    assert "probes: not known yet" in render(document)


def test_a_run_that_was_interrupted_does_not_say_of_a_drained_node_that_it_stays(document: dict[str, Any]) -> None:
    before = {**document, "calibration": {**document["calibration"], "out_after_s": None}}
    assert "a drained node was not seen to leave" in render(before)
    assert "no drained node has left yet" in render({**before, "unfinished": ["HC-02"]})


def test_a_run_of_tentacles_alone_names_no_uploads_and_no_probes_to_come(facts: Any) -> None:
    judged = merge(
        "TL-01",
        "n",
        "polling",
        [Variant(name="v", level="core", tier="full", outcome=Outcome.PASS, summary="s")],
        duration_s=1,
    )
    whole = facts(calibration=None)
    text = render(build(whole, [judged], NO_UPLOADS, {}))
    assert "uploads" not in text
    assert "not known yet" not in text
    assert " probes: not measured" in text
    assert "probes: not known yet" in render(
        build(facts(calibration=None, planned=("TL-01", "HC-01")), [judged], NO_UPLOADS, {})
    )


def test_where_the_balancer_is_unknown_the_way_to_lines_to_paste_is_shown(facts: Any) -> None:
    mended = replace(
        result("HC-01", Outcome.FAIL), fixes=(Fix(balancer="unknown", file="anywhere", snippet="do", costs="Nothing."),)
    )
    unknown = facts(balancer=BalancerFacts(kind=None, detected=False, url="http://lb"))
    assert "--balancer-file" in render(build(unknown, [mended], NO_UPLOADS, {}))
    assert "--balancer-file" not in render(build(unknown, [result("HC-01", Outcome.PASS)], NO_UPLOADS, {}))
    assert "--balancer-file" not in render(build(facts(), [mended], NO_UPLOADS, {}))


def test_a_fix_stands_beside_one_line_and_below_several(facts: Any) -> None:
    fixes = (Fix(balancer="haproxy", file="f", snippet="rise 2", costs="Nothing."),)
    short = replace(result("HC-01", Outcome.ADVICE), fixes=fixes)
    hurts = replace(result("HC-02", Outcome.FAIL, hurts="users"), fixes=fixes)
    lines = render(build(facts(), [short, hurts], NO_UPLOADS, {})).splitlines()
    assert "          hurts users" in lines
    assert "          -> rise 2" in lines
    assert next(line for line in lines if line.startswith(" · HC-01")).endswith("-> rise 2")


def test_consequences_stand_under_their_root(facts: Any) -> None:
    results = [
        result("HC-01", Outcome.FAIL),
        result("HC-02", Outcome.FAIL, caused_by="HC-01"),
        result("DR-01", Outcome.FAIL, caused_by="HC-02"),
        result("DR-04", Outcome.FAIL),
    ]
    shown = screen(build(facts(), results, NO_UPLOADS, {}))
    assert [(f.id, f.consequences) for f in shown.findings] == [("DR-04", ()), ("HC-01", ("DR-01", "HC-02"))]
    assert "and because of it: DR-01, HC-02" in render(build(facts(), results, NO_UPLOADS, {}))


def test_consequence_whose_root_was_not_judged_stands_alone(facts: Any) -> None:
    shown = screen(build(facts(), [result("DR-01", Outcome.FAIL, caused_by="HC-01")], NO_UPLOADS, {}))
    assert [(f.id, f.text) for f in shown.findings] == [("DR-01", "DR-01 summary (because of HC-01)")]


def test_roots_that_name_each_other_are_not_lost(facts: Any) -> None:
    results = [result("HC-01", Outcome.FAIL, caused_by="HC-02"), result("HC-02", Outcome.FAIL, caused_by="HC-01")]
    shown = screen(build(facts(), results, NO_UPLOADS, {}))
    assert {f.id for f in shown.findings} | {c for f in shown.findings for c in f.consequences} == {"HC-01", "HC-02"}
    assert shown.findings


def test_all_faults_are_named_and_minor_findings_are_bounded(facts: Any) -> None:
    results = [result(f"UP-{n:02}", Outcome.FAIL) for n in range(1, 16)]
    results += [result(f"PR-{n:02}", Outcome.OBSERVED) for n in range(1, 16)]
    shown = screen(build(facts(), results, NO_UPLOADS, {}))
    assert len([f for f in shown.findings if f.outcome == "fail"]) == 15
    assert len([f for f in shown.findings if f.outcome == "observed"]) == 10
    assert shown.more == tuple(f"PR-{n}" for n in range(11, 16))


def test_terminal_escapes_in_what_a_balancer_said_are_not_printed(facts: Any) -> None:
    variant = Variant(name="v", level="core", tier="full", outcome=Outcome.FAIL, summary="a\x1b[2Jb\r\n\x9bc\u202ed")
    document = build(facts(), [merge("HC-01", "n", "web", [variant], duration_s=1)], NO_UPLOADS, {})
    assert "a�[2Jb �c�d" in render(document)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("mocknode check --seed 1", "mocknode check --seed 1 --only UP-04"),
        ("mocknode check --only HC-01,HC-02 --seed 1", "mocknode check --seed 1 --only UP-04"),
        ("mocknode check --only=HC-01 --lb 'http://a b'", "mocknode check --lb 'http://a b' --only UP-04"),
        (
            "mocknode check --json r.json --html=r.html --run-dir d --seed 1 --profile web",
            "mocknode check --seed 1 --only UP-04",
        ),
        ("mocknode check --only", "mocknode check --only UP-04"),
    ],
)
def test_rerun_is_the_same_command_for_some_checks(command: str, expected: str) -> None:
    assert only(command, ["UP-04"]) == expected


@pytest.mark.parametrize(
    ("snippet", "line"),
    [
        ("- timeout server 50s\n+ timeout server 15m\n", "timeout server 15m"),
        ("+ # why\n+ rise 2\n+ fall 2", "rise 2 (+1 line)"),
        ("# comment\nproxy_request_buffering off;", "proxy_request_buffering off;"),
        ("- name: web\n  port: 1", "- name: web (+1 line)"),
        ("- read_body 60s", "remove read_body 60s"),
        ("- server all\n+ backend one\n+     server one", "a backend a node: backend one (+1 line)"),
        ("- option httpchk\n- server one check track web\n+ server one", "remove option httpchk (+1 line)"),
        ("- server one send-proxy\n+ server one", "server one"),
        ("# nothing but words", None),
    ],
)
def test_fix_line_is_the_first_line_that_mends(snippet: str, line: str | None) -> None:
    assert fix_line([{"file": "haproxy.cfg, a backend a node", "snippet": snippet}]) == line
    assert fix_line([]) is None


@given(summary=st.text(), unicode=st.booleans(), width=st.integers(0, 200))
def test_any_summary_is_printed_without_control_characters(summary: str, unicode: bool, width: int, facts: Any) -> None:
    variant = Variant(name="v", level="core", tier="full", outcome=Outcome.FAIL, summary=summary)
    document = build(facts(), [merge("HC-01", "n", "web", [variant], duration_s=1)], NO_UPLOADS, {})
    text = render(document, unicode=unicode, width=width)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert unicode or text.isascii()
