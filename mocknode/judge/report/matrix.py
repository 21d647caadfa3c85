"""Several reports side by side: `python -m mocknode.judge.report.matrix REPORT... > scenarios/RESULTS.md`.

Each report becomes a column; what is not a pass is spelled out below, with its cause and root.
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

What each balancer did in each mode, from runs of `mocknode check --with BALANCER --mode MODE --json FILE`, put together by
`python -m mocknode.judge.report.matrix FILE...`. Outcomes are those of the run, never of the documentation: {legend}.
"""


def render(documents: Sequence[Report]) -> str:
    """The matrix and the findings of each run, as Markdown."""
    ids = list(dict.fromkeys(check["id"] for document in documents for check in document["checks"]))
    legend = ", ".join(f"`{sign.mark}` {sign.legend}" for sign in SIGNS.values())
    titles = [
        f"{d['balancer']['kind']} {d['balancer']['version'] or ''} {d['balancer']['mode'] or ''}".strip()
        for d in documents
    ]
    lines = [HEAD.format(legend=legend), f"| check | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
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
