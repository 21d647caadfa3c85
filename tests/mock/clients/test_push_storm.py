"""Many clients at once while nodes come and go; the whole of it is `client_storm.py`."""

from types import SimpleNamespace

import pytest
from client_storm import Storm, storm
from client_wire import Told

pytestmark = [pytest.mark.balancer, pytest.mark.timeout(180)]


def test_a_storm_of_pushes_loses_and_doubles_nothing_while_nodes_drain_and_crash(npm_clients, runner, stage):
    steps = [("drain", "node-3"), ("crash", "node-2")]
    outcomes, _ = runner.run(storm(stage, "haproxy", clients=50, packages=200, size=64 * 1024, steps=steps))
    assert outcomes.total() >= 200
    assert outcomes["stored"] > outcomes.total() / 2


def test_only_an_outage_excuses_a_push_that_failed():
    failed = Told(ok=False, status=503, result="")
    blown = Storm(SimpleNamespace(), "haproxy", 1, 1, outages=[(10.0, 20.0)])
    blown.failed = [(5.0, 9.0, failed), (9.0, 11.0, failed), (12.0, 13.0, failed), (19.0, 30.0, failed)]
    assert len(blown.unexcused()) == 1
    blown.failed.append((20.1, 21.0, failed))
    assert len(blown.unexcused()) == 2
