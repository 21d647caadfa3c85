"""Concludes from the record of a run, and from nothing else, whether each expectation held. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mocknode.script.as_written import words_of
from mocknode.script.context import Look
from mocknode.script.declared import Claim
from mocknode.script.model import Expectation, Scenario
from mocknode.script.record import Record, StepRecord
from mocknode.script.vocabulary import CONDITIONS

Outcome = Literal["held", "failed", "unknown"]
Result = Literal["held", "failed", "environment", "unknown", "untrusted", "interrupted", "rehearsed"]
EXIT_CODES: Final[Mapping[Result, int]] = {
    "held": 0, "rehearsed": 0, "failed": 1, "environment": 3, "unknown": 4, "untrusted": 5, "interrupted": 130,
}  # fmt: skip
CAUSES: Final = (("delivered_twice", "upload-redelivered"),)
"""Classes of the ledger that one cause explains."""
CUT: Final = "drain-cuts-upload"
STAYS: Final = "drained-node-gets-requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One expectation, judged.

    Attributes:
        text: What was expected, in one line.
        when: `always`, `eventually`, `finally`, or `step` for one of the schedule.
        saw: What was seen.
        cause: Slug of a cause that the checks declare; None when nothing is wrong or nothing explains it.
        nearest: Events near a step's failure.
        line: Where it stands in the file.
    """

    text: str
    when: str
    outcome: Outcome
    saw: str
    claim: Claim = "liveness"
    cause: str | None = None
    nearest: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict on a run.

    Attributes:
        signature: The first failure and its cause, by which two runs fail in the same way; empty without one.
    """

    result: Result
    judged: tuple[Judged, ...]
    signature: str = ""

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_CODES[self.result]


def judge(scenario: Scenario, record: Record) -> Verdict:
    """Judge every expectation and every step."""
    judged = [
        *(_step(record, step) for step in record.steps if step.ended != "done"),
        *(_expectation(record, index, item) for index, item in enumerate(scenario.expectations)),
    ]
    failed = [item for item in judged if item.outcome == "failed"]
    signature = f"{failed[0].when}: {failed[0].text} ({failed[0].cause or 'no known cause'})" if failed else ""
    return Verdict(result=_result(record, judged), judged=tuple(judged), signature=signature)


def _step(record: Record, step: StepRecord) -> Judged:
    outcome: Outcome = "failed" if step.ended in ("failed", "missed") else "unknown"
    cause = _cause(record)
    if cause is None and outcome == "failed" and " quiet" in f" {step.text}":
        cause = STAYS
    return Judged(
        text=f"{step.id} {step.text}", when="step", outcome=outcome, saw=step.saw, cause=cause if outcome == "failed" else None,
        nearest=step.nearest, line=step.line,
    )  # fmt: skip


def _expectation(record: Record, index: int, expectation: Expectation) -> Judged:
    shape = CONDITIONS[expectation.condition.word]
    if expectation.when == "eventually":
        late = next((look for look in record.late if look.index == index), None)
        look = (
            Look(holds=None, saw="the schedule ended before it was looked at")
            if late is None
            else Look(holds=late.holds, saw=late.saw)
        )
    else:
        assert shape.judge is not None
        look = shape.judge(expectation.condition.args, record)
    outcome: Outcome = "unknown" if look.holds is None else "held" if look.holds else "failed"
    return Judged(
        text=words_of(expectation.condition), when=expectation.when, outcome=outcome, saw=look.saw, claim=shape.claim,
        cause=_cause(record) if outcome == "failed" else None, line=expectation.line,
    )  # fmt: skip


def _cause(record: Record) -> str | None:
    """Return what explains failures of this run best."""
    for name, cause in CAUSES:
        if any(figures.classes.get(name) for figures in record.streams.values()):
            return cause
    if any(figures.cut_on_drain for figures in record.streams.values()):
        return CUT
    return None


def _result(record: Record, judged: list[Judged]) -> Result:
    if record.interrupted:
        return "interrupted"
    if not record.restored:
        return "environment"
    failed = [item for item in judged if item.outcome == "failed"]
    # What was lost or doubled was so however short of time the generator was.
    if any(item.claim == "safety" for item in failed):
        return "failed"
    if record.problems:
        return "untrusted"
    if failed:
        return "failed"
    if any(item.outcome == "unknown" for item in judged):
        return "unknown"
    return "rehearsed" if record.rehearsed else "held"
