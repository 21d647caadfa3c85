"""Usage errors are answered with what was got and what is allowed, in one line, before anything is started."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from mocknode.cli import COMMANDS, mocknode
from mocknode.cli.errors import Whole
from mocknode.judge.balancers import KINDS, MODES


def refused(*words: str) -> click.ClickException:
    with pytest.raises(click.ClickException) as caught:
        mocknode.main(list(words), prog_name="mocknode", standalone_mode=False)
    return caught.value


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["upp"], 2, "command: got 'upp', allowed: help, up, status"),
        (["drian", "node-1"], 2, "did you mean drain?"),
        (["up", "--htp-port", "1"], 2, "No such option '--htp-port'"),
        (["up", "--nodes", "0"], 2, "got '0', allowed: a whole number from 1 to 32"),
        (["up", "--http-port", "80a"], 2, "got '80a', allowed: a whole number from 0 to 65535"),
        (["up", "--node", "a=127.0.0.1:0", "--node", "A=127.0.0.2:0"], 2, "two nodes are called 'A'"),
        (["up", "--node", "a=127.0.0.1:0", "--nodes", "2"], 2, "--nodes and --node exclude each other"),
        (["up", "--node", "a=127.0.0.1:0,tentacle=127.0.0.1"], 2, "allowed: HOST:PORT with a port from 0"),
        (["up", "--node", "a=192.0.2.1:0", "--control-port", "0"], 3, "192.0.2.1 is no address of this machine"),
        (["up", "--http-port", "20000", "--https-port", "20002"], 2, "collide: 127.0.0.1:20002 would be"),
        (["up", "--http-port", "20000", "--control-port", "20001"], 2, "--control-port and --http-port collide: 127.0.0.1:20001"),
        (["up", "--http-port", "65535"], 2, "allowed are 1 to 65535"),
        (["up", "--api-key", "secret"], 2, "--api-key: got 'secret'"),
        (["up", "--host", "0.0.0.0"], 2, "needs --control-token-file"),
        (["up", "--fixtures", "/dev/null/none"], 2, "'/dev/null/none' does not exist"),
        (["up", "--tentacle-port", "8081"], 2, "--http-port and --tentacle-port collide"),
        (["up", "--balancer", "haproxy"], 2, "--balancer haproxy"),
        (["up", "--certificate", "/dev/null"], 2, "'/dev/null' is a directory"),
        (["status", "--control", "http://127.0.0.1:99999"], 3, "is no address of a control API; it is written http://HOST:PORT"),
        (["status", "--control", "http://[::1"], 3, "is no address of a control API"),
        (["up", "--identity-dir", "/proc/1/x", "--http-port", "0", "--control-port", "0"], 2, "allowed is a directory that this user"),
        (["status", "--control", "http://127.0.0.1:9"], 3, "--control: http://127.0.0.1:9 does not answer"),
        (["fault", "node-1", "--delete", "1"], 2, "fault has no --delete; `mocknode fault --help` lists"),
        (["fault", "node-1", "statsu"], 2, "fault kind: got 'statsu'"),
        (["fault", "node-1", "status", "--kode", "1"], 2, "its options are code, body, location; did you mean code?"),
        (["fault", "node-1", "hang", "--frist", "1"], 2, "unknown option 'frist'; its options are at; did you mean first?"),
        (["fault", "node-1", "status", "--code"], 2, "fault status: got '--code', allowed: --OPTION VALUE"),
        (["fault", "node-1", "status", "503"], 2, "fault status: got '503', allowed: --OPTION VALUE"),
        (["fault", "node-1", "hang", "--first", "0"], 2, "got '0', allowed: a whole number from 1 up"),
        (["fault", "node-1", "drip", "--on", "tentacle"], 2, "fault on 'tentacle': got kind 'drip'"),
        (["check", "--with", "nginx", "--json", "/nonexistent/r.json"], 2, "--json /nonexistent/r.json: No such file or directory"),
        (["check", "--with", "nginx", "--mode", "best"], 2, "nginx has no mode 'best'; it has recommended, stock"),
        (["check", "--lb", "http://[::1"], 2, "write http://HOST:PORT"),
        (["check", "--lb", "http://127.0.0.1:0"], 2, "nothing can listen on port 0"),
        (["check", "--lb", "http://127.0.0.1", "--host", "a\r\nb"], 2, "--host: got 'a\\r\\nb'"),
        (["check", "--lb", "https://127.0.0.1", "--ca", "/etc/hostname"], 2, "--ca /etc/hostname is not a readable PEM file"),
        (["check", "--with", "nginx", "--only", ""], 2, "unknown check ''"),
        (["check", "--with", "nginx", "--profile", ""], 2, "unknown profile ''"),
        (["check", "--with", "nginx", "--max-upload", "0B"], 2, "--max-upload: got 0"),
        (["check", "--with", "nginx", "--json", "/dev/shm/one", "--html", "/dev/shm/one"], 2, "both name /dev/shm/one"),
        (["balancer", "config", "nginx", "--node", "a=10.0.0.1:80", "--node", "a=10.0.0.2:80"], 2, "two nodes are called 'a'"),
        (["check", "--lb", "127.0.0.1:80"], 2, "write http://HOST:PORT"),
        (["check", "--with", "nginx", "--config", "/dev/null"], 2, "does not listen on ${FRONT}"),
        (["check", "--with", "nginx", "--public-name", "a b"], 2, "--public-name: got 'a b', allowed with --with: a DNS name"),
        (["check", "--with", "nginx", "--host", "octopus.test:8443"], 2, "--host: got 'octopus.test:8443'"),
        (["check", "--lb", "http://127.0.0.1:9", "--profile", "polling"], 2, "give --tentacle NODE=HOST:PORT for each node"),
        (["check", "--lb", "http://127.0.0.1:9", "--tentacle", "node-1=127.0.0.1"], 2, "got '127.0.0.1', allowed: HOST:PORT"),
        (["check", "--lb", "http://127.0.0.1:9", "--tentacle", "127.0.0.1:9"], 2, "got '127.0.0.1:9', allowed: NODE=HOST:PORT"),
        (["check", "--lb", "http://127.0.0.1:9", "--tentacle", "a=h:1,a=h:2"], 2, "'a' is given twice"),
        (["check", "--with", "haproxy", "--tentacle", "a=h:1"], 2, "--tentacle goes with --lb"),
        (["check", "--with", "nginx", "--mode", "vendor-doc", "--only", "TL-01"], 2, "these modes have one for each node: recommended, stock"),
        (["check", "--with", "nginx", "--mode", "stock", "--profile", "region"], 2, "profile 'region': mode stock of nginx has no standby"),
        (["check", "--lb", "http://127.0.0.1:9", "--profile", "region"], 2, "profile 'region' needs a standby"),
        (["check", "--with", "haproxy", "--profile", "web,region"], 2, "profile region is judged alone"),
        (["check", "--with", "haproxy", "--standby", "http://127.0.0.1:9"], 2, "--standby goes with --lb"),
        (["check", "--lb", "http://127.0.0.1:9", "--standby", "http://127.0.0.1:9", "--only", "UP-01"], 2, "--standby is for profile region"),
        (["balancer", "config", "f5"], 2, "'f5' is not a balancer that can be started; there are nginx"),
        (["balancer", "config", "nginx", "--mode", "best"], 2, "nginx has no mode 'best'"),
        (["balancer", "config", "nginx", "--node", "a\nb=1.2.3.4:80"], 2, "got 'a\\nb=1.2.3.4:80', allowed: NAME=HOST:PORT"),
        (["balancer", "config", "nginx", "--node", "a{}=1.2.3.4:80"], 2, "allowed: NAME=HOST:PORT"),
        (["balancer", "config", "nginx", "--node", "a=h;}:80"], 2, "allowed: NAME=HOST:PORT"),
        (["balancer", "config", "nginx", "--node", "a=h\n:80"], 2, "allowed: NAME=HOST:PORT"),
        (["balancer", "config", "nginx", "--node", "a=h:80,tentacle=h{:81"], 2, "allowed: NAME=HOST:PORT"),
        (["up", "--node", "a=127.0.0.1:0,advertise=b {}"], 2, "got 'b {}' in"),
        (["up", "--octopus-version", "1\r\nX: y"], 2, "--octopus-version: got '1\\r\\nX: y', allowed: a version"),
        (["up", "--null-message", "99999999999999999h"], 2, "--null-message: got 3.6e+20 s, allowed: more than 0 s, at most 24h"),
        (["up", "--null-message", "0s"], 2, "--null-message: got 0 s"),
        (["up", "--api-key", "API-" + "A" * 100_000], 2, "allowed: API- and 1 to 100 capital letters or digits"),
        (["check", "--lb", "http://127.0.0.1:9", "--host", ""], 2, "--host: got ''"),
        (["check", "--with", "nginx", "--host", ""], 2, "--host: got ''"),
        (["balancer", "config", "nginx", "--node", "a=1.2.3.4"], 2, "got 'a=1.2.3.4', allowed: NAME=HOST:PORT"),
    ],
)  # fmt: skip
def test_bad_input(words: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if words[:2] == ["up", "--certificate"]:
        words, says = ["up", "--certificate", str(tmp_path)], "is a directory"
    error = refused(*words)
    assert says in error.format_message()
    assert error.exit_code == code
    assert list(tmp_path.iterdir()) == []


def test_one_line_and_the_exit_code_reach_the_shell(shell: Any) -> None:
    done = shell("drian", "node-1")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        f"mocknode: command: got 'drian', allowed: {', '.join(COMMANDS)}; did you mean drain?"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("words", [["checks"], ["version"], ["--help"]])
def test_a_full_disk_is_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mocknode", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        3,
        "mocknode: standard output cannot be written: No space left on device\n",
    )


def test_flags_by_environment(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCKNODE_UP_API_KEY", "nope")
    done = typed("up")
    assert done.code == 2
    assert "--api-key: got 'nope'" in done.err


@pytest.mark.parametrize(
    ("variable", "words", "says"),
    [
        ("MOCKNODE_LOAD_WITH", ["load"], "'nope' is not a balancer"),
        ("MOCKNODE_CHECK_PROFILE", ["check", "--with", "nginx"], "unknown profile 'nope'"),
        ("MOCKNODE_TENTACLES_FOR", ["tentacles"], "'nope' is not a duration"),
        ("MOCKNODE_UP_HEARTBEAT", ["up"], "'nope' is not a duration"),
        ("MOCKNODE_BALANCER_CONFIG_NODE", ["balancer", "config", "nginx"], "got 'nope'"),
    ],
)
def test_a_variable_is_called_as_its_flag_is(
    variable: str, words: list[str], says: str, typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "nope")
    done = typed(*words)
    assert done.code == 2
    assert says in done.err


def test_help_lists_every_command_and_every_kind_of_fault(typed: Any) -> None:
    listed = typed("--help").out
    assert all(f"  {name} " in listed for name in COMMANDS)
    kinds = typed("fault", "--help").out
    for word in ("latency", "--delay", "stop-reading", "early-response", "--content-length"):
        assert word in kinds


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_imported_and_explains_itself(name: str) -> None:
    command = mocknode.get_command(click.Context(mocknode), name)
    assert command is not None
    assert command.get_short_help_str()


def test_version_doctor_and_balancers(typed: Any) -> None:
    assert typed("version").out.startswith("mocknode ")
    assert typed("version", "--json").document["mocknode"]
    facts = {fact["what"]: fact for fact in typed("doctor", "--json").document}
    assert {"python", "uvloop", "httptools", "open files", "ephemeral ports", "packet-drop", "nginx", "envoy"} <= set(
        facts
    )
    assert all(fact["ok"] or fact["lacks"] for fact in facts.values())
    listed = typed("balancer", "list", "--json").document
    assert [item["name"] for item in listed] == list(KINDS)
    assert [tuple(item["modes"]) for item in listed] == [MODES(kind) for kind in KINDS]


def test_whole_numbers() -> None:
    assert Whole(1).convert("12", None, None) == 12
    for text in ("", "-1", "1.5", "１", "0x1"):
        with pytest.raises(click.BadParameter):
            Whole(0, 10).convert(text, None, None)


def test_a_configuration_of_several_files_is_written_file_by_file(shell: Any, tmp_path: Path) -> None:
    words = ("balancer", "config", "traefik", "--node", "node-1=10.0.0.1:8080")
    printed = shell(*words)
    assert "2 files: " in printed.err
    written = shell(*words, "--output", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"traefik.yml", "dynamic.yml"}
    for path in tmp_path.iterdir():
        assert path.name in written.out
        assert path.read_text() in printed.out
    again = shell(*words, "--output", str(tmp_path))
    assert (again.code, again.out) == (2, "")
    assert "File exists; allowed is a directory without these files" in again.err
