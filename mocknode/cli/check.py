"""`mocknode check` and `mocknode checks`: read the flags, hand over to the judge, show what it says."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mocknode.cli.errors import DURATION
from mocknode.cli.output import looks
from mocknode.cli.progress import Progress
from mocknode.cli.target import (
    Size,
    demands_of,
    lanes_of,
    passing,
    read,
    refuse_unwritable,
    run_dir_of,
    target_options,
    tentacles_of,
    usage,
)

if TYPE_CHECKING:
    from mocknode.judge.catalogue.check import Check
    from mocknode.judge.lab.balancer_file import BalancerFile
    from mocknode.judge.lab.lanes import Demands
    from mocknode.judge.verdict.outcome import CheckResult

PROFILES = ("web", "upload", "polling")
POLLING, REGION = "polling", "region"
T = TypeVar("T")
INTERRUPTED: Final = "mocknode: interrupted; what was started has been stopped, the report holds what was judged so far"
EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 2, 3, 130


@click.command(context_settings={"auto_envvar_prefix": "MOCKNODE_CHECK"})
@target_options
@click.option(
    "--standby",
    metavar="URL",
    help="Control API of a second cluster behind --lb, used when no node of the first is healthy; judges profile region. The "
    "token and CA of --control hold for it too.",
)
@click.option(
    "--balancer-file", type=click.Path(path_type=Path, dir_okay=False), help="What is declared about the balancer."
)
@click.option("--shipped-interval", is_flag=True, help="Leave the probe interval of --with at the vendor's default.")
@click.option(
    "--profile",
    "profiles",
    help="web, upload, polling; several by comma. Default: all that the target offers. Or region, alone: two clusters.",
)
@click.option("--only", help="Check ids by comma.")
@click.option("--core", is_flag=True, help="Report and exit on core claims only.")
@click.option("--quick", is_flag=True, help="Judge the short form of each claim.")
@click.option(
    "--patience", type=DURATION, default="75s", show_default=True, help="Longest silence that must be survived."
)
@click.option("--max-upload", type=Size(), help="Largest request body to send; declares no limit.")
@click.option("--public-name", help="Name that users ask for; default: that of --lb, or --host.")
@click.option(
    "--tentacle",
    "tentacles",
    multiple=True,
    metavar="NODE=HOST:PORT",
    help="Where Tentacles poll this node through the balancer at --lb; one for each node, several by comma.",
)
@click.option("--json", "json_", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as one HTML file.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as JUnit XML.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as Markdown.")
def check(**options: Any) -> None:
    """Judge the load balancer in front of a mock cluster."""
    sys.exit(_check(options))


@click.command()
def checks() -> None:
    """List the checks."""
    from mocknode.judge.catalogue.registry import CHECKS

    for item in CHECKS.values():
        click.echo(f"{item.id}  {item.name:<28} {item.profile:<7} {item.claim}")


def _check(options: Mapping[str, Any]) -> int:
    from mocknode.judge.lab.lanes import LaneError

    given = bool(options["lb"]) + bool(options["with_"])
    if given == 2 or (given == 0 and not options["balancer_file"]):
        raise click.UsageError("give --lb URL for a balancer that runs already, or --with NAME to have one started")
    try:
        with Progress() as progress:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
                if os.environ.get(name):
                    progress.say(f"{name} is set and ignored: traffic goes straight to the balancer")
                    break
            code, document = run_loop(_run(options, progress))
        if document:
            _show(options, document)
        if code == EXIT_INTERRUPTED:
            click.echo(INTERRUPTED, err=True)
        return code
    except LaneError as exc:
        click.echo(f"mocknode: {exc}", err=True)
        return EXIT_ENVIRONMENT


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """On uvloop where there is one: a gigabyte upload then costs half the CPU."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


