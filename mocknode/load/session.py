"""A load run, or a search for a limit, from its options to its report."""

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mocknode.judge.lab.given_lanes import GivenLanes
from mocknode.judge.lab.lanes import LaneError
from mocknode.judge.lab.own_lanes import OwnLanes
from mocknode.judge.lab.target import OptionError, Target, demands_of, target_of
from mocknode.judge.report.files import replace
from mocknode.judge.run.outputs import make_run_directory, refuse_unwritable
from mocknode.load.document import build
from mocknode.load.files import write, write_attempts
from mocknode.load.generator import GeneratorError, locustfile
from mocknode.load.limit import SCALES, LimitSearch
from mocknode.load.options import LoadOptions
from mocknode.load.run import LoadPlan, LoadRun
from mocknode.load.schema import LoadReport
from mocknode.load.unverified import Unverified

DELTA_NAMES: Final = "mocknode-delta-"
"""Prefix of the packages that deltas are made from; nodes must keep these to build on them."""
EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOutcome:
    """What came of a run or a search.

    Attributes:
        report: The report of a run; None when the user interrupted before any load.
        search: The report of a search for a limit.
        written: Report files that were written.
        unwritten: Report files that could not be written, each with its flag and the reason.
    """

    exit_code: int
    report: LoadReport | None = None
    search: Mapping[str, Any] | None = None
    written: Sequence[Path] = ()
    unwritten: Sequence[str] = ()


async def run_load(options: LoadOptions, say: Callable[[str], None], complain: Callable[[str], None]) -> LoadOutcome:
    """Do what the options ask for, as far as that is possible, and write the reports.

    Args:
        say: Called with lines of progress.
        complain: Called with the reason when the environment ended a run whose load had begun.

    Raises:
        OptionError: the options cannot be used; nothing was started.
        LaneError, GeneratorError: the environment is not as it must be; no load was sent.
    """
    options.check()
    locustfile()
    refuse_unwritable(options.files)
    run_dir = make_run_directory(options.run_dir, "load")
    try:
        target = _target(options, run_dir, say)
    except (OptionError, LaneError):
        run_dir.rmdir()  # Nothing was started, so it is empty.
        raise
    plan = _plan(options, target, run_dir, say)
    if options.demand is None:
        return await _run(options, plan, target, complain)
    scale = SCALES[options.limit_of]
    search = LimitSearch(plan, options.demand, options.find_limit or "", target.lanes, scale)
    return await _search(options, search, complain)


def _target(options: LoadOptions, run_dir: Path, say: Callable[[str], None]) -> Target:
    target = target_of(options, None, run_dir, demands_of(options, None, say), polled=False)
    lanes = target.lanes
    if isinstance(lanes, OwnLanes):
        if options.deltas:
            lanes.keep_only = DELTA_NAMES
        if options.tls and not lanes.secure:
            raise OptionError(
                f"--tls: --config {options.config} does not listen for HTTPS; allowed with ${{FRONT_HOST}}:${{FRONT_HTTPS_PORT}}, "
                "${CERTIFICATE} and ${KEY} in it"
            )
    elif isinstance(lanes, GivenLanes):
        lanes.verb = "load"  # Shown to anyone who finds the cluster locked.
    if lanes.nodes:
        options.events(lanes.nodes)  # Refuse a wrong schedule now, not when everything has started.
    return target


def _plan(options: LoadOptions, target: Target, run_dir: Path, say: Callable[[str], None]) -> LoadPlan:
    say(f"record in {run_dir}")
    return LoadPlan(
        workload=options.workload,
        events=options.events,
        conditions=options.conditions,
        secure=options.tls,
        run_dir=run_dir,
        facts={
            "versions": target.versions,
            "balancer": {
                "kind": target.kind,
                "version": target.versions.get(target.kind) if target.kind else None,
                "mode": options.reported_mode,
                "binary": target.binary,
            },
            "reproduce": options.reproduce,
        },
        say=say,
        abort=options.abort_on_fail,
        web=options.web,
    )


async def _run(options: LoadOptions, plan: LoadPlan, target: Target, complain: Callable[[str], None]) -> LoadOutcome:
    lanes = target.lanes
    if options.unverified:
        assert isinstance(lanes, GivenLanes)
        assert options.api_key is not None
        run = LoadRun(plan, Unverified(front=lanes.front, api_key=options.api_key))
    else:
        run = LoadRun(plan, lanes)
    try:
        await run.run()
    except asyncio.CancelledError:
        if not run.ended_ns:
            return LoadOutcome(exit_code=EXIT_INTERRUPTED)
    except Exception as exc:
        if not run.began_ns and options.run_dir is None:
            shutil.rmtree(plan.run_dir, ignore_errors=True)  # Nothing was sent, so there is nothing to look at.
        if not run.began_ns or run.environment is None:
            raise
        complain(str(exc))
    document = build(run)
    written, unwritten = _write_all(options.files, plan.run_dir, lambda name, path: _write(document, run, name, path))
    return LoadOutcome(exit_code=document["exit_code"], report=document, written=written, unwritten=unwritten)


def _write(document: LoadReport, run: LoadRun, name: str, path: Path) -> None:
    if name == "csv":
        assert run.ledger is not None
        write_attempts(run.ledger.rows(), path)
    else:
        write(document, path, name)


async def _search(options: LoadOptions, search: LimitSearch, complain: Callable[[str], None]) -> LoadOutcome:
    try:
        await search.run()
    except asyncio.CancelledError:
        search.cut = "interrupted"
    except (LaneError, GeneratorError) as exc:
        if not search.probes:
            raise
        search.cut = "environment"
        complain(str(exc))
    document = search.document()
    text = json.dumps(document, indent=1) + "\n"
    written, unwritten = _write_all(options.files, search.plan.run_dir, lambda _, path: replace(path, text))
    return LoadOutcome(exit_code=document["exit_code"], search=document, written=written, unwritten=unwritten)


def _write_all(
    files: Mapping[str, Path], run_dir: Path, write_one: Callable[[str, Path], None]
) -> tuple[list[Path], list[str]]:
    """Write every report file; one that cannot be written keeps neither the verdict nor the others from the user."""
    written, unwritten = [], []
    for name, path in files.items():
        try:
            write_one(name, path)
            written.append(path)
        except OSError as exc:
            unwritten.append(f"--{name} {path}: {exc.strerror}; the record in {run_dir} has what was measured")
    return written, unwritten
