"""Balancers that probe every half minute: what the checks wait for, and which nodes they disturb together."""

from dataclasses import replace

import pytest

from mocknode.judge.catalogue import hc_02, hc_06
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record.history import History
from mocknode.judge.verdict.calibration import longest_reaction_s
from tests.judge.catalogue.test_causes import gets, join
from tests.judge.histories import NODES, PROBER, SECOND, SEEING, case, probe, step

S = SECOND
# An ALB as AWS creates it: a probe every 30 s, out after 2, back after 5.
SLOW = replace(SEEING, probers=(replace(PROBER, interval_s=30.0),), out_after_s=45.0, in_after_s=140.0)


def test_before_the_first_drain_ten_probes_are_allowed_either_way() -> None:
    assert longest_reaction_s(30.0) == 335.0
    assert longest_reaction_s(1.0) == 16.0


def test_a_return_that_was_not_seen_gets_the_longest_reaction_from_then_on() -> None:
    assert replace(SLOW, in_after_s=None).in_budget_s == longest_reaction_s(30.0)
    assert SLOW.in_budget_s == 170.5


def bursts(*waited_s: float) -> History:
    """Idle bursts, 1000 s apart; in the first one the drained node still serves."""
    sent, steps = [], []
    for n, each in enumerate(waited_s):
        at = (n + 1) * 1000 * S
        steps += [
            step("HC-06", "drained", at - 100 * S, node="node-2", idle_s=20.0 + n),
            step("HC-06", "burst-done", at + S, node="node-2", since_ns=at, waited_s=each),
        ]
        served = ["node-1", "node-2", "node-3"] if n == 0 else ["node-1", "node-3"]
        sent.append(gets("HC-06", "idle", served * 30, at))
    return join(*sent, steps=tuple(steps))


def test_an_idle_burst_before_the_balancer_could_react_is_sent_again() -> None:
    assert hc_06.too_early(bursts(15.0), SLOW)
    assert not hc_06.too_early(bursts(76.0), SLOW)
    assert not hc_06.too_early(bursts(15.0), SEEING)
    assert not hc_06.too_early(bursts(15.0), replace(SLOW, out_after_s=None)), "a balancer that never reacts"


def test_the_burst_that_was_sent_again_decides() -> None:
    (early,) = hc_06.judge(case(bursts(15.0), SLOW))
    assert (early.outcome.value, early.summary) == ("unknown", "the wait was shorter than this balancer's reaction")
    (idle,) = hc_06.judge(case(bursts(15.0, 76.0), SLOW))
    assert (idle.outcome.value, idle.evidence["sent"], idle.evidence["idle_s"]) == ("pass", 60, 21.0)


def one_left(reached: list[str]) -> History:
    done = step("drain-walk", "one-left-done", 10 * S, node="node-3", since_ns=0)
    return join(gets("traffic", "drain-walk", reached), steps=(done,))


@pytest.mark.parametrize(
    ("history", "calibration", "nodes", "expected"),
    [
        (one_left(["node-3"] * 60), SLOW, NODES, ("node-2", "node-1")),
        (one_left(["node-3"] * 60), SEEING, NODES, ("node-2",)),
        (one_left(["node-3", "node-1"] * 30), SLOW, NODES, ("node-2",)),
        (History(), SLOW, NODES, ("node-2",)),
        (one_left(["node-3"] * 60), SLOW, ("node-1", "node-2"), ("node-2",)),
    ],
    ids=["slow", "quick", "panics", "not looked at", "two nodes"],
)
def test_two_nodes_are_disturbed_together_only_where_that_is_needed_and_known_to_be_safe(
    history: History, calibration: object, nodes: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert drain_sequence.disturbed_together(nodes, history, calibration) == expected  # type: ignore[arg-type]


def statuses(*, returned: tuple[str, ...]) -> History:
    """Both nodes are out; 404 is tried on node-1 and 503 on node-2, and neither lets a request in."""
    steps = []
    for node, status in (("node-1", "404"), ("node-2", "503")):
        in_ns = 210 * S if node in returned else None
        steps += [
            step("HC-02", "418", S, node=node, out_ns=S // 2),
            step("HC-02", "tried", 180 * S, node=node, status=status, since_ns=9 * S, watched_s=171.0),
            step("HC-02", "control-200", 220 * S, node=node, in_ns=in_ns, resumed_ns=180 * S),
        ]
    probes = [probe(node, 11 * S, status=500) for node in ("node-1", "node-2")]
    return join(History(probes=probes), gets("traffic", "HC-02", ["node-3"] * 60, 10 * S), steps=tuple(steps))


def test_each_of_two_nodes_has_its_own_control() -> None:
    found = {v.name: v.outcome.value for v in hc_02.judge(case(statuses(returned=("node-1", "node-2")), SLOW))}
    assert found == {"418": "pass", "404": "pass", "503": "pass"}
    found = {v.name: v.outcome.value for v in hc_02.judge(case(statuses(returned=("node-2",)), SLOW))}
    assert found == {"418": "pass", "404": "unknown", "503": "pass"}
