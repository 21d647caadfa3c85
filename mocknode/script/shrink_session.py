"""Shrinks a saved run that failed: runs smaller and smaller scenarios through the same balancer, and writes the smallest that fails."""

import json
import time
from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path
from typing import Final

from mocknode.judge.lab.target import OptionError, demands_of, target_of
from mocknode.judge.report.files import replace
from mocknode.load.generator import locustfile
from mocknode.script import record, verdicts
from mocknode.script.engine import ScriptRun
from mocknode.script.model import Scenario
from mocknode.script.planning import Plan, plan
from mocknode.script.reading import ScenarioError
from mocknode.script.record import Record
from mocknode.script.run_session import RECORD_FILE, RUN_FILE, SOURCE_FILE, ScenarioOptions
from mocknode.script.shrinking import Shrunk, StopSearchError, shrink
from mocknode.script.sources import scenario_of
from mocknode.script.writing import written

DIRECTORY: Final = "shrink"
"""Directory in that of the run, with one for each run of a candidate."""
OUTPUT_FILE: Final = "shrunk.yaml"


async def shrink_run(
    run_dir: Path, options: ScenarioOptions, *, budget_s: float, output: Path, say: Callable[[str], None]
) -> Shrunk:
    """Shrink the scenario of a failed run, and write what is left to `output`.

    Args:
        options: Say where the balancer is, as those of the run did.

    Raises:
        OptionError: the directory is no saved run, or the run did not fail.
        LaneError, GeneratorError: the environment is not as it must be.
    """
    if bool(options.lb) == bool(options.balancer):
        raise OptionError("give --lb URL for a balancer that runs already, or --with NAME to start one")
    planned, found = _saved(run_dir)
    signature = verdicts.judge(planned.scenario, found).signature
    if not signature:
        raise OptionError(f"{run_dir}: this run did not fail, so there is nothing to shrink")
    locustfile()
    if not output.parent.is_dir():
        raise OptionError(f"--output: got {str(output)!r}, allowed: a file in a directory that exists")
    say(f"looking for the smallest scenario that fails like this: {signature}")
    candidates = _Candidates(options, planned, signature, run_dir / DIRECTORY, say)
    failed = next((step.id for step in found.steps if step.ended in ("failed", "missed")), "")
    shrunk = await shrink(
        planned.drawn, candidates.fails, planned.nodes, budget_s=budget_s, clock=time.monotonic, until=failed
    )
    replace(output, written(shrunk.scenario, _story(planned, signature, shrunk)))
    return shrunk


def _saved(run_dir: Path) -> tuple[Plan, Record]:
    try:
        facts = json.loads((run_dir / RUN_FILE).read_text(encoding="utf-8"))
        _, scenario = scenario_of(str(run_dir / SOURCE_FILE), facts["settings"])
        found = record.load(json.loads((run_dir / RECORD_FILE).read_text(encoding="utf-8")))
        return plan(scenario, None, facts["seed"]), found
    except (OSError, ValueError, KeyError, TypeError, ScenarioError) as exc:
        raise OptionError(f"{run_dir} is not a saved run of a scenario: {exc}") from exc


def _story(planned: Plan, signature: str, shrunk: Shrunk) -> list[str]:
    end = "nothing smaller fails" if shrunk.finished else "the budget ran out"
    return [
        f"Found by `mocknode scenario shrink` in {planned.scenario.name}, seed {planned.seed}.",
        f"It fails like this: {signature}.",
        f"{shrunk.candidates} smaller scenarios were tried in {shrunk.runs} runs; {end}.",
    ]


class _Candidates:
    """Runs candidates, each in a directory of its own."""

    def __init__(
        self, options: ScenarioOptions, planned: Plan, signature: str, directory: Path, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._seed = planned.seed
        self._signature = signature
        # The generator runs in a directory of its own.
        self._directory = directory.resolve()
        self._say = say
        self._count = 0

    async def fails(self, candidate: Scenario) -> bool:
        """Run a candidate once, and return whether it fails with the same signature."""
        self._count += 1
        own = self._directory / f"{self._count:03d}"
        own.mkdir(parents=True)
        (own / SOURCE_FILE).write_text(written(candidate), encoding="utf-8")
        options = changed(self._options, run_dir=own, seed=self._seed)
        target = target_of(options, None, own, demands_of(options, None, _silent), polled=False)
        found = await ScriptRun(candidate, target.lanes, own, _silent, seed=self._seed, source=str(own)).run()
        if found.interrupted:
            raise StopSearchError
        verdict = verdicts.judge(candidate, found)
        failed = verdict.signature == self._signature
        steps = f"{len(candidate.schedule)} steps, {len(candidate.workload)} streams"
        self._say(f"run {self._count}: {steps}: {'fails' if failed else verdict.signature or verdict.result}")
        return failed


def _silent(line: str) -> None:
    """Say nothing: the lines of a hundred runs would hide what was found."""
