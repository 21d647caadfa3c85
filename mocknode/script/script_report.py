"""The report of a scenario run: one document, and the formats that are made from it. No I/O."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from xml.etree import ElementTree as ET

from typing_extensions import TypedDict

from mocknode.judge.balancers import fix
from mocknode.judge.catalogue.registry import cause_of
from mocknode.script.model import Scenario
from mocknode.script.record import Record
from mocknode.script.verdicts import Judged, Outcome, Result, Verdict
from mocknode.text.units import format_duration

SCHEMA: Final = "mocknode-scenario-report/1"
HEADLINES: Final[Mapping[Result, str]] = {
    "held": "HELD", "failed": "FAILED", "environment": "NOT RESTORED", "unknown": "UNKNOWN", "untrusted": "UNTRUSTED",
    "interrupted": "INTERRUPTED", "rehearsed": "REHEARSED",
}  # fmt: skip
MARKS: Final[Mapping[Outcome, str]] = {"held": "✓", "failed": "✗", "unknown": "?"}
# XML 1.0 cannot hold these characters, not even escaped.
_ILLEGAL: Final = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class FixFacts(TypedDict):
    """Lines that mend the balancer."""

    cause: str
    file: str
    snippet: str
    costs: str


class JudgedFacts(TypedDict):
    """One expectation, judged; see `verdicts.Judged`."""

    text: str
    when: str
    outcome: Outcome
    claim: Literal["safety", "liveness"]
    saw: str
    cause: str | None
    nearest: list[str]
    line: int


class ScenarioReport(TypedDict):
    """The report of a scenario run; times are seconds since the load began."""

    schema: str
    name: str
    claim: str
    result: Result
    exit_code: int
    signature: str
    url: str
    balancer: str | None
    seed: int
    duration_s: float
    expectations: list[JudgedFacts]
    fixes: list[FixFacts]
    streams: dict[str, dict[str, Any]]
    steps: list[dict[str, Any]]
    events: list[dict[str, Any]]
    states: list[dict[str, Any]]
    uploads: list[dict[str, Any]]
    nodes: list[str]
    width_s: float
    problems: list[str]
    left: str
    reproduce: str
    run_dir: str


def build(
    scenario: Scenario,
    record: Record,
    verdict: Verdict,
    *,
    url: str,
    balancer: str | None,
    seed: int,
    reproduce: str,
    run_dir: str,
) -> ScenarioReport:
    """Build the report."""
    document = record.document()
    return {
        "schema": SCHEMA,
        "name": scenario.name,
        "claim": scenario.claim,
        "result": verdict.result,
        "exit_code": verdict.exit_code,
        "signature": verdict.signature,
        "url": url,
        "balancer": balancer,
        "seed": seed,
        "duration_s": record.duration_s,
        "expectations": [_judged(item) for item in verdict.judged],
        "fixes": _fixes(verdict, balancer),
        "streams": document["streams"],
        "steps": document["steps"],
        "events": document["events"],
        "states": document["states"],
        "uploads": document["uploads"],
        "nodes": document["nodes"],
        "width_s": record.width_s,
        "problems": list(record.problems),
        "left": record.left,
        "reproduce": reproduce,
        "run_dir": run_dir,
    }


def _judged(item: Judged) -> JudgedFacts:
    return {
        "text": item.text,
        "when": item.when,
        "outcome": item.outcome,
        "claim": item.claim,
        "saw": item.saw,
        "cause": item.cause,
        "nearest": list(item.nearest),
        "line": item.line,
    }


def _fixes(verdict: Verdict, balancer: str | None) -> list[FixFacts]:
    found: list[FixFacts] = []
    for slug in dict.fromkeys(item.cause for item in verdict.judged if item.cause):
        lines = fix(balancer or "unknown", cause_of(slug))
        if lines is not None:
            found.append({"cause": slug, "file": lines.file, "snippet": lines.snippet, "costs": lines.costs})
    return found


def screen(report: ScenarioReport, files: Sequence[str] = ()) -> str:
    """Return what the terminal shows."""
    where = " ".join(filter(None, (report["url"], report["balancer"])))
    lines = [
        f" {HEADLINES[report['result']]:<13} {report['name']}  {format_duration(report['duration_s'])}  {where}",
        f" {report['claim']}",
        "",
    ]
    for item in report["expectations"]:
        cause = f"  [{item['cause']}]" if item["cause"] else ""
        lines.append(f" {MARKS[item['outcome']]} {item['when']:<10} {item['text']}{cause}")
        lines.append(f"              {item['saw']}")
        lines += [f"              near it: {event}" for event in item["nearest"]]
    for lines_ in report["fixes"]:
        lines += [
            "",
            f" fix for {lines_['cause']}, {lines_['file']}:",
            *(f"   {row}" for row in lines_["snippet"].splitlines()),
        ]
        lines.append(f"   costs: {lines_['costs']}")
    lines += ["", " stream         attempts  failed  (undisturbed)      p50      p99"]
    lines += [_stream_line(name, figures) for name, figures in report["streams"].items()]
    lines += [f" ! {problem}" for problem in report["problems"]]
    if report["left"]:
        lines.append(f" ! the cluster is not as it was: {report['left']}; `mocknode reset` puts it right")
    lines += [f" run      {report['run_dir']}", *(f" written  {file}" for file in files)]
    return "\n".join(lines) + "\n"


def _stream_line(name: str, figures: Mapping[str, Any]) -> str:
    took = figures["latency_s"]
    shown = [format_duration(took[key]) if key in took else "-" for key in ("p50", "p99")]
    classes = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in figures["classes"].items())
    return (
        f" {name:<14} {figures['attempts']:>8}  {figures['failed']:>6}  {figures['failed_undisturbed']:>13}  {shown[0]:>7}  {shown[1]:>7}"
        f"  {classes}".rstrip()
    )


def junit(report: ScenarioReport) -> str:
    """Return JUnit XML with a case for each expectation, and one for restoring."""
    cases = []
    for item in report["expectations"]:
        case = ET.Element(
            "testcase", {"name": f"{item['when']}: {item['text']}", "classname": f"scenario.{report['name']}"}
        )
        if item["outcome"] == "failed":
            ET.SubElement(case, "failure", {"type": item["cause"] or "failed", "message": item["saw"]})
        elif item["outcome"] == "unknown":
            ET.SubElement(case, "error", {"type": "unknown", "message": item["saw"]})
        cases.append(case)
    restored = ET.Element("testcase", {"name": "the cluster is restored", "classname": f"scenario.{report['name']}"})
    if report["left"]:
        ET.SubElement(restored, "error", {"type": "environment", "message": report["left"]})
    cases.append(restored)
    totals = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "time": f"{report['duration_s']:.3f}",
    }
    root = ET.Element("testsuites", {"name": "mocknode scenario", **totals})
    ET.SubElement(root, "testsuite", {"name": report["name"], **totals}).extend(cases)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_ILLEGAL.sub("�", text)}\n'


def markdown(report: ScenarioReport) -> str:
    """Return Markdown for a pull request."""
    lines = [
        f"### Scenario {report['name']}: {HEADLINES[report['result']]}",
        "",
        report["claim"],
        "",
        "| | when | expectation | seen |",
    ]
    lines.append("|---|---|---|---|")
    for item in report["expectations"]:
        cells = [MARKS[item["outcome"]], item["when"], item["text"], item["saw"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    for found in report["fixes"]:
        lines += ["", f"Fix for `{found['cause']}` ({found['file']}):", "", "```", found["snippet"], "```"]
    return "\n".join(lines) + "\n"
