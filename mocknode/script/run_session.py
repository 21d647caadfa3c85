"""A scenario run from its options to its report, and the verdict again from a saved run."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mocknode.judge.lab.lanes import LaneError
from mocknode.judge.lab.target import OptionError, Target, TargetOptions, demands_of, target_of
from mocknode.judge.report.files import replace
from mocknode.judge.run.outputs import make_run_directory, refuse_unwritable
from mocknode.load.generator import locustfile
from mocknode.script import record, script_report, time_axis, verdicts
from mocknode.script.engine import ScriptRun
from mocknode.script.planning import plan
from mocknode.script.record import Record
from mocknode.script.script_report import ScenarioReport
from mocknode.script.sources import scenario_of

RECORD_FILE: Final = "record.json"
RUN_FILE: Final = "scenario-run.json"
SOURCE_FILE: Final = "scenario.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioOptions(TargetOptions):
    """What `mocknode scenario run` is asked to do.

    Attributes:
        scenario: A file, or the name of a scenario of the library.
        settings: Values of parameters, by name, as they were written.
        rehearse: Do everything but the disturbances.
        reproduce: The command line, for the report.
    """

    scenario: str
    settings: Mapping[str, str] = field(default_factory=dict)
    rehearse: bool = False
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


async def run_scenario(options: ScenarioOptions, say: Callable[[str], None]) -> ScenarioReport:
    """Run a scenario, judge it, and write the reports.

    Raises:
        OptionError, ScenarioError: the options or the file cannot be used; nothing was started.
        LaneError, GeneratorError: the environment is not as it must be.
    """
    if bool(options.lb) == bool(options.balancer):
        raise OptionError("give --lb URL for a balancer that runs already, or --with NAME to start one")
    text, scenario = scenario_of(options.scenario, options.settings)
    plan(scenario, None, options.seed, options.scenario)  # Refuse contradictions before anything is started.
    locustfile()
    refuse_unwritable(options.files)
    run_dir = make_run_directory(options.run_dir, "scenario")
    try:
        target = target_of(options, None, run_dir, demands_of(options, None, say), polled=False)
    except (OptionError, LaneError):
        run_dir.rmdir()  # Nothing was started, so it is empty.
        raise
    say(f"record in {run_dir}")
    (run_dir / SOURCE_FILE).write_text(text, encoding="utf-8")
    run = ScriptRun(
        scenario, target.lanes, run_dir, say, seed=options.seed, source=options.scenario, rehearse=options.rehearse
    )
    found = await run.run()
    facts = _facts(options, target, run.url or target.lanes.url)
    replace(run_dir / RECORD_FILE, json.dumps(found.document(), indent=1) + "\n")
    replace(run_dir / RUN_FILE, json.dumps({**facts, "settings": dict(options.settings)}, indent=1) + "\n")
    report = script_report.build(scenario, found, verdicts.judge(scenario, found), run_dir=str(run_dir), **facts)
    write(report, options.files)
    return report


def _facts(options: ScenarioOptions, target: Target, url: str) -> dict[str, Any]:
    return {"url": url, "balancer": target.kind, "seed": options.seed, "reproduce": options.reproduce}


def write(report: ScenarioReport, files: Mapping[str, Path]) -> None:
    """Write the report in every format that has a path.

    Raises:
        OSError: a file cannot be written.
    """
    for name, path in files.items():
        match name:
            case "json":
                replace(path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
            case "html":
                replace(path, time_axis.render(report))
            case "junit":
                replace(path, script_report.junit(report))
            case "markdown":
                replace(path, script_report.markdown(report))


def judge_again(run_dir: Path) -> ScenarioReport:
    """Judge a saved run from its record alone.

    Raises:
        OptionError: the directory is not a saved run of a scenario.
    """
    try:
        facts = json.loads((run_dir / RUN_FILE).read_text(encoding="utf-8"))
        settings = facts.pop("settings")
        _, scenario = scenario_of(str(run_dir / SOURCE_FILE), settings)
        found: Record = record.load(json.loads((run_dir / RECORD_FILE).read_text(encoding="utf-8")))
        return script_report.build(scenario, found, verdicts.judge(scenario, found), run_dir=str(run_dir), **facts)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise OptionError(f"{run_dir} is not a saved run of a scenario: {exc}") from exc
