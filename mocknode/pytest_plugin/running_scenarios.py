"""Runs scenario scripts against the cluster and the balancer of a test run."""

import asyncio
from collections.abc import Mapping
from typing import Final

import pytest

from mocknode.pytest_plugin.cluster import MockCluster
from mocknode.pytest_plugin.front import Balancer
from mocknode.script.run_session import ScenarioOptions, run_scenario
from mocknode.script.script_report import ScenarioReport, screen

HELD: Final = "held"


class Scenarios:
    """What the fixture `scenario` is: call it with a scenario, and the test fails if that does not hold."""

    def __init__(self, balancer: Balancer, cluster: MockCluster) -> None:
        self._balancer, self._cluster = balancer, cluster

    def __call__(self, scenario: str, settings: Mapping[str, str] | None = None, *, seed: int = 1) -> ScenarioReport:
        """Run a scenario and return its report; the test fails if it did not hold.

        Args:
            scenario: A file, or the name of a scenario that is shipped.
            settings: Values of its parameters as a file has them, such as `{"away": "5s"}`.

        Raises:
            ScenarioError, OptionError: the scenario cannot be used.
            LaneError: the environment is not as it must be.
        """
        report = self.run(scenario, settings, seed=seed)
        if report["result"] != HELD:
            pytest.fail(screen(report), pytrace=False)
        return report

    def run(self, scenario: str, settings: Mapping[str, str] | None = None, *, seed: int = 1) -> ScenarioReport:
        """Run a scenario and return its report, whatever its result."""
        options = ScenarioOptions(
            scenario=scenario,
            settings=settings or {},
            seed=seed,
            lb=self._balancer.url,
            control=self._cluster.control_url,
            reproduce=f"mocknode scenario run {scenario} --lb {self._balancer.url} --control {self._cluster.control_url}",
        )
        return asyncio.run(run_scenario(options, print))
