"""Compares several reports in one table: `python -m mocknode.judge.report.matrix REPORT... > scenarios/RESULTS.md`.

Each report is a column. Below the table stands every result that is not a pass, with its cause and root.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from mocknode.judge.report.document import load
from mocknode.judge.report.schema import Report
from mocknode.judge.report.wording import SIGNS
from mocknode.text.units import format_duration

QUIET = ("pass", "skip")
HEAD = """# Measured results

This page shows what each balancer did in each mode. Every column is one run of
`mocknode check --with BALANCER --mode MODE --json FILE`, and `python -m mocknode.judge.report.matrix FILE...` wrote the table and the
lists below it. Every outcome was measured; none comes from documentation. The signs: {legend}.
"""


def head() -> str:
    """Return the introduction of the page."""
    return HEAD.format(legend=", ".join(f"`{sign.mark}` {sign.legend}" for sign in SIGNS.values()))


def render(documents: Sequence[Report]) -> str:
    """Return the table, and the findings of each run, as Markdown."""
    ids = list(dict.fromkeys(check["id"] for document in documents for check in document["checks"]))
    titles = [
        f"{d['balancer']['kind']} {d['balancer']['version'] or ''} {d['balancer']['mode'] or ''}".strip()
        for d in documents
    ]
    lines = [head(), f"| check | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for id_ in ids:
        cells = [next((SIGNS[c["outcome"]].mark for c in d["checks"] if c["id"] == id_), " ") for d in documents]
        lines.append(f"| {id_} | {' | '.join(cells)} |")
    lines.append(f"| result | {' | '.join(d['result'] for d in documents)} |")
    lines.append(f"| took | {' | '.join(format_duration(d['duration_s']) for d in documents)} |")
    for title, document in zip(titles, documents, strict=True):
        lines += ["", f"## {title}", "", *_findings(document)]
    return "\n".join(lines) + "\n"


def _findings(document: Report) -> list[str]:
    lines = []
    for check in document["checks"]:
        if check["outcome"] not in QUIET:
            cause = f" `{check['cause']}`" if check["cause"] else ""
            root = f" (because of {check['caused_by']})" if check["caused_by"] else ""
            lines.append(f"- {SIGNS[check['outcome']].mark} {check['id']}{cause}{root}: {check['summary']}")
    return lines or ["Nothing to report."]


if __name__ == "__main__":
    sys.stdout.write(render([load(Path(name)) for name in sys.argv[1:]]))
