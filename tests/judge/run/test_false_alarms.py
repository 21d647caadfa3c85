"""The false-alarm rates that verdicts claim, computed a second time with exact fractions."""

import bisect
import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.catalogue import pr_05
from mocknode.judge.lab.lab import REACTION_S_MAX, TRAFFIC_PER_S
from mocknode.judge.record.history import History
from mocknode.judge.verdict.calibration import REQUESTS_WATCHED_MAX, requests_to_confirm_out
from mocknode.judge.verdict.case import tail_probability
from mocknode.judge.verdict.outcome import Variant
from tests.judge.histories import attempt, case

ONE_IN_A_MILLION = Fraction(1, 1_000_000)


def exact_tail(trials: int, share: Fraction, at_least: int) -> Fraction:
    """P(X >= at_least) for X binomial, without a rounding."""
    return sum(
        (math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(at_least, trials + 1)),
        Fraction(0),
    )


@given(trials=st.integers(1, 80), parts=st.integers(2, 8), data=st.data())
def test_the_tail_is_the_binomial_one(trials: int, parts: int, data: st.DataObject) -> None:
    at_least = data.draw(st.integers(0, trials + 1))
    found = tail_probability(trials, 1 / parts, at_least)
    assert found == pytest.approx(float(exact_tail(trials, Fraction(1, parts), at_least)), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("trials", range(1, 7))
def test_the_tail_is_what_counting_every_outcome_gives(trials: int) -> None:
    counts = [sum(node == 0 for node in outcome) for outcome in itertools.product(range(3), repeat=trials)]
    for at_least in range(trials + 1):
        share = sum(count >= at_least for count in counts) / len(counts)
        assert tail_probability(trials, 1 / 3, at_least) == pytest.approx(share)


def fresh(counts: tuple[int, ...]) -> Variant:
    """PR-05's first claim, over nodes that got so many requests of one burst."""
    nodes = tuple(f"node-{n + 1}" for n in range(len(counts)))
    served = [node for node, count in zip(nodes, counts, strict=True) for _ in range(count)]
    attempts = [
        attempt(f"a{n}", check="PR-05", variant="fresh", method="GET", sha1=None, node=node, status=200, started_ns=n)
        for n, node in enumerate(served)
    ]
    return pr_05.judge(case(History(attempts=attempts), nodes=nodes))[0]


def shares(nodes: int, most: int) -> tuple[int, ...]:
    """600 requests, `most` of them at the first node, the rest spread evenly."""
    rest, odd = divmod(pr_05.REQUESTS - most, nodes - 1)
    return (most, *(rest + (n < odd) for n in range(nodes - 1)))


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 8])
def test_no_number_of_nodes_makes_a_fair_balancer_fail_more_often_than_claimed(nodes: int) -> None:
    fails = bisect.bisect_left(
        range(600), True, pr_05.REQUESTS // nodes, key=lambda n: fresh(shares(nodes, n)).cause is not None
    )
    alarm = nodes * exact_tail(pr_05.REQUESTS, Fraction(1, nodes), fails)
    assert alarm < ONE_IN_A_MILLION
    assert fails > pr_05.OVERLOAD * pr_05.REQUESTS / nodes
    verdict = fresh(shares(nodes, fails))
    assert verdict.cause == "node-overloaded"
    assert float(verdict.evidence["false_alarm"]) == pytest.approx(float(alarm), rel=0.06)
    assert (verdict.evidence["requests"], verdict.evidence["tries"]) == (pr_05.REQUESTS, 1)


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 8])
def test_a_node_that_a_fair_balancer_leaves_out_by_chance_is_not_called_starved(nodes: int) -> None:
    assert nodes * (1 - Fraction(1, nodes)) ** int(pr_05.REQUESTS * 0.9) < ONE_IN_A_MILLION
    assert fresh((0, *shares(nodes, 0)[1:])).cause == "node-starved"


def chance_of_a_row(nodes: int, row: int, looks: int) -> float:
    """Exactly: a fair random balancer sends `row` requests in a row past one node, somewhere in `looks` requests."""
    past = 1 - 1 / nodes
    lengths = [1.0] + [0.0] * (row - 1)
    happened = 0.0
    for _ in range(looks):
        happened += lengths[-1] * past
        lengths = [sum(lengths) * (1 - past), *(share * past for share in lengths[:-1])]
    return happened


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 8])
def test_a_node_is_not_called_out_by_chance_however_often_one_looks(nodes: int) -> None:
    row = requests_to_confirm_out(nodes)
    assert chance_of_a_row(nodes, row, REQUESTS_WATCHED_MAX) < ONE_IN_A_MILLION
    assert chance_of_a_row(nodes, row - 4, REQUESTS_WATCHED_MAX) > ONE_IN_A_MILLION


def test_36_in_a_row_are_not_enough() -> None:
    """What one look over three nodes needs is far too little for a look at every request."""
    assert chance_of_a_row(3, 36, REQUESTS_WATCHED_MAX) > 100 * ONE_IN_A_MILLION


def test_the_looks_cover_the_longest_wait() -> None:
    assert REQUESTS_WATCHED_MAX >= REACTION_S_MAX * TRAFFIC_PER_S
