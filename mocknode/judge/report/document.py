"""Builds the report of a run as one JSON document, and loads a saved one.

Every renderer takes this document and nothing else, so a saved report can be shown offline.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from mocknode.judge.record.ledger import LedgerCounts
from mocknode.judge.report.schema import (
    SCHEMA,
    Report,
    ReportedCheck,
    ReportedFix,
    ReportedVariant,
    Timeline,
)
from mocknode.judge.verdict.calibration import CalibrationFacts
from mocknode.judge.verdict.outcome import CheckResult, Fix, Result, Tier, Variant

REPORT_FILE: Final = "report.json"
"""Name of the report in the directory of its run."""
# People write configurations by hand; a longer file is data, and makes no report clearer.
CONFIGURATION_CHARACTERS_MAX: Final = 64 * 1024


class ReportError(ValueError):
    """A file is not a report that this version can show; the message says what was found instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerFacts:
    """The balancer under test.

    Attributes:
        kind: For example `haproxy`; None if it was not declared and could not be detected.
        detected: The kind was detected, not declared.
        mode: `recommended`, `stock` or `vendor-doc` if we started the balancer, else None.
        url: The address that the clients used.
        binary: Path of the program if we started it.
        configuration: Name -> text of the files that it ran with.
    """

    kind: str | None
    detected: bool
    url: str
    version: str | None = None
    mode: str | None = None
    binary: str | None = None
    configuration: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a report says about the run as a whole.

    Attributes:
        result: See `mocknode.judge.verdict.outcome.overall`.
        started: A time with a time zone; the report has it in UTC.
        versions: Program -> version, for us and for the balancer.
        calibration: None before it is known.
        reproduce: The command line that repeats the run.
        planned: Ids of all checks of this run, so that the report of a killed run says what is missing.
        left_out: Ids of checks that this balancer could be put to and the run was not asked for.
        notes: Sentences that limit the trust in this run or explain it.
    """

    result: Result
    seed: int
    started: datetime
    duration_s: float
    versions: Mapping[str, str]
    balancer: BalancerFacts
    nodes: tuple[str, ...]
    calibration: CalibrationFacts | None
    reproduce: str
    run_dir: str
    tier: Tier
    planned: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def build(
    run: RunFacts,
    results: Sequence[CheckResult],
    ledger: LedgerCounts,
    timelines: Mapping[str, Timeline],
    *,
    claims: Mapping[str, str] | None = None,
) -> Report:
    """Build the document of a run.

    Args:
        run: The run as a whole.
        results: The checks done so far, in the order of the report.
        ledger: The uploads of the run, by class.
        timelines: Check id -> timeline.
        claims: Check id -> the sentence that was judged.

    Raises:
        ValueError: `started` has no time zone.
    """
    if run.started.tzinfo is None:
        raise ValueError(f"started must be an aware datetime, got {run.started!r}")
    done = {result.id for result in results}
    balancer = run.balancer
    return {
        "schema": SCHEMA,
        "result": run.result,
        "seed": run.seed,
        "started": run.started.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration_s": round(run.duration_s, 3),
        "tier": run.tier,
        "versions": dict(run.versions),
        "balancer": {
            "kind": balancer.kind,
            "detected": balancer.detected,
            "version": balancer.version,
            "mode": balancer.mode,
            "url": balancer.url,
            "binary": balancer.binary,
        },
        "nodes": list(run.nodes),
        "calibration": run.calibration,
        "checks": [_check(result) for result in results],
        "unfinished": [id_ for id_ in run.planned if id_ not in done],
        "left_out": list(run.left_out),
        "ledger": ledger,
        "claims": {id_: text for id_, text in (claims or {}).items() if id_ in done},
        "timelines": {id_: _plain_timeline(item) for id_, item in timelines.items() if id_ in done},
        "configuration": {name: text[:CONFIGURATION_CHARACTERS_MAX] for name, text in balancer.configuration.items()},
        "notes": list(run.notes),
        "run_dir": run.run_dir,
        "reproduce": run.reproduce,
    }


def load(path: Path) -> Report:
    """Load a saved report: a file, or the report in the directory of a run.

    Raises:
        ReportError: the file cannot be read, is not JSON, or has another schema.
    """
    if path.is_dir():
        path = path / REPORT_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ReportError(f"{path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise ReportError(f"{path} is not JSON: {exc}") from exc
    got = document.get("schema") if isinstance(document, dict) else None
    if got != SCHEMA:
        raise ReportError(f"{path} has the schema {got!r}; this version shows {SCHEMA!r}")
    if missing := sorted(Report.__required_keys__ - set(document)):
        raise ReportError(f"{path} is not a whole report; it lacks {', '.join(missing)}")
    return cast(Report, document)


def _check(result: CheckResult) -> ReportedCheck:
    return {
        "id": result.id,
        "name": result.name,
        "profile": result.profile,
        "outcome": result.outcome.value,
        "summary": result.summary,
        "cause": result.cause,
        "hurts": result.hurts,
        "levels": sorted({v.level for v in result.variants}),
        "variants": [_variant(v) for v in result.variants],
        "ruled_out": list(result.ruled_out),
        "caused_by": result.caused_by,
        "fixes": [_fix(fix) for fix in dict.fromkeys(result.fixes)],
        "duration_s": round(result.duration_s, 3),
        "tries": result.tries,
    }


def _variant(variant: Variant) -> ReportedVariant:
    return {
        "name": variant.name,
        "level": variant.level,
        "tier": variant.tier,
        "outcome": variant.outcome.value,
        "summary": variant.summary,
        "cause": variant.cause,
        "hurts": variant.hurts,
        "evidence": _plain(variant.evidence),
        "ruled_out": list(variant.ruled_out),
        "caused_by": variant.caused_by,
    }


def _fix(fix: Fix) -> ReportedFix:
    return {"balancer": fix.balancer, "file": fix.file, "snippet": fix.snippet, "costs": fix.costs}


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a JSON reader gets back: judges put tuples, sets and paths into evidence now and then."""
    # `parse_constant` spells NaN and infinities as text: JSON has no number for them.
    return dict(json.loads(json.dumps(value, default=_as_json), parse_constant=str))


def _plain_timeline(timeline: Timeline) -> Timeline:
    return cast(Timeline, _plain(timeline))


def _as_json(value: object) -> object:
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else str(value)
