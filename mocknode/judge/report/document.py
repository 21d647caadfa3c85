"""The report as one JSON document, `mocknode-report/1`: everything that any format shows is in it.

`build` makes it from a run; every renderer takes the document alone, so that a saved report can be shown offline.
`schema.json` beside this file is its JSON Schema; keys may be added to it, none may change its meaning.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mocknode.judge.record.ledger import CLASSES
from mocknode.judge.report.timeline import Timeline
from mocknode.judge.verdict.outcome import CheckResult, Result, Tier, Variant

SCHEMA: Final = "mocknode-report/1"
RECORDED: Final = "report.json"
"""The report's name in the directory of its run."""
LEDGER: Final = ("attempts", *CLASSES, "provoked")
BALANCER: Final = ("kind", "detected", "version", "mode", "url", "binary")
# A configuration is text a person pasted; beyond this it is a data file that makes no report clearer.
CONFIGURATION_CHARACTERS_MAX: Final = 64 * 1024


class ReportError(ValueError):
    """A file is not a report that this version can show; the message says what it is instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerFacts:
    """The balancer under test.

    Attributes:
        kind: Such as `haproxy`; None when nobody said and nothing gave it away.
        detected: The kind was detected, not declared.
        mode: `recommended`, `stock`, `vendor-doc` where we started it, else None.
        url: Its front door as the clients used it.
        binary: Path of the program where we started it.
        configuration: Name -> text of the files it ran with.
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
        started: Aware; written in UTC.
        versions: Program -> version, ours and the balancer's.
        calibration: As in the report: `probers`, `out_after_s`, `in_after_s`; None before it is known.
        reproduce: The command line that repeats the run.
        planned: Ids of all checks of this run, so that the report of a killed one says what is missing.
        notes: What limits the trust in this run or explains it, a sentence each.
    """

    result: Result
    seed: int
    started: datetime
    duration_s: float
    versions: Mapping[str, str]
    balancer: BalancerFacts
    nodes: tuple[str, ...]
    calibration: Mapping[str, Any] | None
    reproduce: str
    run_dir: str
    tier: Tier
    planned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def build(
    run: RunFacts,
    results: Sequence[CheckResult],
    ledger: Mapping[str, int],
    timelines: Mapping[str, Timeline],
    *,
    claims: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The document of a run.

    Args:
        run: The run as a whole.
        results: The checks done so far, in the order of the report.
        ledger: Class -> count, the keys of `LEDGER`; one that is missing counts 0.
        timelines: Check id -> timeline.
        claims: Check id -> the sentence that was judged.

    Raises:
        ValueError: for a naive `started`, or a class that the ledger doesn't have.
    """
    if run.started.tzinfo is None:
        raise ValueError(f"started must be an aware datetime, got {run.started!r}")
    if strange := sorted(set(ledger) - set(LEDGER)):
        raise ValueError(f"the ledger has no class {', '.join(strange)}; its classes are {', '.join(LEDGER)}")
    done = {result.id for result in results}
    return {
        "schema": SCHEMA,
        "result": run.result,
        "seed": run.seed,
        "started": run.started.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration_s": round(run.duration_s, 3),
        "tier": run.tier,
        "versions": dict(run.versions),
        "balancer": {name: getattr(run.balancer, name) for name in BALANCER},
        "nodes": list(run.nodes),
        "calibration": None if run.calibration is None else _plain(run.calibration),
        "checks": [_check(result) for result in results],
        "unfinished": [id_ for id_ in run.planned if id_ not in done],
        "ledger": {name: ledger.get(name, 0) for name in LEDGER},
        "claims": {id_: text for id_, text in (claims or {}).items() if id_ in done},
        "timelines": {id_: item.to_json() for id_, item in timelines.items() if id_ in done},
        "configuration": {
            name: text[:CONFIGURATION_CHARACTERS_MAX] for name, text in run.balancer.configuration.items()
        },
        "notes": list(run.notes),
        "run_dir": run.run_dir,
        "reproduce": run.reproduce,
    }


def load(path: Path) -> dict[str, Any]:
    """A saved report, or the one in the directory of a run.

    Raises:
        ReportError: if the file can't be read, is no JSON, or has another schema.
    """
    if path.is_dir():
        path = path / RECORDED
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ReportError(f"{path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise ReportError(f"{path} is not JSON: {exc}") from exc
    got = document.get("schema") if isinstance(document, dict) else None
    if got != SCHEMA:
        raise ReportError(f"{path} has the schema {got!r}; this version shows {SCHEMA!r}")
    if missing := sorted(set(schema()["required"]) - set(document)):
        raise ReportError(f"{path} is not a whole report; it lacks {', '.join(missing)}")
    return dict(document)


def schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    text = resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _check(result: CheckResult) -> dict[str, Any]:
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
        "fixes": [asdict(fix) for fix in dict.fromkeys(result.fixes)],
        "duration_s": round(result.duration_s, 3),
        "tries": result.tries,
    }


def _variant(variant: Variant) -> dict[str, Any]:
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


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Judges hand over tuples, sets and paths now and then; what is written is what any JSON reader gets back."""
    # `parse_constant` spells NaN and infinities as text: JSON has no number for them.
    return dict(json.loads(json.dumps(value, default=_as_json), parse_constant=str))


def _as_json(value: object) -> object:
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else str(value)