async def _run(options: Mapping[str, Any], progress: Progress) -> tuple[int, Mapping[str, Any]]:
    """The exit code, and the report as far as the run came."""
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.judge.report import RECORDED, write
    from mocknode.judge.run.runner import Plan, Run

    # CI systems end a job with SIGTERM; it unwinds as Ctrl-C does.
    task = asyncio.current_task()
    interrupted = []

    def stop() -> None:
        interrupted.append(True)
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop)
    declared = _balancer_file(options["balancer_file"])
    refuse_unwritable(_files(options))
    offered = _offered(options, declared)
    selected = _selected(options, offered)
    demands = demands_of(options, declared, progress.say)
    run_dir = run_dir_of(options["run_dir"])
    progress.plan([item.id for item in selected])
    polled = any(item.profile in (POLLING, REGION) for item in selected)
    try:
        lanes, kind, versions, binary = lanes_of(options, declared, run_dir, demands, polled=polled)
    except (click.UsageError, LaneError):
        run_dir.rmdir()  # Nothing was started, so nothing is in it.
        raise
    progress.say(
        f"{len(selected)} checks, {'quick' if options['quick'] else 'full'}; record in {run_dir}"
        # How long a few checks take differs too much from check to check.
        + (f"; {_forecast(options, selected)}" if not options["with_"] and not options["only"] else "")
    )

    def report(document: Mapping[str, Any], results: "Sequence[CheckResult]") -> None:
        progress.results(results)
        write(document, json=run_dir / RECORDED)
        write(document, **_files(options))

    plan = Plan(
        checks=selected,
        facts=_facts(options, declared, kind, demands),
        seed=options["seed"],
        run_dir=run_dir,
        versions=versions,
        binary=binary,
        mode=None if not options["with_"] else ("custom" if options["config"] else options["mode"] or "recommended"),
        reproduce=shlex.join(["mocknode", *sys.argv[1:]]),
        notes=(),
        say=progress.say,
        report=report,
    )
    run = Run(plan, lanes)
    try:
        return await run.run(), run.document
    except LaneError as exc:
        click.echo(f"mocknode: {exc}", err=True)
        if not options["with_"] and not run.done and options["run_dir"] is None:
            # Nothing to judge again; of a balancer of ours the directory holds the log that the message points at.
            shutil.rmtree(run_dir, ignore_errors=True)
        return EXIT_ENVIRONMENT, run.document if run.results else {}
    except asyncio.CancelledError:
        if not interrupted:
            raise
        return EXIT_INTERRUPTED, run.document


def _forecast(options: Mapping[str, Any], selected: "Sequence[Check]") -> str:
    minutes = 0
    if any(item.profile != POLLING for item in selected):
        minutes += 4 if options["quick"] else 10
    if any(item.profile == POLLING for item in selected):
        minutes += 1 if options["quick"] else 4
    return f"one balancer for all checks: about {minutes} minute{'s'[: minutes > 1]}"


def _balancer_file(path: Path | None) -> "BalancerFile | None":
    if path is None:
        return None
    from mocknode.judge import balancers
    from mocknode.judge.catalogue.registry import CHECKS
    from mocknode.judge.lab.balancer_file import BalancerFileError, load

    try:
        return load(path, frozenset(CHECKS), balancers.kinds_with_fixes())
    except BalancerFileError as exc:
        usage(str(exc))


def _offered(options: Mapping[str, Any], declared: "BalancerFile | None") -> tuple[str, ...]:
    """Profiles that the target offers: Tentacles are judged where they have addresses."""
    polled = passing(options) if options["with_"] else bool(tentacles_of(options, declared))
    return tuple(name for name in PROFILES if name != POLLING or polled)


