"""`mocknode load` as people run it: real balancers, real nodes, locust in its own processes."""

import csv
import http.server
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scenarios.ledger import CLASSES
from tests.load.conftest import Loaded

HERE = Path(__file__).parent
SMALL = ("--users", "6", "--sizes", "16KiB..256KiB", "--link", "512KiB")


def sums_up(document: dict[str, Any]) -> bool:
    ledger = document["ledger"]
    return bool(sum(ledger[name] for name in CLASSES) == ledger["attempts"] > 0)


@pytest.mark.balancer
def test_drains_by_three_workers_lose_nothing_and_all_reports_agree(
    load: Callable[..., Loaded], tmp_path: Path
) -> None:
    page, table = tmp_path / "report.html", tmp_path / "attempts.csv"
    run = load(
        "--with", "haproxy", *SMALL, "--duration", "8s", "--workers", "3", "--browsers", "2", "--monitors", "1",
        "--schedule", "drain each", "--fail-if", "p99>60s", "--html", str(page), "--csv", str(table),
    )  # fmt: skip
    document = run.document
    assert (run.code, document["result"]) == (0, "held"), run.out
    assert sums_up(document)
    assert document["ledger"]["delivered_once"] == document["ledger"]["attempts"]
    assert len(document["generator"]["workers"]) == 3
    assert set(document["latency"]) == {"push", "browse", "ping"}
    assert [(s["node"], s["verb"], s["begins"]) for s in document["schedule"]] == [
        (f"node-{n}", "drain", begins) for n in (1, 2, 3) for begins in (True, False)
    ]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == document["numbers"]["recorded"]
    assert sum(row["kind"] == "push" for row in rows) == document["ledger"]["attempts"]
    html = page.read_text()
    assert html.count('class="band draining"') == 3
    assert "http://" not in html.replace(document["balancer"]["url"], "")
    assert f"{document['ledger']['attempts']} uploads" in run.out


@pytest.mark.balancer
def test_a_balancer_that_replays_a_post_is_caught(load: Callable[..., Loaded]) -> None:
    run = load(
        "--with", "nginx", "--config", str(HERE / "nginx_replays.conf"), *SMALL, "--duration", "7s",
        "--schedule", "freeze node-2 at 2s for 3s",
    )  # fmt: skip
    assert (run.code, run.document["result"]) == (1, "failed")
    assert run.document["ledger"]["delivered_twice"] > 0
    assert sums_up(run.document)
    assert [c["fail_if"] for c in run.document["conditions"] if c["holds"]] == ["doubled>0"]
    assert "delivered twice" in run.out


@pytest.mark.balancer
def test_a_cap_on_bodies_shows_by_size(load: Callable[..., Loaded], tmp_path: Path) -> None:
    config = tmp_path / "caps.conf"
    config.write_text((HERE / "nginx_caps.conf").read_text().replace("100m", "1m"))
    run = load(
        "--with", "nginx", "--config", str(config), "--users", "4", "--duration", "4s",
        "--sizes", "64KiB..512KiB:1,2MiB..3MiB:1",
    )  # fmt: skip
    assert run.code == 1
    for row in run.document["by_size"]:
        # A refusal before the body ends is a 413, or a reset where that overtook it; below the cap there is neither.
        assert bool(row["failures"]) == (row["from"] >= 1 << 20)
    refused = [row for row in run.document["by_size"] if row["failures"]]
    assert all(row["smallest_failed"] > 1 << 20 and row["largest_passed"] is None for row in refused)
    assert any("413" in row["failures"] for row in run.document["by_size"])
    assert run.document["ledger"]["lost"] == run.document["ledger"]["delivered_twice"] == 0


def records(run_dir: Path) -> list[Path]:
    """Files of workers that have finished an upload."""
    return [path for path in run_dir.glob("records/*.jsonl") if '"t":"end"' in path.read_text()]


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.mark.balancer
def test_a_generator_that_stood_still_is_not_trusted(
    started: Callable[..., "subprocess.Popen[str]"],
    finished: Callable[..., Loaded],
    tmp_path: Path,
) -> None:
    process = started("--with", "haproxy", "--tls", *SMALL, "--duration", "5s")
    generator = int(until(lambda: records(tmp_path / "run"))[0].stem)
    os.kill(generator, signal.SIGSTOP)
    time.sleep(1.5)  # Longer than the second that is allowed, however slow this machine is.
    os.kill(generator, signal.SIGCONT)
    run = finished(process)
    assert (run.code, run.document["result"]) == (5, "untrusted")
    assert "woke up" in run.out
    assert sums_up(run.document)


@pytest.mark.balancer
def test_a_worker_that_dies_leaves_the_rest_and_an_untrusted_run(
    started: Callable[..., "subprocess.Popen[str]"],
    finished: Callable[..., Loaded],
    tmp_path: Path,
) -> None:
    process = started("--with", "haproxy", *SMALL, "--duration", "4s", "--workers", "2", "--csv", "/dev/full")
    both = until(lambda: len(found := records(tmp_path / "run")) == 2 and found)
    os.kill(int(both[0].stem), signal.SIGKILL)
    run = finished(process)
    assert run.code == 5
    assert any("ended with code -9" in problem for problem in run.document["generator"]["problems"])
    assert run.document["ledger"]["delivered_once"] > 0
    assert sums_up(run.document)
    # A report that finds no room takes neither the verdict nor the other reports with it.
    assert "--csv /dev/full: No space left on device" in run.err
    assert "UNTRUSTED" in run.out


