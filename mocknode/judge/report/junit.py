"""Writes a report as JUnit XML for CI, with one test case for each check.

A core failure is a failure, and an undecided core claim an error. Limitation, accepted, observed and skip are skipped with their
message, so that CI shows it and stays green. Advice passes, and its text is in system-out.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

from mocknode.judge.report.schema import Report, ReportedCheck, ReportedVariant
from mocknode.judge.report.wording import RESULTS, figures, product
from mocknode.text.foreign import plain

_SKIPPED: Final = ("limitation", "accepted", "observed", "skip")
# XML 1.0 cannot hold these characters, not even escaped.
_ILLEGAL: Final = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(document: Report) -> str:
    """Return the report as a `testsuites` document with one suite."""
    cases = [_case(check) for check in document["checks"]]
    totals = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{document['duration_s']:.3f}",
    }
    root = ET.Element("testsuites", {"name": "mocknode", **totals})
    suite = ET.SubElement(root, "testsuite", {"name": "mocknode", "timestamp": document["started"], **totals})
    calibration = document["calibration"]
    facts = {
        "result": RESULTS[document["result"]],
        "balancer": product(document["balancer"]),
        "url": document["balancer"]["url"],
        "seed": document["seed"],
        "tier": document["tier"],
        "out_after_s": calibration and calibration["out_after_s"],
        "in_after_s": calibration and calibration["in_after_s"],
        "unfinished": " ".join(document["unfinished"]) or None,
        "reproduce": document["reproduce"],
        **{f"ledger.{name}": count for name, count in document["ledger"].items()},
    }
    _properties(suite, {name: value for name, value in facts.items() if value is not None})
    suite.extend(cases)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_ILLEGAL.sub("�", text)}\n'


def _case(check: ReportedCheck) -> ET.Element:
    title = {"name": f"{check['id']} {check['name']}", "classname": f"mocknode.{check['profile']}"}
    case = ET.Element("testcase", {**title, "time": str(check["duration_s"])})
    found = {
        f"{variant['name']}.{figure}": value
        for variant in check["variants"]
        for figure, value in figures(variant["evidence"])
    }
    _properties(case, {"outcome": check["outcome"], "tries": check["tries"], "cause": check["cause"] or "-", **found})
    message = check["summary"]
    if check["outcome"] == "fail":
        kind = check["cause"] or "fail"
        ET.SubElement(case, "failure", {"type": kind, "message": message}).text = _details(check)
    elif check["outcome"] == "unknown" and any(_core_unknown(v) for v in check["variants"]):
        ET.SubElement(case, "error", {"type": "unknown", "message": message}).text = _details(check)
    elif check["outcome"] in (*_SKIPPED, "unknown"):
        ET.SubElement(case, "skipped", {"type": check["outcome"], "message": f"{check['outcome']}: {message}"})
    elif check["outcome"] == "advice":
        ET.SubElement(case, "system-out").text = "advice: " + _details(check)
    return case


def _core_unknown(variant: ReportedVariant) -> bool:
    return bool(variant["outcome"] == "unknown" and variant["level"] == "core")


def _details(check: ReportedCheck) -> str:
    lines = [check["summary"]]
    if check["hurts"]:
        lines.append(f"hurts: {check['hurts']}")
    if check["caused_by"]:
        lines.append(f"caused by: {check['caused_by']}")
    lines += [f"{v['name']}: {v['outcome']}: {v['summary']}" for v in check["variants"] if v["outcome"] != "pass"]
    lines += [f"not it: {text}" for text in check["ruled_out"]]
    for fix in check["fixes"]:
        lines += [f"fix for {fix['balancer']}, {fix['file']}:", fix["snippet"].rstrip(), f"costs: {fix['costs']}"]
    return "\n".join(lines)


def _properties(parent: ET.Element, values: Mapping[str, Any]) -> None:
    inside = ET.SubElement(parent, "properties")
    for name, value in values.items():
        ET.SubElement(inside, "property", {"name": plain(name), "value": plain(value)})
