"""The condition `share`, on evidence of a few requests."""

import pytest

from mocknode.script.conditions.node_share import look
from mocknode.script.evidence import Evidence
from mocknode.script.making import condition


def evidence(*arrivals: tuple[int, str]) -> Evidence:
    found = Evidence(["node-1", "node-2"], ["builds"])
    found.now_ns = 20_000_000_000
    found.arrivals.extend((at_s * 1_000_000_000, node) for at_s, node in arrivals)
    return found


@pytest.mark.parametrize(
    ("limits", "holds"),
    [
        ({"at_least": 0.25}, True),
        ({"at_least": 0.26}, False),
        ({"at_most": 0.25}, True),
        ({"at_most": 0.24}, False),
        ({"at_least": 0.1, "at_most": 0.5}, True),
    ],
)
def test_the_part_of_the_last_seconds_counts(limits: dict[str, float], holds: bool) -> None:
    seen = evidence((1, "node-1"), (2, "node-1"), (15, "node-1"), (16, "node-2"), (17, "node-2"), (18, "node-2"))
    found = look(condition("share", node="node-1", **limits).args, seen)
    assert (found.holds, found.saw) == (holds, "node-1 got 1 of the 4 requests in the last 10 s")


def test_without_requests_nothing_is_known() -> None:
    assert look(condition("share", node="node-1", at_most=0.5).args, evidence()).holds is None
