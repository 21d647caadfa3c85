"""Many clients at once while nodes come and go; the whole of it is `client_storm.py`."""

import pytest
from client_storm import storm

pytestmark = [pytest.mark.balancer, pytest.mark.timeout(180)]


def test_a_storm_of_pushes_loses_and_doubles_nothing_while_nodes_drain_and_crash(npm_clients, runner, stage):
    steps = [("drain", "node-3"), ("crash", "node-2")]
    outcomes, _ = runner.run(storm(stage, "haproxy", clients=50, packages=200, size=64 * 1024, steps=steps))
    assert outcomes["stored"] >= 200 - outcomes["refused"] - outcomes["stored, told an error"]
    assert outcomes["stored"] > outcomes["refused"]
