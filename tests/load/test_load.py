"""`mocknode load` as people run it: real balancers, real nodes, locust in its own processes."""

import contextlib
import csv
import http.server
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mocknode.judge.record.ledger import CLASSES
from mocknode.mock.cluster import ports
from tests.judge.controls.control_runs import configuration
from tests.load.conftest import Loaded

HERE = Path(__file__).parent
PAGE = """error_page 413 =200 /page;
    location = /page {
      internal;
      proxy_pass http://octopus/api;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }
    """
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
        "--schedule", "drain each", "--fail-if", "p99>60s", "--html", str(page), "--csv", str(table), "--tls",
    )  # fmt: skip
    document = run.document
    assert (run.code, document["result"]) == (0, "held"), run.out
    assert document["balancer"]["url"].startswith("https://")
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
    assert "://" not in html.replace(document["balancer"]["url"], "")
    assert f"{document['ledger']['attempts']} uploads" in run.out


@pytest.mark.balancer
def test_a_load_that_ends_before_its_schedule_says_so(load: Callable[..., Loaded]) -> None:
    run = load(
        "--with", "haproxy", *SMALL, "--duration", "5s", "--uploads", "12", "--rate", "60/s", "--workers", "2", "--fail-if", "drain_reaction>1m",
        "--schedule", "drain node-1 at 0s for 5s; drain node-2 at 4s for 1s",
    )  # fmt: skip
    assert (run.code, run.document["result"]) == (4, "unknown"), run.out
    assert "before these events of the schedule: drain node-2" in run.out
    assert [drain["node"] for drain in run.document["drains"]] == ["node-1"]
    assert run.document["values"]["drain_reaction"] is not None


@pytest.mark.balancer
def test_a_torn_record_is_told_and_what_was_before_it_kept(
    started: Callable[..., Any], finished: Callable[..., Loaded], tmp_path: Path
) -> None:
    process = started("--with", "haproxy", *SMALL, "--duration", "6s")
    (written,) = until(lambda: [p for p in (tmp_path / "run" / "records").glob("*.jsonl") if p.stat().st_size > 5000])
    with written.open("ab") as file:
        file.write(b'{"t":"end","id"\n')
    run = finished(process)
    assert (run.code, run.document["result"]) == (5, "untrusted")
    assert f"{written} has a line that is not JSON" in run.out.replace("\n", " ")
    assert run.document["ledger"]["attempts"] > 0


@pytest.mark.balancer
@pytest.mark.parametrize(("balancer", "sees"), [("haproxy", True), ("nginx", False)])
def test_a_drain_that_a_balancer_does_not_see_is_told(load: Callable[..., Loaded], balancer: str, sees: bool) -> None:
    run = load("--with", balancer, *SMALL, "--duration", "7s", "--schedule", "drain node-2 at 1s for 5s",
               "--fail-if", "drain_reaction>3500ms")  # fmt: skip
    (drain,) = run.document["drains"]
    assert drain["node"] == "node-2"
    assert run.document["ledger"]["delivered_once"] == run.document["ledger"]["attempts"] > drain["new_uploads"] > 0
    assert (run.code, run.document["result"]) == ((0, "held") if sees else (1, "failed")), run.out
    assert ("node-2 still got new uploads" in run.out) == (not sees)
    assert ("✓ drain_reaction " in run.out) == sees


def plan_of(document: dict[str, Any], tmp_path: Path) -> Counter[tuple[str, ...]]:
    """What was uploaded, and its classes."""
    rows = csv.DictReader((tmp_path / "attempts.csv").read_text().splitlines())
    return Counter((row["size"], row["form"], row["class"]) for row in rows if row["kind"] == "push")


