import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mocknode.load.print_schema import schema
from mocknode.load.schema import SCHEMA
from tests.up_process import up

LOAD_SCHEMA = schema()


@dataclass(frozen=True)
class Loaded:
    """What `mocknode load` printed, how it ended, and its report."""

    code: int
    out: str
    err: str
    document: dict[str, Any]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start `mocknode load` with its record in `tmp_path/run` and its report in `tmp_path/report.json`.

    At home is a configuration of locust's by which no upload could end; a run has nothing to do with it.
    """
    (tmp_path / ".locust.conf").write_text("push-timeout = 0.001\n")
    home = {**os.environ, "HOME": str(tmp_path)}
    with contextlib.ExitStack() as stack:

        def start(*words: str) -> "subprocess.Popen[str]":
            command = [sys.executable, "-m", "mocknode", "load", "--run-dir", str(tmp_path / "run"), *words]
            command += ["--json", str(tmp_path / "report.json")]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=home)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., Loaded]:
    """Wait for a `mocknode load`."""

    def finish(process: "subprocess.Popen[str]") -> Loaded:
        out, err = process.communicate(timeout=90)
        assert "Traceback" not in err, err
        document = json.loads((tmp_path / "report.json").read_text() or "{}")
        if document.get("schema") == SCHEMA:
            jsonschema.validate(document, LOAD_SCHEMA)
        return Loaded(process.returncode, out, err, document)

    return finish


@pytest.fixture
def load(started: Callable[..., Any], finished: Callable[..., Loaded]) -> Callable[..., Loaded]:
    """Run `mocknode load` to its end."""
    return lambda *words: finished(started(*words))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running cluster of one node, as `mocknode up --json` describes it."""
    with up(tmp_path_factory.mktemp("cluster"), "--nodes", "1") as document:
        yield document
