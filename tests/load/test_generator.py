"""What locust is told."""

import pytest

from scenarios.load.generator import Workload


@pytest.mark.parametrize(
    ("duration_s", "told"), [(0.4, "1s"), (0.5, "1s"), (1.0, "1s"), (1.2, "2s"), (3600.0, "3600s")]
)
def test_no_duration_becomes_a_run_without_an_end(duration_s: float, told: str) -> None:
    """locust takes whole seconds, and `0s` for no limit."""
    workload = Workload(users=1, duration_s=duration_s, sizes="64KiB", forms="length", link=0.0, seed=1)
    assert workload.run_time == told
