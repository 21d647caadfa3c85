"""One cluster of one node, whose two APIs are fuzzed by their own documents."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `mocknode up --json` printed."""
    directory = tmp_path_factory.mktemp("fuzzed")
    command = [sys.executable, "-m", "mocknode", "up", "--json", "--with-parent", "--nodes", "1", "--http-port", "0"]
    command += ["--control-port", "0", "--keep-packages", "--run-dir", str(directory / "run")]
    command += ["--identity-dir", str(directory / "identity")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert "Traceback" not in (directory / "run" / "log" / "node-1.log").read_text()


@pytest.fixture(autouse=True)
def as_new(cluster: dict[str, Any]) -> Iterator[None]:
    """Every operation is fuzzed on a node that is online and not in maintenance."""
    httpx.post(f"{cluster['control']}/reset", timeout=30).raise_for_status()
    yield
    httpx.post(f"{cluster['control']}/reset", timeout=30).raise_for_status()
