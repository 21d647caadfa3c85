"""`mocknode load`: read the flags, hand over to the load run, show what came of it."""

import asyncio
import contextlib
import json
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.check import EXIT_ENVIRONMENT, EXIT_INTERRUPTED, INTERRUPTED, run_loop
from mocknode.cli.errors import DURATION, Whole
from mocknode.cli.output import looks
from mocknode.cli.progress import Progress
from mocknode.cli.target import (
    NOT_ASKED,
    Size,
    demands_of,
    lanes_of,
    refuse_unwritable,
    run_dir_of,
    target_options,
    usage,
)

if TYPE_CHECKING:
    from mocknode.judge.lab.lanes import Lanes
    from mocknode.load.conditions import Condition
    from mocknode.load.run import LoadPlan, LoadRun
    from mocknode.load.schedule import Event

USERS_MAX: Final = 10_000
"""More sockets than one process of most systems may open."""
WORKERS_MAX: Final = 64
RATE_MAX: Final = 100_000.0
UPLOADS_MAX: Final = 10_000_000
"""As many as a ledger of some gigabytes holds."""
WEB_UI: Final = "127.0.0.1:8089"
"""Where locust users look for it."""
DURATION_S: Final = 60.0
SOAK_S: Final = 3600.0
DELTA_NAMES: Final = "mocknode-delta-"
"""How packages begin that deltas are made of."""
FORMS: Final = ("chunked", "length")
FILES: Final = {"json": "json_", "html": "html", "csv": "csv"}


