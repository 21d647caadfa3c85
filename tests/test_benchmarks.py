"""Benchmarks must still run after a time in which nobody ran them; their figures are not tested."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.alternating import NOT_INSTALLED, NotInstalledError, Subject, alternate, median, ratio, reason, table
from mocknode.judge.balancers import KINDS

MEASURED = "upload,balancers,small,growth,memory,generator,ledger,tentacles"
KEPT = "Other mock servers on the same work"


# Nine scripts start about fifty processes.
@pytest.mark.balancer
@pytest.mark.burns
@pytest.mark.timeout(400)
def test_one_command_measures_everything_and_keeps_what_it_was_not_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "BENCHMARKS.md"
    file.write_text(f"# Benchmarks\n\n## {KEPT}\n\nas it was\n")
    command = [sys.executable, "loadtests/benchmarks.py", "--quick", "--only", MEASURED, "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=390)
    assert done.returncode == 0, done.stderr
    parts = re.split(r"^## (.+)\n", file.read_text(), flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert sections.pop(KEPT).strip() == "as it was"
    assert list(sections) == [
        "Machine and method", "A large upload to a node", "The same upload through a balancer", "Small requests",
        "Growth: nodes, and uploads at a time", "Memory", "The load generator", "The ledger", "Tentacles",
    ]  # fmt: skip
    for title, text in sections.items():
        assert "Not measured yet" not in text, title
        assert "failed: " not in text, text
        assert "--quick --only" in text, title
    for receiver in (
        "HTTP, Content-Length",
        "HTTPS, chunked",
        "kept on disk",
        "node's server, count",
        "granian, digest",
    ):
        assert re.search(rf"^\| {receiver} \| \d", sections["A large upload to a node"], re.MULTILINE), receiver
    for kind in KINDS:
        found = re.findall(rf"^\| {kind} [\d.]+ \| \d", sections["The same upload through a balancer"], re.MULTILINE)
        assert len(found) == 2, kind  # over HTTP and over HTTPS


def test_an_unknown_topic_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "BENCHMARKS.md"
    command = [sys.executable, "loadtests/benchmarks.py", "--only", "upload,weather", "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--only: weather got, allowed: upload, balancers" in done.stderr
    assert not file.exists()


def test_a_subject_that_fails_stops_nothing_and_its_row_says_why() -> None:
    took = []

    def turn(number: int) -> dict[str, float]:
        took.append(number)
        return {"GB/s": 2.0 * number, "MiB": 7.0}

    def broken(number: int) -> dict[str, float]:
        if number == 2:
            raise SystemExit("the catalogue has 1 | 2 packages")
        return {"GB/s": 9.0}

    good = Subject("good", turn)
    absent = Subject("absent", None, failure=reason(NotInstalledError("no `go` on PATH")))
    half = Subject("twice as slow", lambda number: {"GB/s": 1.0 * number, "MiB": 3.0})
    failing = Subject("failing", broken)
    alternate([good, failing, absent, half], 3)
    assert took == [0, 1, 2, 3]
    assert median(half, good) == 0.5
    assert ratio(half, good, "1 or more") == "- twice as slow / good: **0.50** (0.50 - 0.50; wanted: 1 or more)"
    assert ratio(failing, good) == "- failing / good: not measured, failed: the catalogue has 1 / 2 packages"
    assert table([good, failing, absent, half], "server", good).splitlines() == [
        "| server | ratio | GB/s, median | lowest - highest | MiB |",
        "| --- | --- | --- | --- | --- |",
        "| good | 1.00 | 4.00 | 2.00 - 6.00 | 7.00 |",
        "| failing | - | failed: the catalogue has 1 / 2 packages | - | - |",
        f"| absent | - | {NOT_INSTALLED}: no `go` on PATH | - | - |",
        "| twice as slow | 0.50 | 2.00 | 1.00 - 3.00 | 3.00 |",
    ]