@pytest.mark.balancer
def test_three_workers_upload_what_one_process_does(load: Callable[..., Loaded], tmp_path: Path) -> None:
    found = []
    for workers in ("1", "3"):
        run = load(
            "--with", "haproxy", "--users", "6", "--sizes", "1KiB..256KiB", "--uploads", "150", "--seed", "7",
            "--workers", workers, "--csv", str(tmp_path / "attempts.csv"),
        )  # fmt: skip
        assert (run.code, len(run.document["generator"]["workers"])) == (0, int(workers)), run.out + run.err
        found.append((run.document["ledger"], plan_of(run.document, tmp_path)))
        (tmp_path / "run").rename(tmp_path / f"run-{workers}")
    assert found[0] == found[1]
    assert found[0][0]["attempts"] == found[0][0]["delivered_once"] == 150


@pytest.mark.balancer
def test_after_an_outage_all_come_at_once(load: Callable[..., Loaded], tmp_path: Path) -> None:
    table = tmp_path / "attempts.csv"
    # An upload takes a second at least, so that whoever begins before the first one ends came together with it.
    run = load(
        "--with", "haproxy", "--users", "8", "--sizes", "256KiB", "--link", "256KiB", "--browsers", "2", "--duration", "8s",
        "--shape", "storm", "--csv", str(table),
    )  # fmt: skip
    assert (run.code, run.document["result"]) == (0, "held"), run.out
    away, online = ([s["at_s"] for s in run.document["schedule"] if s["begins"] == begins] for begins in (True, False))
    assert (len(away), len(online)) == (3, 3)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    began_ns = min(int(row["started"]) for row in rows)
    pushes = sorted((int(r["started"]), int(r["ended"])) for r in rows if r["kind"] == "push")
    after = [(since, until) for since, until in pushes if since > began_ns + online[0] * 1e9]
    assert not [since for since, _ in pushes if max(away) < (since - began_ns) / 1e9 < min(online)]
    assert sum(since < min(until for _, until in after) for since, _ in after) == 8


@pytest.mark.balancer
def test_a_run_that_has_failed_ends_when_asked_to(load: Callable[..., Loaded], tmp_path: Path) -> None:
    config = tmp_path / "caps.conf"
    config.write_text((HERE / "nginx_caps.conf").read_text().replace("100m", "1m"))
    # Ten minutes: without the flag this test would not end in its time.
    words = (
        "--with",
        "nginx",
        "--config",
        str(config),
        "--users",
        "2",
        "--sizes",
        "64KiB:9,2MiB:1",
        "--duration",
        "10m",
    )
    run = load(*words, "--abort-on-fail")
    assert (run.code, run.document["result"]) == (1, "failed"), run.out
    assert run.document["aborted_by"] == "failed_undisturbed>0"
    assert "note: the run ended early" in run.out
    assert sums_up(run.document)


@pytest.mark.balancer
def test_the_action_and_deltas_beside_the_web_ui(
    started: Callable[..., "subprocess.Popen[str]"], finished: Callable[..., Loaded], tmp_path: Path
) -> None:
    (port,) = ports.free("test", "127.0.0.1", ["web UI"])
    address = f"127.0.0.1:{port}"
    table = tmp_path / "attempts.csv"
    process = started(
        "--with", "haproxy", "--users", "1", "--actions", "1", "--deltas", "1", "--sizes", "300KiB..400KiB", "--link", "2MiB",
        "--forms", "chunked", "--duration", "4s", "--web-ui", address, "--csv", str(table), "--workers", "2",
    )  # fmt: skip

    def page() -> str | None:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{address}/", trust_env=False).text
        return None

    found = until(page)
    assert "<title>Locust</title>" in found
    assert "API-" not in found
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert httpx.get(f"http://{address}/stop", headers=foreign, trust_env=False).status_code == 403
    run = finished(process)
    assert (run.code, run.document["result"]) == (0, "held"), run.out + run.err
    assert sums_up(run.document)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    # Told that all is over, not left alone until the master's heartbeats have been missing for a minute.
    assert not any("heartbeat" in log.read_text() for log in (tmp_path / "run").glob("locust-*.log"))
    forms = {row["form"] for row in rows if row["kind"] == "push"}
    assert forms == {"chunked", "length", "delta"}
    assert {row["class"] for row in rows if row["form"] == "delta"} == {"delivered_once"}
    assert all(int(row["size"]) < 3000 for row in rows if row["form"] == "delta")
    # The three of an Action share one uplink: 300 KiB at 0.67 MiB/s take 0.44 s, less what the first block runs ahead.
    action = [row for row in rows if row["form"] == "length"]
    assert min(int(row["ended"]) - int(row["started"]) for row in action) > 0.3e9
    kinds = Counter(row["kind"] for row in rows)
    assert kinds["look-up"] >= 2
    assert kinds["signature"] >= kinds["retention"] > 0
    # What CI pushed is not kept, and of what deltas start from only the last versions.
    kept = list((tmp_path / "run" / "load" / "cluster" / "packages" / "Spaces-1").iterdir())
    assert 1 <= len(kept) <= 3


