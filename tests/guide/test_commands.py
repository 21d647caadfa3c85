"""Every command of README.md and of the guide, run as a reader runs it: a page after the other, from its first line to its last.

Each section of a page that has commands is one shell session in an empty directory. A command must end with the exit code
that the page states in a comment, `# exit 1: why`, and with 0 where it states none. A command that ends in `&` goes on
until the end of its section.
"""

import functools
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pytest

from mocknode import guide
from mocknode.cli import mocknode
from mocknode.judge import balancers

ROOT: Final = Path(__file__).parents[2]

PORTS: Final = ("8000", "8001", "8081", "8082", "8083", "8090", "8181", "8182", "8183", "8190", "9001", "9002", "9003")
"""Ports of the pages, which are the defaults. Here they are moved, so that pages can run side by side and beside other clusters."""
TENTACLE_PORTS: Final = ("10943", "10944", "10945", "11943", "11944", "11945")
WORDS: Final = {
    # The first command of README.md installs mocknode from nothing; .ci/run does that, here it is installed.
    "python3 -m venv .venv && .venv/bin/pip install -q '.[balancers]' && .venv/bin/mocknode": "mocknode",
    # The reader's own balancer is the HAProxy that the page starts; his own server is a mock node.
    "https://octopus.corp.test": "http://127.0.0.1:8000",
    "https://real-octopus.corp.test": "http://127.0.0.1:8081",
    # A search that ends after a few short probes.
    "'p99<5s and lost==0'": "'attempts<24 and lost==0' --duration 3s",
}
SHORT_LOAD: Final = {
    "MOCKNODE_LOAD_DURATION": "8s",
    "MOCKNODE_LOAD_USERS": "12",
    "MOCKNODE_LOAD_SIZES": "64KiB",
    # Uplinks that wait rather than burn a core.
    "MOCKNODE_LOAD_LINK": "256KiB",
}
SHORT: Final = {
    # What a page leaves at its default, made short: a full check takes four minutes, a load a minute.
    "README": {"MOCKNODE_CHECK_ONLY": "HC-01"},
    "own-config": {"MOCKNODE_CHECK_ONLY": "PR-01"},
    "running-balancer": {"MOCKNODE_CHECK_ONLY": "PR-01,UP-02", "MOCKNODE_CHECK_QUICK": "1", **SHORT_LOAD},
    "reports": {"MOCKNODE_CHECK_ONLY": "UP-01"},
    "load": SHORT_LOAD,
    "tentacles": {"MOCKNODE_CHECK_ONLY": "TL-01", "MOCKNODE_CHECK_QUICK": "1"},
    "regions": {"MOCKNODE_CHECK_QUICK": "1"},
    # Plugins that readers need not have, and that take seconds to load.
    "pytest": {"PYTEST_ADDOPTS": "-p no:locust -p no:schemathesis"},
}
NOT_RUN: Final = (".venv/bin/python -m pytest -q -n auto",)
"""What would run this test; .ci/run takes the command from README.md."""
INLINE_NOT_RUN: Final = (
    "pytest -n auto -m 'not balancer'",
    "python loadtests/benchmarks.py",
    "mocknode help TOPIC",
    "mocknode COMMAND --help",
)
"""Commands of the text that no page runs, as they are placeholders or would run this test, or for hours."""
BALANCERS: Final = (
    "README",
    "own-config",
    "running-balancer",
    "reports",
    "load",
    "tentacles",
    "regions",
    "scenarios",
    "pytest",
)
BACKGROUND_S: Final = 30

