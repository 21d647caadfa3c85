"""What locust is told."""

import contextlib
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mocknode.judge.traffic import FrontDoor
from mocknode.load.generator import Workload, locustfile
from mocknode.mock.cluster import ports

WORK = Workload(users=1, duration_s=1.0, sizes="64KiB", forms="length", link=0.0, seed=1)


@pytest.mark.parametrize(
    ("duration_s", "told"), [(0.4, "1s"), (0.5, "1s"), (1.0, "1s"), (1.2, "2s"), (3600.0, "3600s")]
)
def test_no_duration_becomes_a_run_without_an_end(duration_s: float, told: str) -> None:
    """locust takes whole seconds, and `0s` for no limit."""
    assert dataclasses.replace(WORK, duration_s=duration_s).run_time == told


def test_a_file_is_the_one_that_its_name_means_where_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = WORK.arguments(FrontDoor(scheme="https", host="127.0.0.1", port=443, ca="my/ca.pem"), None)
    assert told[told.index("--ca") + 1] == str(tmp_path / "my" / "ca.pem")


def answer_of(ask: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if found := ask():
                return found
        time.sleep(0.1)
    raise AssertionError("nothing came of it")


def test_plain_locust_loads_the_host_that_is_typed_into_its_page(cluster: dict[str, Any], tmp_path: Path) -> None:
    (port,) = ports.free("test", "127.0.0.1", ["web UI"])
    page = f"http://127.0.0.1:{port}"
    words = ["-f", str(locustfile()), "CiPusher", "--sizes", "64KiB", "--octopus-key", cluster["api_key"]]
    with (tmp_path / "log").open("w") as log:
        locust = subprocess.Popen(
            [sys.executable, "-m", "locust", *words, "--web-host", "127.0.0.1", "--web-port", str(port)],
            cwd=tmp_path, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        typed = {"user_count": "1", "spawn_rate": "1", "host": cluster["nodes"][0]["http"]}
        assert answer_of(lambda: httpx.post(f"{page}/swarm", data=typed, trust_env=False).json())["success"]
        seen = answer_of(
            lambda: [
                s for s in httpx.get(f"{page}/stats/requests", trust_env=False).json()["stats"] if s["name"] == "push"
            ]
        )
        assert (seen[0]["num_requests"] > 0, seen[0]["num_failures"]) == (True, 0)
    finally:
        locust.kill()
        locust.wait()