def _selected(options: Mapping[str, Any], offered: Sequence[str]) -> "tuple[Check, ...]":
    """Checks by --only and --profile, in the order of the catalogue."""
    import difflib

    from mocknode.judge.catalogue.registry import CHECKS

    offers = [REGION] if options["standby"] else list(offered)
    profiles = offers if options["profiles"] is None else options["profiles"].split(",")
    for name in profiles:
        if name not in (*PROFILES, REGION):
            usage(f"unknown profile {name!r}; profiles are {', '.join((*PROFILES, REGION))}")
    ids = list(CHECKS) if options["only"] is None else [name.strip().upper() for name in options["only"].split(",")]
    for name in ids:
        if name not in CHECKS:
            close = difflib.get_close_matches(name, CHECKS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            usage(f"unknown check {name!r}{hint}; checks are {', '.join(CHECKS)}")
    # A check that is asked for by name is wanted whatever the target offers by default.
    if options["only"] and not options["profiles"]:
        profiles = [*PROFILES, REGION]
    selected = tuple(item for item in CHECKS.values() if item.id in ids and item.profile in profiles)
    if not selected:
        usage(f"none of {', '.join(ids)} belongs to profile {', '.join(profiles)}")
    if any(item.profile == REGION for item in selected):
        _refuse_region(options, {item.profile for item in selected})
    elif options["standby"]:
        usage(
            "--standby is for profile region; the other profiles are judged without a second cluster behind the balancer"
        )
    if POLLING not in offered and any(item.profile == POLLING for item in selected):
        _refuse_polling(options)
    return selected


def _refuse_region(options: Mapping[str, Any], profiles: set[str]) -> None:
    """A failover needs somewhere to go, and a balancer that has somewhere to go answers what other checks judge."""
    from mocknode.judge import balancers

    if profiles != {REGION}:
        usage(
            "profile region is judged alone: with a standby behind it the balancer answers when all its nodes are drained"
        )
    if not options["with_"]:
        if not options["standby"]:
            usage(
                "profile 'region' needs a standby: a second `mocknode up` behind the balancer; give --standby CONTROL_URL"
            )
    elif options["config"]:
        if not any(name.startswith("STANDBY_") for name in balancers.placeholders(read(options["config"]))):
            usage(
                f"--config {options['config']} has no standby; it names its nodes ${{STANDBY_1_HTTP}}, ${{STANDBY_1_TENTACLE}} and "
                "so on"
            )
    else:
        kind, mode = options["with_"], options["mode"] or "recommended"
        if not balancers.fails_over(kind, mode):
            able = [f"{k} ({m})" for k in balancers.KINDS for m in balancers.MODES(k) if balancers.fails_over(k, m)]
            usage(
                f"profile 'region': mode {mode} of {kind} has no standby; those that have: {', '.join(able)}; or give --config, or "
                "--lb URL --standby CONTROL_URL"
            )


def _refuse_polling(options: Mapping[str, Any]) -> None:
    """Tentacles are to be judged where they have no address: only of a product that cannot have any is that a finding."""
    from mocknode.judge import balancers

    if not options["with_"]:
        usage("Tentacles have no address to be judged by; give --tentacle NODE=HOST:PORT for each node")
    if options["config"]:
        usage(
            f"--config {options['config']} has no address for Tentacles; it names them ${{FRONT_TENTACLE_1}} and "
            "${NODE_1_TENTACLE} (or ${FRONT_HOST}, ${FRONT_TENTACLE_1_PORT}, ${NODE_1_TENTACLE_HOST} and ${NODE_1_TENTACLE_PORT}), "
            "and so on for each node"
        )
    able = [mode for mode in balancers.MODES(options["with_"]) if balancers.passes(options["with_"], mode)]
    if able:
        usage(f"mode {options['mode']} has no address for Tentacles; those that have: {', '.join(able)}")


def _facts(options: Mapping[str, Any], declared: "BalancerFile | None", kind: str | None, demands: "Demands") -> Any:
    from mocknode.judge.run.judging import Facts

    accepted = declared.accept if declared else ()
    return Facts(
        nodes=(),
        tier=demands.tier,
        patience_s=demands.patience_s,
        max_upload=demands.max_upload,
        public_name=demands.public_name,
        kind=kind,
        layer=declared.layer if declared else "l7",
        all_drained=declared.all_drained if declared else None,
        failback=declared.failback if declared else None,
        acceptances=tuple((a.id, a.because, a.until.isoformat()) for a in accepted),
        core_only=options["core"],
    )


def _files(options: Mapping[str, Any]) -> dict[str, Path]:
    names = {"json": "json_", "html": "html", "junit": "junit", "markdown": "markdown"}
    return {name: options[key] for name, key in names.items() if options[key] is not None}


def _show(options: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    show(document, [str(path) for path in _files(options).values()])


def show(document: Mapping[str, Any], files: Sequence[str]) -> None:
    """The first screen on standard output, as wide and as colourful as that can show."""
    from mocknode.judge.report import terminal

    colour, unicode = looks()
    click.echo(terminal.render(document, colour=colour, unicode=unicode, files=files), nl=False, color=colour)
