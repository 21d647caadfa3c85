"""Runs all benchmarks and writes BENCHMARKS.md: `python loadtests/benchmarks.py`.

Each topic runs one or more of the scripts in this directory, each in a process of its own with the arguments shown; a script prints
its part as Markdown. `--only` measures some topics again and keeps the sections of the others, each with its own date and command.
A script that fails or takes longer than its limit is ended, and its section says why.
"""

import argparse
import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alternating import FAILED
from servers import go_command

from mocknode.judge import balancers
from mocknode.text.units import format_duration

HERE = Path(__file__).parent
FILE = HERE / "BENCHMARKS.md"
SCRIPT_LIMIT_S = 600.0
END_S = 60.0
"""How long a script may take to end what it started."""
MACHINE = "Machine and method"
NOT_MEASURED = "Not measured yet."
METHOD = """\
All subjects of a table are measured by the same client, in turns: one after the other, then the first again, so that a machine whose
speed drifts affects all of them alike. The first turn of each subject only warms it up. Results are medians, next to the lowest and
the highest value. Ratios are medians of the ratios of consecutive turns. The `ratio` column divides the row's result by that of the
first row, or of the row that is named; less than 1 is slower. Client and servers share the machine and its loopback interface, so
compare within one table, not between machines. A row that could not be measured says why."""


@dataclass(frozen=True)
class Script:
    """A script with its arguments, and the arguments of a quick run."""

    name: str
    full: str
    quick: str


@dataclass(frozen=True)
class Topic:
    """A section of the file: its title and its scripts."""

    title: str
    scripts: tuple[Script, ...]


TOPICS = {
    "upload": Topic(
        "A large upload to a node",
        (Script("upload_bench.py", "--size 1GiB --runs 5", "--size 8MiB --runs 1"),),
    ),
    "balancers": Topic(
        "The same upload through a balancer",
        (Script("balancers_bench.py", "--size 1GiB --runs 3", "--size 8MiB --runs 1"),),
    ),
    "small": Topic(
        "Small requests",
        (
            Script("ping_bench.py", "--seconds 3 --rounds 5", "--seconds 0.3 --rounds 1"),
            Script("push_bench.py", "--packages 2000 --runs 5", "--packages 100 --clients 8 --runs 1"),
        ),
    ),
    "growth": Topic(
        "Growth: nodes, and uploads at a time",
        (
            Script(
                "growth_bench.py",
                "--nodes 1,2,4,8 --packages 2000 --uploads 1,4,16,64,256 --bytes 2GiB --runs 3",
                "--nodes 1,2 --packages 100 --clients 8 --streams 2 --uploads 1,16 --bytes 8MiB --runs 1",
            ),
        ),
    ),
    "memory": Topic(
        "Memory",
        (
            Script("memory_bench.py", "--size 1GiB --runs 3", "--size 8MiB --runs 1"),
            Script("generator_bench.py", "--memory 100 --link 2MiB --hold 20", "--memory 4 --link 2MiB --hold 1"),
        ),
    ),
    "generator": Topic(
        "The load generator",
        (
            Script(
                "generator_bench.py",
                "--size 512MiB --seconds 4 --turns 4",
                "--size 8MiB --seconds 1 --turns 1",
            ),
        ),
    ),
    "ledger": Topic(
        "The ledger",
        (Script("ledger_bench.py", "--seconds 4 --turns 3", "--seconds 1 --turns 1 --nodes 1 --sizes 64KiB"),),
    ),
    "peers": Topic(
        "Other mock servers on the same work",
        (
            Script(
                "peers_bench.py",
                "--size 256MiB --uploads 1000 --seconds 2 --runs 3",
                "--size 8MiB --uploads 100 --seconds 0.3 --runs 1",
            ),
        ),
    ),
    "tentacles": Topic(
        "Tentacles",
        (
            Script(
                "tentacle_bench.py",
                "--count 3000 --balancer one --crash",
                "--count 4 --nodes 2 --balancer one --interval 1s --hold 1 --hold-after 1 --down 0.1 --crash",
            ),
        ),
    ),
}


