"""What locust is told."""

import dataclasses
from pathlib import Path

import pytest

from scenarios.load.generator import Workload
from scenarios.traffic import FrontDoor

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
