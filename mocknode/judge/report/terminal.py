"""Shows the first screen on a terminal. Colours have a meaning, and no meaning is in a colour alone."""

import io
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from mocknode.judge.report.schema import Report
from mocknode.judge.report.screen import Finding, Group, Screen, screen
from mocknode.judge.report.wording import SIGNS, ascii_only

WIDTH: Final = 100
# The grid and the findings need this much space; a narrower terminal wraps by itself.
WIDTH_MIN: Final = 60
_INDENT: Final = 10
_VERDICT_STYLES: Final = {
    "conformant": "bold green",
    "passed": "bold green",
    "limited": "bold blue",
    "partial": "bold magenta",
}


def render(
    document: Report,
    *,
    width: int = WIDTH,
    colour: bool = False,
    unicode: bool = True,
    files: Sequence[str] = (),
) -> str:
    """Return the first screen, ending with a line end.

    Args:
        document: A report.
        width: Columns; commands to copy are never wrapped.
        colour: Whether to use ANSI colours; the caller knows the stream and NO_COLOR.
        unicode: False gives ASCII.
        files: Names of the files that the report was written to.
    """
    shown = screen(document)
    width = max(width, WIDTH_MIN)
    lines = [*_head(shown, width), Text(), *_grid(shown.groups, width), Text()]
    for finding in shown.findings:
        lines += _finding(finding, width)
    if shown.more:
        lines.append(Text(f"   and {len(shown.more)} more: {', '.join(shown.more)}"))
    if shown.findings:
        lines.append(Text())
    return draw([*lines, *_foot(shown, width, files)], colour=colour, unicode=unicode)


def draw(lines: Iterable[Text], *, colour: bool, unicode: bool) -> str:
    """Return styled lines as text, with or without ANSI colours, in Unicode or ASCII."""
    out = io.StringIO()
    # The caller has wrapped the lines already; a console that wraps would break commands that people copy.
    console = Console(
        file=out, width=10_000, color_system="standard" if colour else None, force_terminal=colour, legacy_windows=False
    )
    console.no_color = not colour
    for line in lines:
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False, highlight=False)
    return out.getvalue() if unicode else _ascii(out.getvalue())


def _ascii(text: str) -> str:
    return "\n".join(ascii_only(line) for line in text.split("\n"))


def spread(left: Text | str, right: Text | str, width: int) -> list[Text]:
    """Return one line with its parts at both margins, or two lines if they do not fit."""
    left, right = (part.copy() if isinstance(part, Text) else Text(part) for part in (left, right))
    gap = width - left.cell_len - right.cell_len
    if gap < 2 and right.cell_len:
        return [left, Text("   ").append_text(right)]
    return [left.append(" " * max(gap, 0)).append_text(right)]


def _head(shown: Screen, width: int) -> list[Text]:
    title = Text(" ").append(shown.verdict, _VERDICT_STYLES.get(shown.result, "bold red"))
    title.append("   " + " · ".join(shown.counts))
    lines = spread(title, shown.duration, width)
    lines += spread(f" {shown.target}", f"{shown.product}   {shown.seed}", width)
    lines += spread(f" {shown.probes}", shown.reaction, width)
    for note in shown.notes:
        parts = textwrap.wrap(f"note: {note}", width - 2, subsequent_indent="  ", break_on_hyphens=False)
        lines += [Text(f" {part}", "bold") for part in parts]
    return lines


def _grid(groups: Sequence[Group], width: int) -> list[Text]:
    """Return two groups for each line if they fit, and the legend of the signs in use."""
    cells = [_cells(group) for group in groups]
    half = max((cell.cell_len for cell in cells[::2]), default=0) + 5
    other = max((cell.cell_len for cell in cells[1::2]), default=0)
    step = 2 if half + other <= width else 1
    lines = []
    for row in range(0, len(cells), step):
        line = cells[row].copy()
        for cell in cells[row + 1 : row + step]:
            line.append(" " * (half - line.cell_len)).append_text(cell)
        lines.append(line)
    used = {outcome for group in groups for _, outcome in group.cells}
    legend = Text(" " * _INDENT)
    for outcome, sign in SIGNS.items():
        if outcome in used:
            legend.append(sign.mark, sign.style).append(f" {sign.legend}  ")
    return [*lines, legend] if used else [Text(" no check has been judged")]


def _cells(group: Group) -> Text:
    line = Text(f" {group.title:<8} {group.prefix}")
    for number, outcome in group.cells:
        line.append(f"  {number} ").append(SIGNS[outcome].mark, SIGNS[outcome].style)
    return line


def _finding(finding: Finding, width: int) -> list[Text]:
    sign = SIGNS[finding.outcome]
    first = Text(" ").append(f"{sign.mark} {finding.id}", sign.style).append("  ")
    fix = f"-> {finding.fix}" if finding.fix else ""
    text = _wrapped(finding.text, width)
    lines = [first.append(text[0].plain.strip()), *text[1:]]
    if finding.hurts:
        lines += _wrapped(f"hurts {finding.hurts}", width)
    # After several lines of text the fix would look like the end of the sentence.
    if fix and len(lines) == 1 and lines[0].cell_len + len(fix) + 3 <= width:
        lines = spread(lines[0], fix, width)
    elif fix:
        lines.append(Text(" " * _INDENT + fix))
    if finding.consequences:
        lines += _wrapped(f"and because of it: {', '.join(finding.consequences)}", width)
    return lines


def _wrapped(words: str, width: int) -> list[Text]:
    parts = textwrap.wrap(words, width - _INDENT, break_on_hyphens=False) or [""]
    return [Text(" " * _INDENT + part) for part in parts]


def _foot(shown: Screen, width: int, files: Sequence[str]) -> list[Text]:
    lines = spread(f" uploads  {shown.ledger}", shown.aside, width) if shown.ledger else []
    report = next((name for name in files if name.endswith(".json")), shown.run_dir)
    subject = shown.faults[0] if shown.faults else next((f.id for f in shown.findings), "")
    if subject:
        lines.append(Text(f" next     mocknode explain {subject} {report}".rstrip()))
    if files:
        lines.append(Text(f" reports  {'   '.join(files)}"))
    if shown.rerun:
        lines.append(Text(f" re-run   {shown.rerun}"))
    return lines