@pytest.mark.balancer
def test_a_configuration_with_addresses_for_tentacles(load: Callable[..., Loaded], tmp_path: Path) -> None:
    """The file that a check judged is loaded as it is."""
    (tmp_path / "my.cfg").write_text(configuration("haproxy", polled=True))
    run = load("--with", "haproxy", "--config", str(tmp_path / "my.cfg"), *SMALL, "--duration", "2s")
    assert (run.code, run.document["result"]) == (0, "held"), run.out + run.err


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
def test_uploads_whose_ids_a_balancer_strips_are_not_lost(load: Callable[..., Loaded], tmp_path: Path) -> None:
    # Reads keep their header, so whoever looks beforehand finds nothing amiss.
    config = tmp_path / "strips.conf"
    text = (HERE / "nginx_replays.conf").read_text().replace("error timeout non_idempotent", "off")
    text = text.replace("1s;", "60s;").replace(
        "http {", "http {\n  map $request_method $id { GET $http_x_mocknode_attempt; }"
    )
    config.write_text(text.replace("proxy_pass", "proxy_set_header X-Mocknode-Attempt $id;\n      proxy_pass"))
    run = load("--with", "nginx", "--config", str(config), *SMALL, "--duration", "3s", "--browsers", "1")
    ledger = run.document["ledger"]
    assert (run.code, run.document["result"]) == (0, "held"), run.out
    assert ledger["delivered_once"] == ledger["attempts"] == run.document["numbers"]["nameless"] > 0
    assert "which the balancer removes from some requests" in run.out


@pytest.mark.balancer
def test_an_upload_of_which_a_balancer_makes_a_get_is_lost(load: Callable[..., Loaded], tmp_path: Path) -> None:
    """A page instead of an error: client and node are content, and there is no package."""
    config = tmp_path / "pages.conf"
    text = (HERE / "nginx_caps.conf").read_text().replace("100m", "256k").replace("location / {", PAGE + "location / {")
    config.write_text(text)
    run = load("--with", "nginx", "--config", str(config), "--users", "2", "--uploads", "8", "--sizes", "64KiB,300KiB")
    ledger = run.document["ledger"]
    (large,) = (row["attempts"] for row in run.document["by_size"] if row["from"] >= 1 << 18)
    assert (run.code, run.document["result"]) == (1, "failed"), run.out
    assert ledger["lost"] == large > 0
    assert ledger["delivered_once"] == ledger["attempts"] - large > 0


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
    time.sleep(0.3)  # Whoever is impatient comes at any moment; none may break into the clearing up.
    process.send_signal(signal.SIGINT)
    run = finished(process)
    assert (run.code, run.document["result"]) == (130, "interrupted")
    assert run.document["ledger"]["delivered_once"] > 0
    assert sums_up(run.document)
    with pytest.raises(ProcessLookupError):
        os.kill(generator, 0)