@pytest.mark.balancer
def test_ctrl_c_keeps_what_was_measured(
    started: Callable[..., "subprocess.Popen[str]"],
    finished: Callable[..., Loaded],
    tmp_path: Path,
) -> None:
    process = started("--with", "haproxy", *SMALL, "--duration", "60s")
    generator = int(until(lambda: records(tmp_path / "run"))[0].stem)
    process.send_signal(signal.SIGINT)
    run = finished(process)
    assert (run.code, run.document["result"]) == (130, "interrupted")
    assert run.document["ledger"]["delivered_once"] > 0
    assert sums_up(run.document)
    with pytest.raises(ProcessLookupError):
        os.kill(generator, 0)


@pytest.mark.balancer
def test_the_limit_is_found_and_what_gave_way_is_named(load: Callable[..., Loaded]) -> None:
    words = ("--with", "haproxy", "--users", "60", "--sizes", "1KiB", "--link", "0", "--duration", "3s")
    run = load(*words, "--find-limit", "attempts<24 and lost==0")
    document = run.document
    assert (run.code, document["result"]) == (0, "held"), run.out + run.err
    assert 0 < document["limit_per_s"] < document["gave_way_at_per_s"] <= 40
    assert document["gave_way"][0].startswith("attempts<24: ")
    for probe in document["probes"]:
        assert bool(probe["gave_way"]) == (probe["attempts"] >= 24)


@pytest.mark.balancer
def test_the_most_uploads_at_once_are_found(load: Callable[..., Loaded]) -> None:
    # A push takes two seconds at its link, so each pusher makes one in a run of one second.
    words = ("--with", "haproxy", "--sizes", "256KiB", "--link", "128KiB", "--duration", "1s")
    run = load(*words, "--find-limit", "attempts<=6 and lost==0", "--limit-of", "uploads")
    document = run.document
    assert (run.code, document["result"]) == (0, "held"), run.out + run.err
    assert (document["limit_uploads_at_once"], document["gave_way_at_uploads_at_once"]) == (6, 7)
    assert [probe["uploads_at_once"] for probe in document["probes"]] == [4, 8, 5, 6, 7]
    assert document["gave_way"] == ["attempts<=6: 7"]
    assert "6 uploads at once" in run.out
    assert "at 7 uploads at once gave way first: attempts<=6: 7" in run.out


@pytest.fixture
def stranger() -> Iterator[str]:
    """A web server that is no node."""

    class Handler(http.server.BaseHTTPRequestHandler):
        posts = 0

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_host_that_is_no_mock_cluster_gets_no_upload(
    load: Callable[..., Loaded], cluster: dict[str, Any], stranger: str, tmp_path: Path
) -> None:
    run = load("--lb", stranger, "--control", cluster["control"], *SMALL)
    assert run.code == 3
    assert "does not lead to these nodes" in run.err
    assert not list((tmp_path / "run" / "records").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sizes", "1 potato"], "sizes: got '1 potato'"),
        (["--fail-if", "p99>2"], "'2' is not a duration"),
        (["--fail-if", "p97>2s"], "got metric 'p97'"),
        (["--fail-if", "lost>0.5"], "a whole number"),
        (["--fail-if", "p99>2s", "--fail-if", "p99<3s"], "one of them holds for every run"),
        (["--schedule", "drain node-9"], "got node 'node-9'"),
        (["--schedule", "explode each"], "got 'explode'"),
        (["--schedule", "drain node-1 at 50s for 20s"], "would end 70 s after the start"),
        (["--schedule", "drain node-1 at 5s for 9s; crash node-1 at 9s for 2s"], "overlap"),
        (["--find-limit", "p99 is low"], "--find-limit: got 'p99 is low'"),
        (["--find-limit", "p99<1s", "--rate", "5/s"], "--rate does not go with --find-limit"),
        (["--limit-of", "uploads"], "--limit-of goes with --find-limit"),
        (["--limit-of", "sizes"], "'sizes' is not one of 'rate', 'uploads'"),
        (["--find-limit", "lost==0", "--limit-of", "uploads", "--users", "3"], "--users does not go with --limit-of"),
        (["--with", "nope"], "'nope' is not a balancer"),
        (["--mode", "x"], "has no mode 'x'"),
        (["--rate", "fast"], "--rate: got 'fast'"),
        (["--workers", "30"], "the number of --users"),
        (["--forms", "round"], "--forms: got 'round'"),
        (["--json", "/proc/none/x"], "--json /proc/none/x"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mocknode.cli import main

    monkeypatch.setattr("sys.argv", ["mocknode", "load", "--with", "haproxy", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
