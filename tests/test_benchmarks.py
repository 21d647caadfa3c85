"""A benchmark that nobody runs for a while must still run: its figures are for people, that it works is for this."""

import subprocess
import sys


def test_the_upload_benchmark_measures_every_receiver() -> None:
    command = [sys.executable, "loadtests/upload_bench.py", "--size", "1MiB", "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "Traceback" not in done.stderr, done.stderr
    for receiver in ("node, multipart", "node, raw body", "uvicorn as installed", "granian as installed"):
        assert f"| {receiver} |" in done.stdout
