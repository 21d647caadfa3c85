"""Progress of a run on standard error: plain lines, and on a terminal a live line of all checks below them."""

import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from mocknode.judge.verdict.outcome import CheckResult

ASCII = {"✗": "X", "·": ".", "✓": "+", "–": "-"}
REFRESH_PER_S = 4


class Progress:
    """Prints lines as things happen, and on a terminal keeps a line below them that shows every check and its outcome."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ids: Sequence[str] = ()
        self._outcomes: dict[str, str] = {}
        self._live: Live | None = None
        self._unicode = (sys.stderr.encoding or "ascii").lower().startswith("utf")

    def say(self, text: str) -> None:
        """Print one line, with the time since the start."""
        line = f"{time.monotonic() - self._began:6.1f} s  {text}"
        if self._live is None:
            click.echo(line, err=True)
        else:
            self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def plan(self, ids: Sequence[str]) -> None:
        """Take the ids of the checks that will run."""
        self._ids = ids

    def results(self, results: "Sequence[CheckResult]") -> None:
        """Take the results of the checks that are done."""
        self._outcomes = {result.id: result.outcome.value for result in results}

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI"):
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")))
            self._live = Live(self, console=console, refresh_per_second=REFRESH_PER_S, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __rich__(self) -> "Text":
        from rich.text import Text

        from mocknode.judge.report.wording import SIGNS

        text = Text(f"{time.monotonic() - self._began:6.1f} s  {len(self._outcomes)}/{len(self._ids)} ")
        for id_ in self._ids:
            sign = SIGNS[self._outcomes[id_]] if id_ in self._outcomes else None
            mark = sign.mark if sign else " "
            text.append(
                f" {id_} {mark if self._unicode else ASCII.get(mark, mark)}", style=sign.style if sign else "dim"
            )
        return text
