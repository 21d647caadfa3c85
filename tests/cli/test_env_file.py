"""The file of `up --env`: there, whole and private while the cluster is ready; gone after it."""

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mocknode.cli.env_file import env_file
from mocknode.cli.errors import EnvironmentFailureError

DOCUMENT = {"control": "http://127.0.0.1:1", "api_key": "API-A", "nodes": [{"http": "http://127.0.0.1:2"}]}


def test_it_holds_what_clients_read_while_the_cluster_runs(tmp_path: Path) -> None:
    path = tmp_path / "env"
    command = [sys.executable, "-m", "mocknode", "up", "--nodes", "1", "--http-port", "0", "--control-port", "0",
               "--run-dir", str(tmp_path / "run"), "--identity-dir", str(tmp_path / "id"), "--with-parent",
               "--env", str(path), "--json"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            document = json.loads(process.stdout.readline())
            read = dict(line.split("=", 1) for line in path.read_text().splitlines())
            mode = stat.S_IMODE(path.stat().st_mode)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    url, key = document["nodes"][0]["http"], document["api_key"]
    assert read == {
        "MOCKNODE_CONTROL": document["control"],
        "OCTOPUS_URL": url,
        "OCTOPUS_SERVER_URL": url,
        "OCTOPUS_CLI_SERVER": url,
        "OCTOPUS_API_KEY": key,
        "OCTOPUS_CLI_API_KEY": key,
    }
    assert mode == 0o600
    assert not path.exists()


def test_it_goes_also_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "env"
    seen: list[bool] = []

    def fail() -> None:
        with env_file(path, DOCUMENT):
            seen.append(path.exists())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [True]
    assert list(tmp_path.iterdir()) == []


def test_another_clusters_file_is_left_exclusive(tmp_path: Path) -> None:
    path = tmp_path / "env"
    with env_file(path, DOCUMENT):
        path.write_text("theirs")
    assert path.read_text() == "theirs"


def test_where_it_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "none" / "env"
    with pytest.raises(EnvironmentFailureError, match="none/env: No such file"), env_file(path, DOCUMENT):
        pass
