"""`mocknode check` and `mocknode checks`: read the flags, hand over to the judge, show what it says."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

import click

import mocknode
from mocknode.cli.errors import DURATION
from mocknode.cli.progress import Progress
from mocknode.units import parse_size

if TYPE_CHECKING:
    from scenarios.balancer_file import BalancerFile
    from scenarios.check import Check
    from scenarios.lanes import Demands, Lanes
    from scenarios.traffic import FrontDoor
    from scenarios.traffic.polling import Place
    from scenarios.verdict import CheckResult

DEFAULT_CONTROL = "http://127.0.0.1:8090"
PROFILES = ("web", "upload", "polling")
POLLING, REGION = "polling", "region"
T = TypeVar("T")
INTERRUPTED: Final = "mocknode: interrupted; what was started has been stopped, the report holds what was judged so far"
EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 2, 3, 130
# Nobody's name (RFC 6761), where there is none to go by.
NO_PUBLIC_NAME = "octopus.example.test"
# Without a declared limit packages of any size are expected to pass; the ladder itself ends at 4 GiB + 1.
NO_LIMIT = 1 << 62


class Size(click.ParamType[Any]):
    """`64KiB`, `1GiB`, `10MB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


@click.command(context_settings={"auto_envvar_prefix": "MOCKNODE_CHECK"})
@click.option("--lb", metavar="URL", help="The balancer runs already: its front door.")
@click.option("--control", metavar="URL", help=f"Control API of the nodes behind --lb (default {DEFAULT_CONTROL}).")
@click.option(
    "--standby",
    metavar="URL",
    help="Control API of a second cluster behind --lb, used when no node of the first is healthy; judges profile region. The "
    "token and CA of --control hold for it too.",
)
@click.option(
    "--control-token-file", type=click.Path(path_type=Path, dir_okay=False), help="Token of that control API."
)
@click.option("--control-ca", type=click.Path(path_type=Path, dir_okay=False), help="CA of that control API.")
@click.option(
    "--balancer-file", type=click.Path(path_type=Path, dir_okay=False), help="What is declared about the balancer."
)
@click.option(
    "--with", "with_", metavar="BALANCER", help="Start this balancer and a cluster, and stop them afterwards."
)
@click.option("--mode", help="Configuration of --with: recommended (default), stock, and for nginx vendor-doc.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Your own configuration for --with, with ${FRONT} (HOST:PORT to listen on), ${NODE_1_HTTP}, ${NODE_2_HTTP}, "
    "${NODE_3_HTTP}; for HTTPS also ${FRONT_HOST}, ${FRONT_HTTPS_PORT}, ${CERTIFICATE}, ${KEY}.",
)
@click.option("--binary", type=click.Path(path_type=Path, dir_okay=False), help="Program to run for --with.")
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
@click.option("--public-name", help="Name that users ask for; default: that of --lb.")
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False), help="CA to trust at --lb.")
@click.option("--insecure", is_flag=True, help="Accept any certificate at --lb.")
@click.option("--host", help="Host header and TLS name for --lb.")
@click.option(
    "--tentacle",
    "tentacles",
    multiple=True,
    metavar="NODE=HOST:PORT",
    help="Where Tentacles poll this node through the balancer at --lb; one for each node, several by comma.",
)
@click.option("--resolve", metavar="HOST:PORT:ADDR", help="Connect to ADDR for HOST:PORT.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the record is kept (default: a new directory).",
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
    from scenarios.catalogue import CHECKS

    for item in CHECKS.values():
        click.echo(f"{item.id}  {item.name:<28} {item.profile:<7} {item.claim}")


def _check(options: Mapping[str, Any]) -> int:
    from scenarios.lanes import LaneError

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
    from scenarios.lanes import LaneError
    from scenarios.report import RECORDED, write
    from scenarios.runner import Plan, Run

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
    _refuse_unwritable(options)
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
        + (f"; {_forecast(options, selected)}" if options["lb"] else "")
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
        mode=None if options["lb"] else ("custom" if options["config"] else options["mode"] or "recommended"),
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
        if options["lb"] and not run.done and options["run_dir"] is None:
            # Nothing to judge again; of a balancer of ours the directory holds the log that the message points at.
            shutil.rmtree(run_dir, ignore_errors=True)
        return EXIT_ENVIRONMENT, run.document if run.results else {}
    except asyncio.CancelledError:
        if not interrupted:
            raise
        return EXIT_INTERRUPTED, run.document


def _forecast(options: Mapping[str, Any], selected: "Sequence[Check]") -> str:
    minutes = 4 if options["quick"] else 10
    if any(item.profile == POLLING for item in selected):
        minutes += 1 if options["quick"] else 4
    return f"one balancer for all checks: about {minutes} minutes"


def _balancer_file(path: Path | None) -> "BalancerFile | None":
    if path is None:
        return None
    from scenarios import balancers
    from scenarios.balancer_file import BalancerFileError, load
    from scenarios.catalogue import CHECKS

    try:
        return load(path, frozenset(CHECKS), balancers.kinds_with_fixes())
    except BalancerFileError as exc:
        usage(str(exc))


def usage(message: str) -> NoReturn:
    """Refuse the command line."""
    raise click.UsageError(message)


def run_dir_of(given: Path | None, verb: str = "check") -> Path:
    """The directory of a run: a new one, or the user's if it is empty."""
    if given is None:
        return Path(tempfile.mkdtemp(prefix=f"mocknode-{verb}-"))
    if given.exists() and any(given.iterdir()):
        usage(f"--run-dir {given} is not empty; give a new directory")
    given.mkdir(parents=True, exist_ok=True)
    return given.absolute()


def _offered(options: Mapping[str, Any], declared: "BalancerFile | None") -> tuple[str, ...]:
    """Profiles that the target offers: Tentacles are judged where they have addresses."""
    passing = _passing(options) if options["with_"] else bool(_tentacles(options, declared))
    return tuple(name for name in PROFILES if name != POLLING or passing)


def _passing(options: Mapping[str, Any]) -> bool:
    """The balancer of --with gets an address for each node's Tentacles."""
    from scenarios import balancers

    if options["config"]:
        return "${FRONT_TENTACLE_" in _read(options["config"])
    try:
        return balancers.passes(options["with_"], options["mode"] or "recommended")
    except balancers.UnknownBalancerError as exc:
        usage(str(exc))


def _selected(options: Mapping[str, Any], offered: Sequence[str]) -> "tuple[Check, ...]":
    """Checks by --only and --profile, in the order of the catalogue."""
    import difflib

    from scenarios.catalogue import CHECKS

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
    from scenarios import balancers

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
        if "${STANDBY_" not in _read(options["config"]):
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
    from scenarios import balancers

    if not options["with_"]:
        usage("Tentacles have no address to be judged by; give --tentacle NODE=HOST:PORT for each node")
    if options["config"]:
        usage(
            f"--config {options['config']} has no address for Tentacles; it names them ${{FRONT_TENTACLE_1}} and "
            "${NODE_1_TENTACLE} (or their _HOST and _PORT), and so on for each node"
        )
    able = [mode for mode in balancers.MODES(options["with_"]) if balancers.passes(options["with_"], mode)]
    if able:
        usage(f"mode {options['mode']} has no address for Tentacles; those that have: {', '.join(able)}")


def _tentacles(options: Mapping[str, Any], declared: "BalancerFile | None") -> "dict[str, Place]":
    """Where each node is polled, by --tentacle, else by the balancer file."""
    from scenarios.balancer_file import place

    if not options["tentacles"]:
        return dict(declared.places()) if declared else {}
    found = {}
    for text in ",".join(options["tentacles"]).split(","):
        node, separator, address = text.strip().partition("=")
        if not separator or not node:
            usage(f"--tentacle: got {text!r}, allowed: NODE=HOST:PORT")
        if node in found:
            usage(f"--tentacle: {node!r} is given twice")
        try:
            found[node] = place(node, address)
        except ValueError as exc:
            usage(f"--tentacle {node}: {exc}")
    return found


def demands_of(options: Mapping[str, Any], declared: "BalancerFile | None", say: Any) -> "Demands":
    """What every lane is told, from the flags and the balancer file."""
    from scenarios.lanes import Demands

    if options["max_upload"] == 0:
        usage("--max-upload: got 0, allowed: a size such as 10MB; the smallest request of a check has 1 KiB")
    limit = options["max_upload"] or (declared.upload_limit if declared else None) or NO_LIMIT
    return Demands(
        tier="quick" if options["quick"] else "full",
        patience_s=options["patience"],
        max_upload=limit,
        public_name=_public_name(options, declared),
        seed=options["seed"],
        say=say,
    )


def _public_name(options: Mapping[str, Any], declared: "BalancerFile | None") -> str:
    """The name that users ask for. An address is none: nodes and balancer may share it, and then nothing could be told."""
    url = options["lb"] or (declared.url if declared else None) or ""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""  # `front_of` says what is wrong with it.
    named = host and host != "localhost" and not host.replace(".", "").isdigit() and ":" not in host
    return options["public_name"] or options["host"] or (host if named else NO_PUBLIC_NAME)


def _facts(options: Mapping[str, Any], declared: "BalancerFile | None", kind: str | None, demands: "Demands") -> Any:
    from scenarios.judging import Facts

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


def lanes_of(
    options: Mapping[str, Any], declared: "BalancerFile | None", run_dir: Path, demands: "Demands", *, polled: bool
) -> "tuple[Lanes, str | None, dict[str, str], str | None]":
    """Where the lanes come from, the balancer's kind if known, versions, and its program."""
    from scenarios.lanes import GivenLanes

    versions = {"mocknode": mocknode.__version__, "python": sys.version.split()[0]}
    if options["with_"]:
        return _own_lanes(options, run_dir, demands, versions)
    for name in ("mode", "config", "binary", "shipped_interval"):
        if options[name]:
            usage(f"--{name.replace('_', '-')} goes with --with; the balancer at --lb is run by its owner")
    url = options["lb"] or (declared.url if declared else None)
    if url is None:
        usage("give --lb URL, or `url` in the balancer file")
    token_file = options["control_token_file"]
    lanes = GivenLanes(
        front=_front(url, options),
        control_url=options["control"] or DEFAULT_CONTROL,
        control_token=_read(token_file).strip() if token_file else None,
        control_ca=str(options["control_ca"]) if options["control_ca"] else None,
        run_dir=run_dir,
        demands=demands,
        tentacles=_tentacles(options, declared) if polled else {},
        standby_url=options["standby"],
    )
    return lanes, declared.kind if declared else None, versions, None


def _own_lanes(
    options: Mapping[str, Any], run_dir: Path, demands: "Demands", versions: dict[str, str]
) -> "tuple[Lanes, str | None, dict[str, str], str | None]":
    from scenarios import balancers
    from scenarios.lanes import LaneError, OwnLanes

    for name in (
        "lb", "control", "ca", "insecure", "resolve", "host", "control_token_file", "control_ca", "tentacles",
        "standby",
    ):  # fmt: skip
        if options[name]:
            usage(
                f"--{name.replace('_', '-').removesuffix('s')} goes with --lb; with --with everything is started for you"
            )
    kind, mode = options["with_"], options["mode"] or "recommended"
    try:
        binary = balancers.find(kind, options["binary"])
    except balancers.BalancerError as exc:
        raise LaneError(str(exc)) from exc
    versions[kind] = binary.version
    template = _read(options["config"]) if options["config"] else None
    if template is not None and "${FRONT" not in template:
        usage(
            f"--config {options['config']} does not listen on ${{FRONT}} (or ${{FRONT_HOST}}:${{FRONT_PORT}}), so nobody would "
            "find it; a finished configuration is run by its owner and checked with --lb URL"
        )
    lanes = OwnLanes(
        kind=kind,
        mode=mode,
        binary=binary,
        template=template,
        shipped_interval=options["shipped_interval"],
        passing=_passing(options),
        run_dir=run_dir,
        demands=demands,
    )
    return lanes, kind, versions, str(binary.path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        usage(f"{path} cannot be read: {exc}")


def _front(url: str, options: Mapping[str, Any]) -> "FrontDoor":
    from scenarios.traffic import FrontDoor

    try:
        parts = urlsplit(url)
        port = {"http": 80, "https": 443}[parts.scheme] if parts.port is None else parts.port
        if port == 0:
            raise ValueError("port 0 is nobody's")
        if not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("a front door is scheme, host and port, without a path")
    except (KeyError, ValueError) as exc:
        reason = f"unknown scheme {exc}" if isinstance(exc, KeyError) else str(exc)
        usage(f"--lb {url!r}: {reason}; write http://HOST:PORT or https://HOST:PORT")
    if options["host"] and not options["host"].isprintable():
        usage(f"--host: got {options['host']!r}, allowed: a name that fits into a header")
    connect = None
    if options["resolve"]:
        host, _, rest = options["resolve"].partition(":")
        number, _, connect = rest.partition(":")
        if not connect or host != parts.hostname or number != str(port):
            usage(f"--resolve {options['resolve']!r}: write {parts.hostname}:{port}:ADDR, the host and port of --lb")
    front = FrontDoor(
        scheme="https" if parts.scheme == "https" else "http",
        host=parts.hostname,
        port=port,
        connect_host=connect,
        host_header=options["host"],
        ca=str(options["ca"]) if options["ca"] else None,
        insecure=options["insecure"],
    )
    try:
        front.tls("http/1.1")
    except OSError as exc:
        usage(f"--ca {exc}")
    return front


def _files(options: Mapping[str, Any]) -> dict[str, Path]:
    names = {"json": "json_", "html": "html", "junit": "junit", "markdown": "markdown"}
    return {name: options[key] for name, key in names.items() if options[key] is not None}


def _refuse_unwritable(options: Mapping[str, Any]) -> None:
    """Before minutes of work: a report that cannot be written is a mistake in the command line."""
    files = _files(options)
    for name, path in files.items():
        same = [f"--{other}" for other, its in files.items() if its == path and other != name]
        if same and path != Path(os.devnull):
            usage(f"--{name} and {same[0]} both name {path}; allowed is a file each")
        try:
            with path.open("a"):
                pass
        except OSError as exc:
            usage(
                f"--{name} {path}: {exc.strerror}; allowed is a file that this user can write, in a directory that exists"
            )


def _show(options: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    show(document, [str(path) for path in _files(options).values()])


def show(document: Mapping[str, Any], files: Sequence[str]) -> None:
    """The first screen on standard output, as wide and as colourful as that can show."""
    from scenarios.report import terminal

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    encoding = (sys.stdout.encoding or "ascii").lower()
    click.echo(
        terminal.render(document, colour=colour, unicode=encoding.startswith("utf"), files=files),
        nl=False,
        color=colour,
    )
