"""Reports: one JSON document, and the terminal, HTML, JUnit and Markdown made from it alone."""

from mocknode.judge.report.document import RECORDED, SCHEMA, BalancerFacts, ReportError, RunFacts, build, load, schema
from mocknode.judge.report.files import write
from mocknode.judge.report.timeline import Timeline
from mocknode.judge.report.tracing import timeline

__all__ = [
    "RECORDED",
    "SCHEMA",
    "BalancerFacts",
    "ReportError",
    "RunFacts",
    "Timeline",
    "build",
    "load",
    "schema",
    "timeline",
    "write",
]
