"""What a check is refused for, in one clear line, and what it leaves behind when it is ended: nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mocknode.judge.balancers import KINDS

COMMAND = (sys.executable, "-m", "mocknode", "check")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "give --lb URL"),
        (("--with", "haproxy", "--lb", "http://127.0.0.1:1"), 2, "give --lb URL"),
        (("--with", "hapoxy"), 2, ", ".join(KINDS)),
        (("--with", "haproxy", "--mode", "stok"), 2, "it has recommended, stock"),
        (("--with", "haproxy", "--only", "UP-99"), 2, "did you mean UP-08"),
        (("--with", "haproxy", "--profile", "regional"), 2, "profiles are web, upload, polling, region"),
        (("--with", "haproxy", "--patience", "75"), 2, "not a duration"),
        (("--with", "haproxy", "--max-upload", "5 stone"), 2, "not a size"),
        (("--with", "haproxy", "--binary", "/no/such/program"), 3, "/no/such/program"),
        (("--lb", "ftp://127.0.0.1"), 2, "unknown scheme 'ftp'"),
        (("--lb", "http://127.0.0.1:1", "--mode", "stock"), 2, "--mode goes with --with"),
        (("--lb", "http://127.0.0.1:1", "--control", "http://127.0.0.1:1"), 3, "does not answer"),
    ],
)
def test_a_refusal_is_one_line_and_names_what_is_allowed(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_does_not_start_keeps_the_log_it_points_at(tmp_path: Path) -> None:
    (tmp_path / "my.cfg").write_text("defaults\n  mode htp\nfrontend web\n  bind ${FRONT}\n")
    arguments = [*COMMAND, "--with", "haproxy", "--config", "my.cfg", "--only", "UP-02"]
    env = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=env)
    assert done.returncode == 3
    assert "unknown proxy mode 'htp'" in done.stderr
    (log,) = [line.split()[-1].removesuffix(":") for line in done.stderr.splitlines() if "end of its log" in line]
    assert "unknown proxy mode" in Path(log).read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "listen web\n  bind ${FRONT}\nlisten t1\n  bind ${FRONT_TENTACLE_1}\nlisten t3\n  bind :${FRONT_TENTACLE_3_PORT}\n",
            "has addresses for the Tentacles of some nodes, but not ${FRONT_TENTACLE_2}; every Tentacle polls every node",
        ),
        (  # PR-05 would call it the balancer's fault.
            "listen web\n  bind ${FRONT}\n  server a ${NODE_1_HTTP}\n  server b ${NODE_2_HOST}:${NODE_2_PORT}\n",
            "forwards to some nodes, but not to ${NODE_3_HTTP}; the cluster has 3 nodes",
        ),
    ],
    ids=["its Tentacles", "its web"],
)
def test_a_configuration_that_forgets_a_node(text: str, says: str, tmp_path: Path) -> None:
    config = tmp_path / "my.cfg"
    config.write_text(text)
    done = run("--with", "haproxy", "--config", str(config))
    assert done.returncode == 2
    assert says in done.stderr


def test_a_configuration_whose_second_lane_finds_a_port_taken_is_told_of_free_ports(tmp_path: Path) -> None:
    config = tmp_path / "traefik.yml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        own = f"{{web: {{address: '${{FRONT}}'}}, own: {{address: '127.0.0.1:{taken.getsockname()[1]}'}}}}"
        config.write_text(f"entryPoints: {own}\n---\nhttp: {{}}\n")
        done = run("--with", "traefik", "--config", str(config), "--only", "UP-02")
    assert done.returncode == 3
    assert "such as a statistics page, one of the ports ${FREE_PORT_1}" in done.stderr


def test_a_control_api_of_another_version_is_refused() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"product":"mocknode","version":"9.0","control_api":9,"run_id":"x","monotonic_ns":1}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            done = run("--lb", "http://127.0.0.1:1", "--control", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == 3
    assert "speaks control API 9 (mocknode 9.0); allowed: 1" in done.stderr


@pytest.mark.balancer
def test_a_balancer_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "bad.cfg").write_text("defaults\n  mode htttp\nfrontend f\n  bind ${FRONT}\n")
    done = run("--with", "haproxy", "--config", str(tmp_path / "bad.cfg"), "--only", "UP-02")
    assert done.returncode == 3
    assert "htttp" in done.stderr
    assert "Traceback" not in done.stderr


def left_behind(directory: Path) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                text = (process / "cmdline").read_text() + str((process / "cwd").readlink())
            except OSError:
                continue
            if str(directory) in text:
                found.append(text)
    return found


@pytest.mark.balancer
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_check_that_is_ended_leaves_nothing_running(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """nginx has workers of its own: they go as well."""
    directory = tmp_path / "the-run"
    command = [*COMMAND, "--with", "nginx", "--quick", "--only", "UP-02,UP-03", "--run-dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("UP-02" in line for line in process.stderr), "the run ended before its first check"
        assert left_behind(directory)
        process.send_signal(number)
        process.stderr.read()
        assert process.wait(timeout=20) == code
    # The kernel takes a moment to reap what the watchdog killed; the bound is generous, a leftover stays for ever.
    for _ in range(100):
        if not left_behind(directory):
            break
        time.sleep(0.1)
    assert not left_behind(directory)
    judged = subprocess.run([sys.executable, "-m", "mocknode", "judge", str(directory)], capture_output=True, text=True)
    assert "UP  02 ✓" in judged.stdout or "02 +" in judged.stdout
    assert judged.returncode == 4, "a run that was ended has not judged everything"
