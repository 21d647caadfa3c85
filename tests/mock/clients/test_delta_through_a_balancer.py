"""A delta goes through a real balancer, each request to whichever node it likes."""

import asyncio

import pytest
from client_delta import compare

pytestmark = [pytest.mark.balancer, pytest.mark.timeout(120)]


def test_a_changed_package_costs_what_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    outcome = asyncio.run(compare("haproxy", 4_000_000, 0.025))
    assert outcome.delta_bytes < 0.04 * outcome.whole_bytes
    assert len(outcome.sha1) == 40