@click.command(context_settings={"auto_envvar_prefix": "MOCKNODE_LOAD"})
@target_options
@click.option("--tls", is_flag=True, help="Through the HTTPS front of --with, its certificate checked.")
@click.option("--users", type=Whole(0, USERS_MAX), default="20", show_default=True, help="Builds that push at once.")
@click.option(
    "--actions", type=Whole(0, USERS_MAX), default="0", help="Runs of the GitHub Action, each pushing 3 in parallel."
)
@click.option("--deltas", type=Whole(0, USERS_MAX), default="0", help="Builds that push what changed (Octodiff).")
@click.option(
    "--shape",
    default="steady",
    show_default=True,
    help="When those who push are at work: steady; soak (steady, an hour unless --duration says else); ramp[:TIME]; "
    "spike[:FROM..TO], a tenth of them outside; storm, all at once when the balancer answers again after the --schedule's first "
    "outage (default: 'refuse all'), or [:FROM..TO].",
)
@click.option(
    "--rate",
    metavar="N/s",
    help="Open loop: uploads a second of --users, whoever is free; latency counts from when one was due.",
)
@click.option("--browsers", type=Whole(0, USERS_MAX), default="0", help="People who read the portal beside them.")
@click.option("--monitors", type=Whole(0, USERS_MAX), default="0", help="Monitors that ping through the balancer.")
@click.option(
    "--workers", type=Whole(1, WORKERS_MAX), default="1", show_default=True, help="Processes that generate the load."
)
@click.option("--duration", type=DURATION, help="How long uploads are started (default 60s).")
@click.option(
    "--uploads", type=Whole(0, UPLOADS_MAX), default="0", help="End after so many; the same ones for a --seed."
)
@click.option(
    "--sizes",
    default="64KiB..16MiB",
    show_default=True,
    help="Package sizes: SIZE, LOW..HIGH (log-uniform), several as SIZES:WEIGHT by comma.",
)
@click.option(
    "--forms", default="chunked,length", show_default=True, help="Framing as the Go CLI, the TypeScript client."
)
@click.option(
    "--link",
    type=Size(),
    default="8MiB",
    show_default=True,
    help="Bytes a second of each build's uplink; 0 is no limit.",
)
@click.option(
    "--schedule",
    metavar="EVENTS",
    help="What happens to nodes meanwhile: 'drain each', 'crash node-2 at 20s for 5s; drain node-1', 'freeze all'. Without times each "
    "event gets an equal part of the run, and lasts for the middle half of it.",
)
@click.option(
    "--fail-if",
    multiple=True,
    metavar="CONDITION",
    help="Also fail the run if, such as 'p99>2s' or 'error_rate>1%'; may be given several times. METRICS: "
    "p50 p90 p95 p99 p99.9 min mean max of acknowledged uploads; drain_reaction (until a draining node gets no new upload); attempts "
    "lost doubled corrupted failed failed_undisturbed refused broken_off stored_but_reported_failed unresolved reads_failed; "
    "error_rate per_second drift.",
)
@click.option("--abort-on-fail", is_flag=True, help="End as soon as the run has failed for certain, such as by lost>0.")
@click.option(
    "--web-ui",
    metavar="[HOST:PORT]",
    is_flag=False,
    flag_value=WEB_UI,
    help=f"locust's own web UI beside the run ({WEB_UI} unless given).",
)
@click.option(
    "--unverified",
    is_flag=True,
    help="Servers at --lb that are no mock nodes: no ledger. They keep the packages, mocknode-*.",
)
@click.option("--api-key", help="For --unverified; better given as MOCKNODE_LOAD_API_KEY.")
@click.option("--space", default="Spaces-1", show_default=True, help="For --unverified: where to push.")
@click.option("--space-name", default="Default", show_default=True, help="Its name, by which --actions ask for it.")
@click.option(
    "--find-limit",
    metavar="DEMAND",
    help="The highest rate of uploads that still meets it, such as 'p99<5s and lost==0'; a run of --duration a probe.",
)
@click.option(
    "--limit-of",
    type=click.Choice(("rate", "uploads")),
    default="rate",
    show_default=True,
    help="What --find-limit raises: arrivals a second, or how many uploads (of 1GiB, or of --sizes) go on at once.",
)
@click.option("--json", "json_", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as one HTML file.")
@click.option("--csv", type=click.Path(path_type=Path, dir_okay=False), help="Write every attempt as a line of CSV.")
def load(**options: Any) -> None:
    """Uploads through a load balancer, every one of them accounted for.

    Exit codes: 0 held, 1 an upload was lost, doubled, corrupted or failed (or a --fail-if held), 2 usage, 3 the environment, 4 not
    everything could be told, 5 the generator's figures cannot be trusted, 130 interrupted.
    """
    sys.exit(_load(_searched(options)))


def _searched(options: Mapping[str, Any]) -> dict[str, Any]:
    """The flags as a search means them: how many uploads go on at once is what it finds, not what it is told."""
    from mocknode.load.limit import SIZE_AT_ONCE

    if options["limit_of"] == "rate":
        return dict(options)
    if options["find_limit"] is None:
        usage("--limit-of goes with --find-limit, which says what must hold")
    source = click.get_current_context().get_parameter_source
    if source("users") is not click.core.ParameterSource.DEFAULT:
        usage("--users does not go with --limit-of uploads, which searches their number")
    sizes = SIZE_AT_ONCE if source("sizes") is click.core.ParameterSource.DEFAULT else options["sizes"]
    return {**options, "sizes": sizes}


def _load(options: Mapping[str, Any]) -> int:
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.load.generator import GeneratorError

    if bool(options["lb"]) == bool(options["with_"]):
        usage("give --lb URL for a balancer that runs already, or --with NAME to have one started")
    if options["unverified"] and options["with_"]:
        usage("--unverified goes with --lb; --with starts mock nodes, which keep journals")
    if options["tls"] and options["lb"]:
        usage("--tls goes with --with; for --lb write https://HOST:PORT")
    options = _completed(options)
    try:
        with Progress() as progress:
            code = run_loop(_run(options, progress))
    except (LaneError, GeneratorError) as exc:
        click.echo(f"mocknode: {exc}", err=True)
        return EXIT_ENVIRONMENT
    if code == EXIT_INTERRUPTED:
        click.echo(INTERRUPTED, err=True)
    return code


def _completed(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the defaults that depend on other flags; refused where flags contradict each other."""
    shape, duration_s = options["shape"].strip(), options["duration"]
    if duration_s is None:
        duration_s = SOAK_S if shape == "soak" else DURATION_S
    schedule = options["schedule"]
    if shape == "storm" and schedule is None and not options["unverified"]:
        schedule = f"refuse all at {duration_s / 4:g}s for {duration_s / 4:g}s"
    if options["unverified"]:
        for name in ("control", "control_token_file", "control_ca", "schedule", "find_limit"):
            if options[name]:
                usage(f"--{name.replace('_', '-')} needs mock nodes; it does not go with --unverified")
        if not options["api_key"]:
            usage("--unverified needs a user of these servers who may push: give MOCKNODE_LOAD_API_KEY, or --api-key")
    elif options["api_key"]:
        usage("--api-key goes with --unverified; mock nodes tell theirs")
    # A request line or a header cannot hold them.
    if not re.fullmatch(r"[\w.-]+", options["space"], re.ASCII):
        usage(f"--space: got {options['space']!r}, allowed: letters, digits, - and ., such as Spaces-1")
    if options["api_key"] and not re.fullmatch(r"[!-~]+", options["api_key"]):
        usage("--api-key: allowed: printable ASCII without spaces, such as API-...")
    if options["find_limit"]:
        for name in ("abort_on_fail", "web_ui", "uploads", "actions", "deltas"):
            if options[name]:
                usage(f"--{name.replace('_', '-')} does not go with --find-limit, which makes many short runs")
        if shape != "steady":
            usage("--shape does not go with --find-limit, which looks for a rate that is carried steadily")
    return {**options, "shape": shape, "duration": duration_s, "schedule": schedule}


async def _run(options: Mapping[str, Any], progress: Progress) -> int:
    """Run, report as far as the run came, and give the exit code."""
    from mocknode.judge.lab.given_lanes import GivenLanes
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.judge.lab.own_lanes import OwnLanes
    from mocknode.load.document import build
    from mocknode.load.generator import locustfile
    from mocknode.load.run import LoadPlan, LoadRun
    from mocknode.load.unverified import Unverified

    locustfile()
    workload, conditions = _workload(options), _conditions(options)
    demand, web = _demand(options), _web(options["web_ui"])
    refuse_unwritable(_files(options))
    task = asyncio.current_task()
    assert task is not None
    # CI systems end a job with SIGTERM; it unwinds as Ctrl-C does.
    stopping: list[int] = []

    def stop(number: int) -> None:
        # Once: a second one would break into what the first one makes good, which does not take long.
        if not stopping:
            task.cancel()
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    run_dir = run_dir_of(options["run_dir"], "load")
    wanted = {**NOT_ASKED, **options}
    demands = demands_of(wanted, None, progress.say)
    try:
        lanes, kind, versions, binary = lanes_of(wanted, None, run_dir, demands, polled=False)
        if isinstance(lanes, OwnLanes) and options["deltas"]:
            lanes.keep_only = DELTA_NAMES
        if isinstance(lanes, OwnLanes) and options["tls"] and not lanes.secure:
            usage(
                f"--tls: --config {options['config']} does not listen for HTTPS; allowed with ${{FRONT_HOST}}:${{FRONT_HTTPS_PORT}}, "
                "${CERTIFICATE} and ${KEY} in it"
            )
        if isinstance(lanes, GivenLanes):
            lanes.verb = "load"  # So it is called to whoever finds the cluster held.
        if lanes.nodes:
            _events(options, lanes.nodes)  # Refused now, not when everything has started.
    except (click.UsageError, LaneError):
        run_dir.rmdir()  # Nothing was started, so nothing is in it.
        raise
    progress.say(f"record in {run_dir}")
    plan = LoadPlan(
        workload=workload,
        events=lambda nodes: _events(options, nodes),
        conditions=conditions,
        secure=options["tls"],
        run_dir=run_dir,
        facts={
            "versions": versions,
            "balancer": {
                "kind": kind,
                "version": versions.get(kind) if kind else None,
                "mode": None
                if options["lb"]
                else ("custom" if options["config"] else options["mode"] or "recommended"),
                "binary": binary,
                "url": options["lb"],
            },
            "reproduce": _command(options["api_key"]),
        },
        say=progress.say,
        abort=options["abort_on_fail"],
        web=web,
    )
    if demand is not None:
        return await _search(options, plan, demand, lanes)
    target: Lanes | Unverified = lanes
    if options["unverified"]:
        assert isinstance(lanes, GivenLanes)
        target = Unverified(front=lanes.front, api_key=options["api_key"])
    run = LoadRun(plan, target)
    try:
        await run.run()
    except asyncio.CancelledError:
        if not run.ended_ns:
            return EXIT_INTERRUPTED
    except Exception as exc:
        if not run.began_ns and options["run_dir"] is None:
            shutil.rmtree(run_dir, ignore_errors=True)  # Nothing was sent, so there is nothing to look at again.
        if not run.began_ns or run.environment is None:
            raise
        click.echo(f"mocknode: {exc}", err=True)
    document = build(run)
    document["balancer"]["url"] = run.url or target.url
    _report(options, document, run)
    return int(document["exit_code"])


def _command(secret: str | None) -> str:
    """What was typed, for the report; a key is nobody's business there."""
    words = sys.argv[1:] if secret is None else [word.replace(secret, "API-...") for word in sys.argv[1:]]
    return shlex.join(["mocknode", *words])


async def _search(options: Mapping[str, Any], plan: "LoadPlan", demand: "list[Condition]", lanes: "Lanes") -> int:
    """Search, report as far as the search came, and give the exit code."""
    from mocknode.judge.lab.lanes import LaneError
    from mocknode.judge.report.files import replace
    from mocknode.load.generator import GeneratorError
    from mocknode.load.limit import SCALES, LimitSearch, lines

    search = LimitSearch(plan, demand, options["find_limit"], lanes, SCALES[options["limit_of"]])
    try:
        await search.run()
    except asyncio.CancelledError:
        search.cut = "interrupted"
    except (LaneError, GeneratorError) as exc:
        if not search.probes:
            raise
        search.cut = "environment"
        click.echo(f"mocknode: {exc}", err=True)
    document = search.document()
    document["balancer"]["url"] = search.url or lanes.url
    for line in lines(document):
        click.echo(line)
    if options["json_"] is not None:
        try:
            replace(options["json_"], json.dumps(document, indent=1) + "\n")
            click.echo(f" written: {options['json_']}")
        except OSError as exc:
            click.echo(
                f"mocknode: --json {options['json_']}: {exc.strerror}; the record in {plan.run_dir} has what was measured",
                err=True,
            )
    return int(document["exit_code"])


def _demand(options: Mapping[str, Any]) -> "list[Condition] | None":
    from mocknode.load.limit import parse_demand

    if options["find_limit"] is None:
        return None
    for name in ("rate", "schedule", "html", "csv", "fail_if"):
        if options[name]:
            usage(
                f"--{name.replace('_', '-')} does not go with --find-limit, which makes many runs of rates that it chooses"
            )
    try:
        return parse_demand(options["find_limit"])
    except ValueError as exc:
        usage(f"--find-limit: {exc}")


def _report(options: Mapping[str, Any], document: Mapping[str, Any], run: "LoadRun") -> None:
    """Files, then the terminal, which names those that were written; one that cannot be does not take the verdict with it."""
    from mocknode.load.files import write, write_attempts

    failed = []
    files = _files(options)
    for name, path in files.items():
        try:
            if name == "csv":
                assert run.ledger is not None
                write_attempts(run.ledger.rows(), path)
            else:
                write(document, path, name)
        except OSError as exc:
            failed.append(f"--{name} {path}: {exc.strerror}")
    _show(document, [str(path) for name, path in files.items() if not any(f.startswith(f"--{name} ") for f in failed)])
    for text in failed:
        click.echo(f"mocknode: {text}; the record in {document['run_dir']} has what was measured", err=True)


def _files(options: Mapping[str, Any]) -> dict[str, Path]:
    return {name: options[key] for name, key in FILES.items() if options[key] is not None}


def _conditions(options: Mapping[str, Any]) -> "list[Condition]":
    from mocknode.load.conditions import LEDGER, contradictions, parse_condition

    found = []
    for text in options["fail_if"]:
        try:
            found.append(parse_condition(text))
        except ValueError as exc:
            usage(f"--fail-if: {exc}")
        if options["unverified"] and found[-1].metric in LEDGER:
            usage(f"--fail-if: {text!r} needs the ledger, which --unverified has not")
    if clashes := contradictions(found):
        usage(f"--fail-if: {clashes[0]}")
    return found


def _events(options: Mapping[str, Any], nodes: Sequence[str]) -> "list[Event]":
    from mocknode.load.schedule import first_outage, parse_schedule

    if options["schedule"] is None:
        return []
    try:
        events = parse_schedule(options["schedule"], nodes, options["duration"])
    except ValueError as exc:
        usage(f"--schedule: {exc}")
    if options["shape"] == "storm" and first_outage(events) is None:
        usage(
            "--shape storm comes after an outage, and --schedule has none; add one, such as 'refuse all', or write storm:FROM..TO"
        )
    return events


def _shape(options: Mapping[str, Any]) -> str:
    """The shape with its times; those of a storm alone come from the schedule."""
    from mocknode.load.users.shapes import parse_shape

    text: str = options["shape"]
    if text == "storm" and not options["unverified"]:
        shape = text
    else:
        try:
            parsed = parse_shape(text, options["duration"])
        except ValueError as exc:
            usage(f"--{exc}")
        if parsed.points[-1][0] > options["duration"]:
            usage(f"--shape: got {text!r}, allowed: times within the {options['duration']:g} s of --duration")
        shape = parsed.text
    if shape.startswith("storm") and options["rate"] is not None:
        usage("--shape storm does not go with --rate: it is of people who wait and come at once")
    return shape


def _web(text: str | None) -> tuple[str, int] | None:
    """Where the web UI shall listen: it starts load for whoever reaches it, so nobody else's machine does."""
    from mocknode.mock.cluster import ports
    from mocknode.mock.cluster.settings import is_loopback

    if text is None:
        return None
    host, _, number = text.rpartition(":")
    if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536 or not is_loopback(host.strip("[]")):
        usage(
            f"--web-ui: got {text!r}, allowed: HOST:PORT with a loopback HOST, such as {WEB_UI}; forward it to see it from elsewhere"
        )
    host = host.strip("[]")
    try:
        for held in ports.hold([ports.Wanted(flag="--web-ui", use="locust's web UI", host=host, port=int(number))]):
            held.release()
    except ports.PortError as exc:
        usage(str(exc))
    return host, int(number)


def _workload(options: Mapping[str, Any]) -> Any:
    from mocknode.load.generator import Workload
    from mocknode.load.users.sizes import parse_sizes

    try:
        parse_sizes(options["sizes"])
    except ValueError as exc:
        usage(f"--{exc}")
    forms = options["forms"].split(",")
    if unknown := [form for form in forms if form not in FORMS]:
        usage(f"--forms: got {unknown[0]!r}, allowed: {', '.join(FORMS)}, or both by comma")
    if options["duration"] < 1:
        usage(f"--duration: got {options['duration']:g} s, allowed: 1s or more")
    pushers = options["users"] + options["actions"] + options["deltas"]
    if not pushers:
        usage("--users: got 0, allowed: 1 or more where neither --actions nor --deltas push")
    if options["rate"] and not options["users"]:
        usage(
            "--rate: got 0 --users, allowed: 1 or more, whose uploads arrive at it; --actions and --deltas push one after another"
        )
    if options["workers"] > pushers:
        usage(
            f"--workers: got {options['workers']}, allowed: up to {pushers}, the number of --users, --actions and --deltas"
        )
    return Workload(
        users=options["users"],
        actions=options["actions"],
        deltas=options["deltas"],
        shape=_shape(options),
        uploads=options["uploads"],
        space=options["space"],
        space_name=options["space_name"],
        duration_s=options["duration"],
        sizes=options["sizes"],
        forms=options["forms"],
        link=options["link"],
        seed=options["seed"],
        browsers=options["browsers"],
        monitors=options["monitors"],
        rate=_rate(options["rate"]),
        workers=options["workers"],
    )


def _rate(text: str | None) -> float:
    """Arrivals a second; 0 is a closed loop."""
    if text is None:
        return 0.0
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate <= RATE_MAX:
        usage(f"--rate: got {text!r}, allowed: a number above 0 and up to {RATE_MAX:g}, such as 40/s")
    return rate


def _show(document: Mapping[str, Any], files: Sequence[str]) -> None:
    from mocknode.load import terminal

    colour, unicode = looks()
    click.echo(terminal.render(document, colour=colour, unicode=unicode, files=files), nl=False, color=colour)
