"""Reports: one JSON document, and the terminal, HTML, JUnit and Markdown made from it alone."""

from scenarios.report.document import RECORDED, SCHEMA, BalancerFacts, ReportError, RunFacts, build, load, schema
from scenarios.report.files import write
from scenarios.report.timeline import Timeline
from scenarios.report.tracing import timeline

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