def main() -> int:
    """Measure and write the file; return 1 if a script failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="use small sizes, which show in about a minute that everything runs"
    )
    parser.add_argument(
        "--only",
        metavar="TOPIC,...",
        help=f"measure only these topics and keep the other sections: {', '.join(TOPICS)}",
    )
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE", help="file to write (default BENCHMARKS.md)")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else list(TOPICS)
    if unknown := [name for name in wanted if name not in TOPICS]:
        parser.error(f"--only: {', '.join(unknown)} got, allowed: {', '.join(TOPICS)}")
    # SIGTERM has to end the started processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    command = shlex.join(["python", "loadtests/benchmarks.py", *sys.argv[1:]])
    sections = read(args.out)
    failed = False
    began, load = time.monotonic(), os.getloadavg()
    for name, topic in TOPICS.items():
        if name not in wanted:
            continue
        text = measure(topic, command, quick=args.quick)
        failed = failed or f"{FAILED}: " in text
        sections[topic.title] = text
        took = f"{format_duration(time.monotonic() - began)}; load average {_load(load)} at the start, {_load()} at the end"
        sections[MACHINE] = f"{machine()}\n\n`{command}`: {took}.\n\n{METHOD}"
        # After every topic, so that an interruption does not lose results.
        write(args.out, sections)
    return int(failed)


def read(file: Path) -> dict[str, str]:
    """Return the sections of the file by title."""
    if not file.exists():
        return {}
    parts = re.split(r"^## (.+)\n", file.read_text(), flags=re.MULTILINE)[1:]
    return {title: text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def write(file: Path, sections: dict[str, str]) -> None:
    """Write the whole file at once."""
    titles = [MACHINE, *(topic.title for topic in TOPICS.values())]
    text = (
        "# Benchmarks\n\n`python loadtests/benchmarks.py` writes this file. Each section names the command and the date of its own "
        "measurement.\n"
    )
    for title in titles:
        text += f"\n## {title}\n\n{sections.get(title, NOT_MEASURED)}\n"
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(file)


def measure(topic: Topic, command: str, *, quick: bool) -> str:
    """Measure one topic and return the text of its section."""
    began, load, parts = time.monotonic(), os.getloadavg(), []
    for script in topic.scripts:
        words = script.quick if quick else script.full
        print(f"== {topic.title}: {script.name} {words}", file=sys.stderr, flush=True)
        parts.append(f"{run(script.name, words)}\n\n(`python loadtests/{script.name} {words}`)")
    today = datetime.datetime.now(datetime.UTC).date()
    mark = (
        f"{today}, `{command}`, {format_duration(time.monotonic() - began)}, load average {_load(load)} at the start and "
        f"{_load()} at the end; {processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}."
    )
    return "\n\n".join([*parts, mark])


def run(name: str, words: str) -> str:
    """Run a script and return its output, or the reason why it failed; everything it started has ended."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = subprocess.Popen(
            [sys.executable, str(HERE / name), *words.split()], stdout=out, stderr=err, text=True
        )
        problem = ""
        try:
            started.wait(SCRIPT_LIMIT_S)
        except subprocess.TimeoutExpired:
            problem = f"it took more than {format_duration(SCRIPT_LIMIT_S)}"
        finally:
            if started.poll() is None:
                started.terminate()
                try:
                    started.wait(END_S)
                except subprocess.TimeoutExpired:
                    started.kill()
                    started.wait()
        out.seek(0)
        err.seek(0)
        said = err.read()
        print(said, file=sys.stderr, flush=True)
        if started.returncode and not problem:
            problem = (said.strip().splitlines() or [f"exit code {started.returncode}"])[-1]
        return f"{FAILED}: {problem}" if problem else out.read().strip()


def machine() -> str:
    """Return the machine of the last run and the versions of everything that was measured."""
    rows = [
        ("machine", f"{processor()}, {os.cpu_count()} cores, {_memory()}"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_version()}, {ssl.OPENSSL_VERSION}"),
        (
            "Python packages",
            ", ".join(_package(name) for name in ("uvicorn", "uvloop", "httptools", "granian", "locust")),
        ),
        ("balancers", ", ".join(_balancer(kind) for kind in balancers.KINDS)),
        ("Go", _said([go_command() or "go", "version"])),
        ("Node", _said([shutil.which("node") or "node", "--version"])),
        ("other mock servers", "versions in their section, as they are installed for it"),
        ("date", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"),
    ]
    return "\n".join(["| the last run | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def processor() -> str:
    """Return the processor's name as the kernel reports it."""
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / (1 << 30):.0f} GiB"


def _load(found: Sequence[float] | None = None) -> str:
    return f"{(found or os.getloadavg())[0]:.1f}"


def _package(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{name} not installed"


def _balancer(kind: str) -> str:
    try:
        return f"{kind} {balancers.find(kind).version}"
    except balancers.BalancerError:
        return f"{kind} not installed"


def _said(arguments: Sequence[str]) -> str:
    try:
        return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
