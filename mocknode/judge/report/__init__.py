"""Reports of `mocknode check`: one JSON document, and the terminal, HTML, JUnit and Markdown that are made from it alone."""

from mocknode.judge.report.document import REPORT_FILE, BalancerFacts, ReportError, RunFacts, build, load
from mocknode.judge.report.files import write
from mocknode.judge.report.schema import SCHEMA, Report, Timeline
from mocknode.judge.report.tracing import timeline

__all__ = [
    "REPORT_FILE",
    "SCHEMA",
    "BalancerFacts",
    "Report",
    "ReportError",
    "RunFacts",
    "Timeline",
    "build",
    "load",
    "timeline",
    "write",
]
