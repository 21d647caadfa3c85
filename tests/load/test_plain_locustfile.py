"""`loadtests/locustfile.py`, the file that people copy, run with locust itself as its docstring says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
BUSY_START = """
import time

until = time.monotonic() + 2
while time.monotonic() < until:
    pass
"""


def test_it_uploads_for_the_whole_time_and_runs_the_user_that_it_adds(cluster: dict[str, Any], tmp_path: Path) -> None:
    copied = tmp_path / "my_locustfile.py"
    copied.write_text((REPOSITORY / "loadtests" / "locustfile.py").read_text() + BUSY_START)
    words = ["-f", str(copied), "CiPusher", "ServerStatusReader", "--host", cluster["nodes"][0]["http"]]
    words += ["--octopus-key", cluster["api_key"], "--sizes", "64KiB..128KiB", "--headless", "--users", "2"]
    words += ["--spawn-rate", "2", "--run-time", "3s", "--json", "--skip-log"]
    done = subprocess.run(
        [sys.executable, "-m", "locust", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert {name for name, row in rows.items() if row["num_requests"]} == {"push", "server-status"}
    assert [row["num_failures"] for row in rows.values()] == [0, 0]
    # However long the start took.
    assert rows["push"]["last_request_timestamp"] - rows["push"]["start_time"] > 2
