"""Judges what a run has done so far, saves it, and makes its report."""

import dataclasses
import datetime
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.lab.lab import Lab
from mocknode.judge.lab.lanes import Lanes
from mocknode.judge.lab.loop_watch import LoopWatch
from mocknode.judge.record import ledger
from mocknode.judge.record.history import History
from mocknode.judge.record.ledger import LedgerCounts
from mocknode.judge.report import BalancerFacts, Report, RunFacts, Timeline, build
from mocknode.judge.report import timeline as draw_timeline
from mocknode.judge.run.judging import Facts, detection, fit, for_timeline, judge
from mocknode.judge.run.plan import Plan
from mocknode.judge.run.run_directory import RunRecord, calibration_of, save
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.outcome import CheckResult, Result, overall


@dataclass(slots=True)
class Reporter:
    """The checks that a run has done so far, their results, and the report about them.

    Attributes:
        labs: The lab of each lane that is open.
        calibrated_in: The lane in which the run calibrates.
        document: The last report; None before the first.
    """

    plan: Plan
    lanes: Lanes
    watch: LoopWatch
    calibrated_in: str
    labs: dict[str, Lab] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    durations_s: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    results: list[CheckResult] = field(default_factory=list)
    document: Report | None = None
    started: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    _began: float = field(default_factory=time.monotonic)
    _notes: dict[str, str] = field(default_factory=dict)
    _timelines: dict[str, Timeline] = field(default_factory=dict)

    def add(self, checks: Iterable[Check], duration_s: float) -> None:
        """Take checks that are done; they shared one run of `duration_s`."""
        for check in checks:
            self.done.append(check.id)
            self.durations_s[check.id] = duration_s

    def note(self, about: str, text: str) -> None:
        """Take a sentence for the report; lanes that notice the same thing write one."""
        self._notes.setdefault(about, text)

    def fail(self, checks: Iterable[Check], error: Exception) -> None:
        """Take the error that ended the run of these checks."""
        for check in checks:
            self.errors[check.id] = f"{type(error).__name__}: {error}"

    def result(self) -> Result:
        """Return the result of the checks that are done."""
        return "partial" if self.document is None else self.document["result"]

    def report(self) -> None:
        """Judge what is done so far, save it and hand out the report."""
        # A check that is reported must be on disk: a run that is killed now can be judged again.
        for lab in self.labs.values():
            lab.recording.flush()
        histories = {lab.name: lab.history for lab in self.labs.values()}
        facts, lane = self._facts(), self._calibrated_lane()
        calibration = calibration_of(histories, lane, self.lanes.nodes)
        results = judge(self.done, facts, histories, calibration, self.started.date())
        self.results = fit(results, getattr(self.lanes, "configuration", {}))
        # Detection searches thousands of answers, which is wasted if the kind is known.
        detected = detection(list(histories.values()), calibration).kind if facts.kind is None else None
        for id_ in self.done:
            if id_ not in self._timelines:
                self._timelines[id_] = timeline_of(id_, facts, histories)
        record = self._record(detected)
        save(self.plan.run_dir, facts, done=tuple(self.done), calibrated_lane=lane, report=record)
        self.document = report_document(
            record, facts, self.results, histories, calibration, self.plan.run_dir, self._timelines
        )
        self.plan.report(self.document, self.results)

    def _record(self, detected: str | None) -> RunRecord:
        plan = self.plan
        return {
            "seed": plan.seed,
            "started": self.started.isoformat(),
            "duration_s": time.monotonic() - self._began,
            "versions": dict(plan.versions),
            "binary": plan.binary,
            "mode": plan.mode,
            "url": self.lanes.url,
            "configuration": dict(getattr(self.lanes, "configuration", {})),
            "reproduce": plan.reproduce,
            "planned": [check.id for check in plan.checks],
            "left_out": list(plan.left_out),
            "notes": [*plan.notes, *self._notes.values(), *self.watch.notes()],
            "trusted": self.watch.trusted,
            "detected": detected,
        }

    def _facts(self) -> Facts:
        return dataclasses.replace(
            self.plan.facts,
            nodes=self.lanes.nodes,
            lanes={id_: self.labs[CHECKS[id_].lane].name for id_ in self.done},
            durations_s=dict(self.durations_s),
            errors=dict(self.errors),
        )

    def _calibrated_lane(self) -> str | None:
        lab = self.labs.get(self.calibrated_in)
        return lab.name if lab is not None and lab.history.steps_of("calibration") else None


def result_of(record: RunRecord, results: Sequence[CheckResult], counts: LedgerCounts) -> Result:
    """Return the result of a run, live or saved."""
    return overall(
        results,
        trusted=record["trusted"],
        unfinished=set(record["planned"]) - {result.id for result in results},
        left_out=record.get("left_out", ()),
        harmed=bool(counts["lost"] or counts["delivered_twice"] or counts["corrupted"]),
    )


def report_document(
    record: RunRecord, facts: Facts, results: Sequence[CheckResult], histories: Mapping[str, History],
    calibration: Calibration, run_dir: Path, timelines: Mapping[str, Timeline],
) -> Report:  # fmt: skip
    """Build the report of a run, live or saved."""
    kind = facts.kind or record["detected"]
    counts = ledger.balance(histories.values()).document()
    run = RunFacts(
        result=result_of(record, results, counts),
        seed=record["seed"],
        started=datetime.datetime.fromisoformat(record["started"]),
        duration_s=record["duration_s"],
        versions=record["versions"],
        balancer=BalancerFacts(
            kind=kind,
            detected=facts.kind is None and kind is not None,
            url=record["url"],
            version=record["versions"].get(kind) if kind else None,
            mode=record["mode"],
            binary=record["binary"],
            configuration=record["configuration"],
        ),
        nodes=facts.nodes,
        calibration=calibration.document() if calibration.drained or calibration.probers else None,
        reproduce=record["reproduce"],
        run_dir=str(run_dir),
        tier=facts.tier,
        planned=tuple(record["planned"]),
        left_out=tuple(record.get("left_out", ())),
        notes=tuple(record["notes"]),
    )
    claims = {result.id: CHECKS[result.id].claim for result in results}
    return build(run, results, counts, timelines, claims=claims)


def timeline_of(id_: str, facts: Facts, histories: Mapping[str, History]) -> Timeline:
    """Return the timeline of a check that is done."""
    return draw_timeline(for_timeline(histories[facts.lanes[id_]], CHECKS[id_]), id_)