@pytest.mark.balancer
def test_a_generator_that_is_killed_leaves_a_report_of_what_was_measured(
    started: Callable[..., "subprocess.Popen[str]"],
    finished: Callable[..., Loaded],
    tmp_path: Path,
) -> None:
    process = started("--with", "haproxy", *SMALL, "--duration", "60s")
    os.kill(int(until(lambda: records(tmp_path / "run"))[0].stem), signal.SIGKILL)
    run = finished(process)
    assert (run.code, run.document["result"], run.document["exit_code"]) == (3, "environment", 3)
    assert "the load generator ended with code -9" in run.err
    assert "BROKEN OFF" in run.out
    assert run.document["ledger"]["delivered_once"] > 0
    assert sums_up(run.document)


@pytest.mark.balancer
def test_a_search_that_is_interrupted_claims_no_limit(
    started: Callable[..., "subprocess.Popen[str]"],
    finished: Callable[..., Loaded],
    tmp_path: Path,
) -> None:
    process = started("--with", "haproxy", *SMALL, "--duration", "1s", "--find-limit", "p99<60s")
    until(lambda: (tmp_path / "run" / "probe-2" / "records").exists())
    process.send_signal(signal.SIGTERM)
    run = finished(process)
    assert (run.code, run.document["result"], run.document["exit_code"]) == (130, "interrupted", 130)
    assert len(run.document["probes"]) == 1
    assert "5.0 uploads a second held for 'p99<60s' when the search ended" in run.out
    assert "LIMIT" not in run.out


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
    assert run.document["load"].startswith("packages of ")
    assert (run.code, document["result"]) == (0, "held"), run.out + run.err
    assert (document["limit_uploads_at_once"], document["gave_way_at_uploads_at_once"]) == (6, 7)
    assert [probe["uploads_at_once"] for probe in document["probes"]] == [4, 8, 5, 6, 7]
    assert document["gave_way"] == ["attempts<=6: 7"]
    assert "6 uploads at once" in run.out
    assert "at 7 uploads at once gave way first: attempts<=6: 7" in run.out


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """A web server that is no node, takes what it gets, and answers with `request.param`, or with nothing about packages."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = json.dumps(self.server.answer).encode()  # type: ignore[attr-defined]
            self.send_response(201 if self.command == "POST" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            # A body in chunks ends with an empty one.
            while "Content-Length" not in self.headers and (length := int(self.rfile.readline(), 16)) + 2:
                self.rfile.read(length + 2)
                if not length:
                    break
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = getattr(request, "param", {})  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_servers_of_others_get_uploads_when_asked_for_and_no_ledger(
    load: Callable[..., Loaded], stranger: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    words = ("--lb", stranger, "--unverified", "--api-key", "API-THEIRS", "--users", "2", "--sizes", "1KiB..64KiB")
    run = load(*words, "--uploads", "8", "--fail-if", "failed>0", "--html", str(page))
    assert (run.code, run.document["result"], run.document["ledger"]) == (0, "held", None), run.out + run.err
    assert run.document["numbers"]["attempts"] == run.document["latency"]["push"]["response"]["count"] == 8
    assert "lost" not in run.document["values"]
    assert [c["fail_if"] for c in run.document["conditions"]] == ["failed_undisturbed>0", "reads_failed>0", "failed>0"]
    assert run.out.splitlines()[1].startswith(" no ledger:")
    assert "delivered" not in run.out
    assert "no ledger:" in page.read_text()
    for text in (page.read_text(), run.out, (tmp_path / "run" / "locust.log").read_text()):
        assert "API-THEIRS" not in text


@pytest.mark.parametrize("stranger", [{"PackageId": "Acme.Web", "Version": "1.2.3"}], indirect=True)
def test_an_answer_to_somebody_else_acknowledges_nothing(load: Callable[..., Loaded], stranger: str) -> None:
    words = ("--lb", stranger, "--unverified", "--api-key", "API-THEIRS", "--users", "1", "--sizes", "1KiB")
    run = load(*words, "--uploads", "3")
    assert (run.code, run.document["numbers"]["failed"]) == (1, 3), run.out + run.err
    assert {(row["end"], row["status"]) for row in run.document["examples"]} == {("foreign-answer", 201)}
    assert "Acme.Web.1.2.3" in run.document["examples"][0]["error"]
    assert "201 foreign-answer after" in run.out


def test_what_needs_journals_is_refused_without_them(
    stranger: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mocknode.cli import main

    given = ["mocknode", "load", "--lb", stranger, "--unverified"]
    key = ["--api-key", "API-X"]
    for words, said in (
        ([], "--unverified needs the API key of a user"),
        ([*key, "--fail-if", "lost>0"], "--fail-if: 'lost>0' needs the ledger"),
        ([*key, "--schedule", "drain each"], "--schedule needs mock nodes"),
        ([*key, "--control", "http://127.0.0.1:1"], "--control needs mock nodes"),
        ([*key, "--shape", "storm"], "shape: got 'storm'"),
    ):
        monkeypatch.setattr("sys.argv", [*given, *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_a_configuration_without_https_is_not_loaded_over_http_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mocknode.cli import main

    config, run_dir = tmp_path / "my.cfg", tmp_path / "run"
    config.write_text("bind ${FRONT}")
    words = ["mocknode", "load", "--with", "haproxy", "--config", str(config), "--tls", "--run-dir", str(run_dir)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"--tls: --config {config} does not listen for HTTPS" in capsys.readouterr().err
    assert not run_dir.exists()


def test_nobody_at_a_strangers_address_is_the_environment(load: Callable[..., Loaded]) -> None:
    run = load("--lb", "http://127.0.0.1:9", "--unverified", "--api-key", "API-X")
    assert run.code == 3
    assert "nothing answers at http://127.0.0.1:9" in run.err


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
        (["--fail-if", "lost==0"], "'lost>0' and 'lost==0': one of them holds for every run"),
        (["--fail-if", "attempts>=0"], "'attempts>=0': one of them holds for every run"),
        (["--fail-if", "attempts==0", "--fail-if", "attempts!=0"], "one of them holds for every run"),
        (["--find-limit", "p99<1s and p99>2s"], "which no run could meet"),
        (["--find-limit", "lost>0"], "which no run could meet"),
        (["--sizes", "99999999999GiB"], "sizes: got '99999999999GiB'"),
        (["--space", "Spaces 1"], "--space: got 'Spaces 1'"),
        (["--run-dir", "/proc/none/x"], "--run-dir /proc/none/x"),
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
        (["--rate", "5/s", "--users", "0", "--actions", "2"], "--rate: got 0 --users"),
        (["--forms", "round"], "--forms: got 'round'"),
        (["--json", "/proc/none/x"], "--json /proc/none/x"),
        (["--shape", "wave"], "shape: got 'wave'"),
        (["--shape", "ramp:2m"], "--shape: got 'ramp:2m', allowed: times within the 60 s"),
        (["--shape", "storm", "--rate", "5/s"], "--shape storm does not go with --rate"),
        (["--shape", "storm", "--schedule", "drain each"], "--schedule has none"),
        (["--shape", "ramp", "--find-limit", "p99<1s"], "--shape does not go with --find-limit"),
        (["--abort-on-fail", "--find-limit", "p99<1s"], "--abort-on-fail does not go with --find-limit"),
        (["--users", "0"], "--users: got 0"),
        (["--web-ui", "0.0.0.0:8089"], "allowed: HOST:PORT with a loopback HOST"),
        (["--web-ui", "127.0.0.1:http"], "--web-ui: got '127.0.0.1:http'"),
        (["--api-key", "API-X"], "--api-key goes with --unverified"),
        (["--unverified"], "--unverified goes with --lb"),
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
