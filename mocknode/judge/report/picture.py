"""The first screen as a picture: `python -m mocknode.judge.report.picture REPORT > FILE` writes SVG.

README.md shows one. REPORT is a file that `mocknode check --json` wrote.
"""

import io
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from mocknode.judge.report.document import ReportError, load
from mocknode.judge.report.schema import Report
from mocknode.judge.report.terminal import WIDTH, render

_USAGE: Final = "usage: python -m mocknode.judge.report.picture REPORT > FILE"
# rich's own frame loads a font from a public server; a picture in a README must not ask anybody for anything.
_FRAME: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" xml:space="preserve" role="img">
  <style>
    .{unique_id}-matrix {{
      font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
      font-size: {char_height}px;
      line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}" /></clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">{matrix}</g>
  </g>
</svg>
"""


def picture(document: Report, file: str) -> str:
    """Draw a report's first screen in a window that is titled with the command.

    Args:
        document: A report.
        file: Name of the report, which the screen's next command mentions.
    """
    screen = render(document, colour=True, files=[file])
    console = Console(record=True, file=io.StringIO(), width=WIDTH, color_system="standard", force_terminal=True)
    console.print(Text.from_ansi(screen.rstrip()), no_wrap=True, crop=False, overflow="ignore", highlight=False)
    console.print()  # the window's lower edge needs room
    return console.export_svg(title=document["reproduce"], code_format=_FRAME)


def main(arguments: list[str]) -> int:
    """Write the picture to standard output; the exit code."""
    if len(arguments) != 1:
        sys.stderr.write(f"{_USAGE}; got {len(arguments)} arguments, allowed: one\n")
        return 2
    try:
        document = load(Path(arguments[0]))
    except ReportError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    sys.stdout.write(picture(document, arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
