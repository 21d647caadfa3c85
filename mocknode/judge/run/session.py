"""A check from its options to its report, and the same report again from a saved run."""

import asyncio
import datetime
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from mocknode.judge import balancers
from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.lab.balancer_file import BalancerFile, BalancerFileError, load
from mocknode.judge.lab.lanes import POLLING, REGION, Demands, LaneError
from mocknode.judge.lab.target import OptionError, Target, TargetOptions, demands_of, target_of
from mocknode.judge.report import REPORT_FILE, Report, write
from mocknode.judge.run import judging, run_directory
from mocknode.judge.run.judging import Facts
from mocknode.judge.run.outputs import make_run_directory, refuse_unwritable
from mocknode.judge.run.plan import Plan
from mocknode.judge.run.reporting import report_document, timeline_of
from mocknode.judge.run.runner import Run
from mocknode.judge.run.selection import left_out, offered_profiles, selected_checks
from mocknode.judge.verdict.outcome import EXIT_CODES, CheckResult

PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
EXIT_ENVIRONMENT: Final = 3
EXIT_INTERRUPTED: Final = 130
_WEB_MINUTES: Final = {"quick": 4, "full": 10}
_POLLING_MINUTES: Final = {"quick": 1, "full": 4}
"""About how long all checks of a kind take, one after another, by tier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions(TargetOptions):
    """What `mocknode check` is asked to do.

    Attributes:
        profiles, only: Profiles and check ids, separated by commas; None means all that the balancer offers.
        core: Report on core claims only.
        reproduce: The command line, for the report.
    """

    balancer_file: Path | None = None
    profiles: str | None = None
    only: str | None = None
    core: bool = False
    json: Path | None = None
    html: Path | None = None
    junit: Path | None = None
    markdown: Path | None = None
    reproduce: str = ""

    @property
    def files(self) -> dict[str, Path]:
        """The report files that were asked for, by format."""
        paths = {"json": self.json, "html": self.html, "junit": self.junit, "markdown": self.markdown}
        return {name: path for name, path in paths.items() if path is not None}


class Watcher(Protocol):
    """Follows a run and shows how far it is."""

    def say(self, text: str) -> None:
        """Show one line."""
        ...

    def plan(self, ids: Sequence[str]) -> None:
        """Take the ids of the checks that will run."""
        ...

    def results(self, results: Sequence[CheckResult]) -> None:
        """Take the results so far."""
        ...


async def run_check(
    options: CheckOptions, watcher: Watcher, complain: Callable[[str], None], interrupted: Callable[[], bool]
) -> tuple[int, Report | None]:
    """Run the checks; return the exit code and the report, which is None if nothing was judged.

    Args:
        complain: Called with the reason when the environment ended the run.
        interrupted: Whether the user has interrupted the run, as far as the caller knows.

    Raises:
        OptionError: the options cannot be used; nothing was started.
        LaneError: the balancer's program is not installed; nothing was started.
    """
    if proxy := next((name for name in PROXY_VARIABLES if os.environ.get(name)), None):
        watcher.say(f"{proxy} is set and ignored: traffic goes straight to the balancer")
    run = _prepared(options, watcher)
    try:
        return await run.run(), run.reporter.document
    except LaneError as exc:
        complain(str(exc))
        if not options.balancer and not run.reporter.done and options.run_dir is None:
            # It holds nothing to judge again. With --with it holds the balancer's log, which the message names.
            shutil.rmtree(run.plan.run_dir, ignore_errors=True)
        return EXIT_ENVIRONMENT, run.reporter.document if run.reporter.results else None
    except asyncio.CancelledError:
        if not interrupted():
            raise
        return EXIT_INTERRUPTED, run.reporter.document


def _prepared(options: CheckOptions, watcher: Watcher) -> Run:
    """The run that these options ask for; nothing has been started."""
    given = bool(options.lb) + bool(options.balancer)
    if given == 2 or (given == 0 and not options.balancer_file):
        raise OptionError("give --lb URL for a balancer that runs already, or --with NAME to start one")
    declared = _declared(options.balancer_file)
    refuse_unwritable(options.files)
    offered = offered_profiles(options, declared)
    checks = selected_checks(options, options.only, options.profiles, offered)
    demands = demands_of(options, declared, watcher.say)
    run_dir = make_run_directory(options.run_dir, "check")
    watcher.plan([item.id for item in checks])
    try:
        polled = any(item.profile in (POLLING, REGION) for item in checks)
        target = target_of(options, declared, run_dir, demands, polled=polled)
    except (OptionError, LaneError):
        run_dir.rmdir()  # Nothing was started, so it is empty.
        raise
    shared = not options.balancer and not options.only
    # How long single checks take differs too much for a forecast.
    forecast = f"; {_forecast(demands.tier, checks)}" if shared else ""
    watcher.say(f"{len(checks)} checks, {demands.tier}; record in {run_dir}{forecast}")
    facts = _facts(options, declared, target, demands)
    return Run(_plan(options, checks, left_out(checks, offered), facts, target, run_dir, watcher), target.lanes)


def _plan(
    options: CheckOptions, checks: tuple[Check, ...], omitted: tuple[str, ...], facts: Facts, target: Target,
    run_dir: Path, watcher: Watcher,
) -> Plan:  # fmt: skip
    def report(document: Report, results: Sequence[CheckResult]) -> None:
        watcher.results(results)
        write(document, json=run_dir / REPORT_FILE)
        write(document, **options.files)

    return Plan(
        checks=checks,
        left_out=omitted,
        facts=facts,
        seed=options.seed,
        run_dir=run_dir,
        versions=target.versions,
        binary=target.binary,
        mode=options.reported_mode,
        reproduce=options.reproduce,
        notes=(),
        say=watcher.say,
        report=report,
    )


def _forecast(tier: str, checks: Sequence[Check]) -> str:
    minutes = 0
    if any(item.profile != POLLING for item in checks):
        minutes += _WEB_MINUTES[tier]
    if any(item.profile == POLLING for item in checks):
        minutes += _POLLING_MINUTES[tier]
    return f"one balancer for all checks: about {minutes} minute{'s'[: minutes > 1]}"


def _declared(path: Path | None) -> BalancerFile | None:
    if path is None:
        return None
    try:
        return load(path, frozenset(CHECKS), balancers.kinds_with_fixes())
    except BalancerFileError as exc:
        raise OptionError(str(exc)) from exc


def _facts(options: CheckOptions, declared: BalancerFile | None, target: Target, demands: Demands) -> Facts:
    facts = Facts(
        nodes=(),
        tier=demands.tier,
        patience_s=demands.patience_s,
        max_upload=demands.max_upload,
        public_name=demands.public_name,
        kind=target.kind,
        core_only=options.core,
    )
    if declared is None:
        return facts
    return replace(
        facts,
        layer=declared.layer,
        all_drained=declared.all_drained,
        failback=declared.failback,
        acceptances=tuple((a.id, a.because, a.until.isoformat()) for a in declared.accept),
    )


def judge_again(run_dir: Path) -> tuple[int, Report]:
    """Judge a saved run from its record alone; return the exit code and the report.

    Raises:
        SavedRunError: the directory is not a saved run that this version can judge.
    """
    run = run_directory.load(run_dir)
    try:
        day = datetime.datetime.fromisoformat(run.report["started"]).date()
        results = judging.judge(run.done, run.facts, run.histories, run.calibration, day)
        results = judging.fit(results, run.report["configuration"])
        timelines = {id_: timeline_of(id_, run.facts, run.histories) for id_ in run.done}
        document = report_document(run.report, run.facts, results, run.histories, run.calibration, run_dir, timelines)
        return EXIT_CODES[document["result"]], document
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        # A judge reports its own errors as a result, so what fails here is what `run.json` says about the run.
        raise run_directory.SavedRunError(
            f"{run_dir / run_directory.RUN_FILE} is not what this version writes: {exc!r}"
        ) from exc
