"""What a run of checks is asked to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mocknode.judge.catalogue.check import Check
from mocknode.judge.report import Report
from mocknode.judge.run.judging import Facts
from mocknode.judge.verdict.outcome import CheckResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The checks to run, and what the report says about the run.

    Attributes:
        left_out: Ids of checks that this balancer could be put to and the run was not asked for.
        facts: What judging needs, without lanes, durations and errors, which the run adds.
        report: Called with the document after every check.
    """

    checks: tuple[Check, ...]
    left_out: tuple[str, ...]
    facts: Facts
    seed: int
    run_dir: Path
    versions: Mapping[str, str]
    binary: str | None
    mode: str | None
    reproduce: str
    notes: tuple[str, ...]
    say: Callable[[str], None]
    report: Callable[[Report, Sequence[CheckResult]], None]
