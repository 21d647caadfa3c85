"""Writes the first screen in Markdown, for the summary of a CI job."""

import re
from typing import Final

from mocknode.judge.report.schema import Report
from mocknode.judge.report.screen import Group, Screen, screen
from mocknode.judge.report.wording import SIGNS
from mocknode.text.foreign import plain

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def render(document: Report) -> str:
    """Return verdict, grid, findings with their fixes, ledger and commands."""
    shown = screen(document)
    checks = {check["id"]: check for check in document["checks"]}
    lines = [f"## mocknode: {shown.verdict}", "", *_facts(shown), "", *_grid(shown), ""]
    if shown.findings:
        lines += ["|   | check | what is wrong | how to fix it |", "|---|---|---|---|"]
        for finding in shown.findings:
            text = _escape(finding.text)
            if finding.consequences:
                text += f"<br>and because of it: {', '.join(finding.consequences)}"
            sign = SIGNS[finding.outcome]
            name = f"**{finding.id}** {_escape(checks[finding.id]['name'])}"
            fix = _code(finding.fix) if finding.fix else ""
            lines.append(f"| {sign.mark} {sign.one} | {name} | {text} | {fix} |")
        if shown.more:
            lines.append(f"| | and {len(shown.more)} more | {', '.join(shown.more)} | |")
        lines.append("")
    if shown.ledger:
        lines += [f"**Uploads:** {_escape(shown.ledger)} {_escape(shown.aside)}".rstrip(), ""]
    command = shown.rerun or document["reproduce"]
    title = "Re-run only the faults" if shown.rerun else "Repeat this run"
    return "\n".join([*lines, f"**{title}:**", "", *_block(plain(command)), ""])


def _facts(shown: Screen) -> list[str]:
    lines = [" · ".join((*shown.counts, shown.duration)), ""]
    lines += [f"{_escape(shown.target)} · {_escape(shown.product)} · {shown.seed}"]
    lines += ["", _escape(" · ".join(part for part in (shown.probes, shown.reaction) if part))]
    for note in shown.notes:
        lines += ["", f"> {_escape(note)}"]
    return lines


def _grid(shown: Screen) -> list[str]:
    lines = ["| | |", "|---|---|", *(f"| {group.title} {group.prefix} | {_cells(group)} |" for group in shown.groups)]
    used = {outcome for group in shown.groups for _, outcome in group.cells}
    legend = " ".join(f"{sign.mark} {sign.legend}" for outcome, sign in SIGNS.items() if outcome in used)
    return [*lines, "", legend]


def _cells(group: Group) -> str:
    return " &nbsp; ".join(f"{number} {SIGNS[outcome].mark}" for number, outcome in group.cells)


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _code(text: str) -> str:
    """Return a code span for a table cell, with more backticks around it than inside, and with escaped bars.

    A bar after a backslash cannot be escaped: the two backslashes would pair up, and the bar would end the cell. Such a text becomes
    ordinary text.
    """
    if "\\|" in text:
        return _escape(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}".replace("|", "\\|")


def _block(text: str) -> list[str]:
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return [f"{fence}sh", text, fence]
