"""Commands as people type them."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mocknode.cli import main
from tests.up_process import up


@dataclass(frozen=True)
class Typed:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def shell() -> Callable[..., Typed]:
    """Run a command in a process of its own."""

    def run(*words: str, env: dict[str, str] | None = None) -> Typed:
        command = [sys.executable, "-m", "mocknode", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
        assert "Traceback" not in done.stderr
        return Typed(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Typed]:
    """Run a command in this process, which saves the time of its imports."""

    def run(*words: str) -> Typed:
        monkeypatch.setattr(sys, "argv", ["mocknode", *words])
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        return Typed(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running cluster of two nodes, as `mocknode up --json` describes it."""
    with up(tmp_path_factory.mktemp("cluster"), "--nodes", "2") as document:
        yield document


@pytest.fixture
def verb(cluster: dict[str, Any], typed: Callable[..., Typed]) -> Callable[..., Typed]:
    """Run a verb on the cluster."""
    return lambda *words: typed(*words, "--control", cluster["control"])
