"""Saves what judging a run again needs beside its recordings, and loads it; `mocknode judge RUN_DIR` reads nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from mocknode.judge.record import recording
from mocknode.judge.record.history import History
from mocknode.judge.run.judging import Facts, facts_from
from mocknode.judge.verdict.calibration import Calibration, calibrate

RUN_FILE: Final = "run.json"
SCHEMA: Final = "mocknode-run/1"


class SavedRunError(ValueError):
    """A directory is not a saved run that this version can judge."""


class RunRecord(TypedDict):
    """What the report says about a run, apart from its results."""

    seed: int
    started: str
    duration_s: float
    versions: dict[str, str]
    binary: str | None
    mode: str | None
    url: str
    configuration: dict[str, str]
    reproduce: str
    planned: list[str]
    left_out: NotRequired[list[str]]
    """Absent in runs of older versions."""
    notes: list[str]
    trusted: bool
    detected: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRun:
    """A run as it was saved.

    Attributes:
        calibrated_lane: The lane that calibrated; None if none did.
    """

    facts: Facts
    done: tuple[str, ...]
    calibrated_lane: str | None
    histories: Mapping[str, History]
    report: RunRecord

    @property
    def calibration(self) -> Calibration:
        """The calibration, from the history of the lane that calibrated."""
        return calibration_of(self.histories, self.calibrated_lane, self.facts.nodes)


def calibration_of(histories: Mapping[str, History], lane: str | None, nodes: tuple[str, ...]) -> Calibration:
    """Return the calibration of a run, an empty one if no lane calibrated."""
    if lane is None or lane not in histories:
        return Calibration(probers=(), out_after_s=None, in_after_s=None, drained=False)
    return calibrate(histories[lane], nodes)


def save(run_dir: Path, facts: Facts, *, done: tuple[str, ...], calibrated_lane: str | None, report: RunRecord) -> None:
    """Write the run's file. The recordings are written while the run goes on."""
    document = {
        "schema": SCHEMA,
        "facts": facts.document(),
        "done": list(done),
        "calibrated_lane": calibrated_lane,
        "report": report,
    }
    part = run_dir / f".{RUN_FILE}.part"
    part.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
    part.replace(run_dir / RUN_FILE)


def load(run_dir: Path) -> SavedRun:
    """Read a saved run.

    Raises:
        SavedRunError: naming the file that is missing or of another version.
    """
    try:
        document = json.loads((run_dir / RUN_FILE).read_text(encoding="utf-8"))
    except OSError as exc:
        raise SavedRunError(f"{run_dir} is not a saved run: {RUN_FILE}: {exc.strerror}") from exc
    except ValueError as exc:
        raise SavedRunError(f"{run_dir / RUN_FILE} is not JSON: {exc}") from exc
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        got = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise SavedRunError(f"{run_dir / RUN_FILE} has the schema {got!r}; this version judges {SCHEMA!r}")
    try:
        facts = facts_from(document["facts"])
        lanes = sorted({facts.lanes[id_] for id_ in document["done"]} | {document["calibrated_lane"]} - {None})
        histories = {lane: recording.load(run_dir / lane / "history.jsonl") for lane in lanes}
        return SavedRun(
            facts=facts,
            done=tuple(document["done"]),
            calibrated_lane=document["calibrated_lane"],
            histories=histories,
            report=document["report"],
        )
    except (OSError, KeyError, TypeError, ValueError) as exc:
        raise SavedRunError(f"{run_dir} is not a complete run: {exc}") from exc