_EXIT: Final = re.compile(r"\s+# exit (\d+)\b.*$")
_HEADING: Final = re.compile(r"^##? (.*)$", re.MULTILINE)
_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page, with its section and line there and the exit code that the page states."""

    section: str
    line: int
    text: str
    code: int


def source(page: str) -> str:
    return (ROOT / "README.md").read_text() if page == "README" else guide.page(page)


PAGES: Final = ("README", *guide.topics())


def blocks(page: str) -> Iterator[tuple[str, str, int, str]]:
    """The fenced blocks of a page: the heading that they stand below, language, line of the first line, text."""
    text = source(page)
    for found in _BLOCK.finditer(text):
        headings = _HEADING.findall(_BLOCK.sub("", text[: found.start()]))
        yield headings[-1], found[1], text.count("\n", 0, found.start(2)) + 1, found[2]


@functools.cache
def commands(page: str) -> list[Command]:
    """The commands of its `sh` blocks; lines that the shell reads as one command are one."""
    found = []
    for section, language, first, text in blocks(page):
        if language != "sh":
            continue
        pending, began = "", first
        for number, line in enumerate(text.splitlines(), first):
            if not pending and (not line.strip() or line.startswith("#")):
                continue
            began = began if pending else number
            pending += line + "\n"
            if _is_whole(pending):
                found.append(_command(section, began, pending.rstrip("\n")))
                pending = ""
        assert not pending, f"{page}:{began}: a command that does not end"
    return found


def _is_whole(text: str) -> bool:
    """Whether the shell would run it, rather than wait for the next line."""
    if text.endswith("\\\n"):
        return False
    if here := re.search(r"<<'(\w+)'", text):
        return text.rstrip("\n").endswith(f"\n{here[1]}")
    return True


def _command(section: str, line: int, text: str) -> Command:
    stated = _EXIT.search(text)
    return Command(section, line, _EXIT.sub("", text) if stated else text, int(stated[1]) if stated else 0)


def free_ports() -> dict[str, str]:
    """A free port for each of the pages' ports, with the same distances: nodes have consecutive ones."""
    wanted = [int(port) for port in (*PORTS, *TENTACLE_PORTS)]
    for _ in range(100):
        # Below the range from which clusters pick theirs.
        shift = random.SystemRandom().randrange(-6000, -1900)
        if all(_is_free(port + shift) for port in wanted):
            return {str(port): str(port + shift) for port in wanted}
    pytest.fail(f"no free block of ports like {wanted} below")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def sessions() -> list[Any]:
    """Every section that has commands, with its page; those that start a balancer are marked."""
    found = dict.fromkeys((page, command.section) for page in PAGES for command in commands(page))
    return [
        pytest.param(page, section, marks=[pytest.mark.balancer] if page in BALANCERS else [], id=f"{page}-{number}")
        for number, (page, section) in enumerate(found, 1)
    ]


def session(page: str, section: str, ports: dict[str, str]) -> str:
    """The section as a script, which ends with a message at the first command that does not do what the page states."""
    lines = ["trap 'jobs -p | xargs -r kill; wait' EXIT"]
    for number, command in enumerate(commands(page)):
        if command.section != section or any(text in command.text for text in NOT_RUN):
            continue
        text = command.text
        for word, instead in WORDS.items():
            text = text.replace(word, instead)
        text = re.sub(rf"\b({'|'.join(ports)})\b", lambda found: ports[found[1]], text)
        where = f"{page}:{command.line}"
        lines.append(f"printf '%s\\n' \"$SECONDS s\" {shlex.quote(f'--- {where}: {text}')}")
        if text.endswith("&"):
            # Readers see that a cluster is ready when its table is printed.
            lines.append(f"{text.removesuffix('&')} > output.{number} &")
            if "mocknode up" in text:
                lines.append(f"ready output.{number} $! {where}")
        else:
            lines += [text, f"expect $? {command.code} {where}"]
    return FUNCTIONS + "\n".join(lines) + "\n"


FUNCTIONS: Final = f"""
expect() {{
  [ "$1" -eq "$2" ] || {{ echo "$3: exit code $1, the page states $2"; exit 99; }}
}}
ready() {{
  for _ in $(seq {BACKGROUND_S}0); do
    [ -s "$1" ] && return
    kill -0 "$2" || {{ echo "$3: it has ended"; exit 99; }}
    sleep 0.1
  done
  echo "$3: not ready after {BACKGROUND_S} s"; exit 99
}}
"""


def environment(page: str, ports: dict[str, str], directory: Path) -> dict[str, str]:
    """The reader's: `mocknode` and balancers on the PATH, and nothing of the machine's own."""
    programs = directory / "bin"
    programs.mkdir()
    (programs / "haproxy").symlink_to(balancers.find("haproxy").path)
    (directory / "tmp").mkdir()
    return {
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(directory),
        "TMPDIR": str(directory / "tmp"),
        "LANG": "C.UTF-8",
        "MOCKNODE_CONTROL": f"http://127.0.0.1:{ports['8090']}",
        "MOCKNODE_UP_HTTP_PORT": ports["8081"],
        "MOCKNODE_UP_CONTROL_PORT": ports["8090"],
        "MOCKNODE_UP_TENTACLE_PORT": ports["10943"],
        "MOCKNODE_UP_API_KEY": "API-YOURKEY",
        **SHORT.get(page, {}),
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("page", "section"), sessions())
def test_a_page_does_what_it_says(page: str, section: str, tmp_path: Path) -> None:
    ports = free_ports()
    here = tmp_path / "here"
    here.mkdir()
    process = subprocess.Popen(
        ["bash", "-c", session(page, section, ports)], cwd=here, env=environment(page, ports, tmp_path), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    assert process.returncode == 0, output
    assert output.count("--- ") >= 1


def test_a_command_that_fails_fails_its_page(tmp_path: Path) -> None:
    """The test above can fail: by another exit code than the stated one, and by a cluster that does not start."""
    for line, complaint in (
        ("expect 0 1 page:1", "page:1: exit code 0, the page states 1"),
        ("false > output &\nready output $! page:2", "page:2: it has ended"),
    ):
        script = f"{FUNCTIONS}{line}\n"
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (99, complaint)


def test_exit_codes_and_long_commands_are_read_from_a_page() -> None:
    found = {command.text: command for command in commands("own-config")}
    (failing,) = (command for text, command in found.items() if text.endswith("--json r.json"))
    assert failing.code == 1
    assert any(text.startswith("cat > my.cfg") and text.endswith("\nEND") for text in found)
    assert any("\\\n" in text and text.endswith("tentacle=10.0.0.2:10943") for text in found)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_are_the_beginning_of_one_that_a_page_runs(page: str) -> None:
    run = [flat(command.text) for one in PAGES for command in commands(one)]
    helps = [f"mocknode help {topic}" for topic in guide.topics()] + ["mocknode help"]
    helps += [f"mocknode {' '.join(path)} --help" for path in every_command()]
    unknown = [
        text
        for text in inline(page)
        if re.match(r"(mocknode|pytest|python) ", text)
        and text not in (*helps, *INLINE_NOT_RUN)
        and not any(command.startswith(text) for command in run)
    ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES)
def test_flags_in_the_text_exist(page: str) -> None:
    known = {flag for command in every_command().values() for option in command.params for flag in option.opts}
    known |= {"--help", "--mocknode-fixtures", "--how", "--for"}
    used = {flag for text in inline(page) for flag in re.findall(r"--[a-z][a-z-]*", text)}
    assert used - known - {"--mocknode-balancer"} == set()


def test_no_command_stands_in_a_block_that_is_not_run() -> None:
    for page in PAGES:
        for _, language, line, text in blocks(page):
            assert language == "sh", (
                f"{page}:{line}: a block of {language or 'no language'}; allowed: sh, whose commands are run"
            )
            assert text.strip()


def test_the_test_command_of_the_readme_is_found_by_ci() -> None:
    (line,) = re.findall(r"^# the tests.*\n(.*)$", source("README"), re.MULTILINE)
    assert line.endswith(NOT_RUN[0])


def flat(text: str) -> str:
    return " ".join(text.replace("\\\n", " ").split())


def inline(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", _BLOCK.sub("", source(page)))


@functools.cache
def every_command() -> dict[tuple[str, ...], click.Command]:
    """The commands by what is typed for them."""
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(mocknode)
    for name in mocknode.list_commands(context):
        command = mocknode.get_command(context, name)
        assert command is not None
        found[name,] = command
        if isinstance(command, click.Group):
            found |= {(name, part): below for part, below in command.commands.items()}
    return found
