"""Figures computed from numbers: percentiles, histograms, arrivals, schedules, conditions, the audit."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.load.conditions import DURATIONS, METRICS, contradictions, parse_condition
from mocknode.load.figures import bucket, histogram, percentile
from mocknode.load.health import Health
from mocknode.load.limit import AT_ONCE, PRECISION, RATE, Bisection, Scale
from mocknode.load.schedule import first_outage, parse_schedule
from mocknode.load.users.arrivals import Arrivals
from mocknode.load.users.sizes import parse_sizes

seconds = st.floats(1e-4, 1e4)
NODES = ("node-1", "node-2", "node-3")
SAMPLE = {
    "pid": 7,
    "connects": 10,
    "sent": 10,
    "fds": 9,
    "fd_limit": 100,
    "errors": 0,
    "missed": 0,
    "rss": 1,
    "cpu": 0.3,
    "waited": 0.0,
    "late": 0.1,
}


@given(st.lists(seconds, min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_a_value_that_covers_its_share(values: list[float], q: float) -> None:
    values.sort()
    found = percentile(values, q)
    assert found in values
    assert sum(v <= found for v in values) >= q / 100 * len(values) - 1e-9
    assert sum(v < found for v in values) < q / 100 * len(values) + 1e-9


def test_the_last_permille_of_a_thousand_values_is_one_value() -> None:
    assert percentile([float(n) for n in range(1, 1001)], 99.9) == 999


@pytest.mark.parametrize("texts", [["p99>2s", "p99<2s"], ["lost>3"], ["error_rate>100%"], ["drift>2", "drift<0.5"]])
def test_conditions_that_leave_a_run_to_pass_do_not_contradict(texts: list[str]) -> None:
    assert contradictions([parse_condition(text) for text in texts]) == []


@given(seconds)
def test_a_bucket_keeps_three_digits(value: float) -> None:
    assert math.isclose(bucket(value), value, rel_tol=0.005 + 1e-9)
    assert bucket(14.5) == 14.5  # what two digits would call 14 or 15


@given(st.lists(seconds), st.lists(seconds))
def test_histograms_of_two_workers_add_up(one: list[float], other: list[float]) -> None:
    assert Counter(histogram(one)) + Counter(histogram(other)) == Counter(histogram([*one, *other]))


@settings(deadline=None)  # How fast a shared machine is, is not what this is about.
@given(rate=st.floats(0.5, 500), seed=st.integers(), until_s=st.integers(1, 30))
def test_every_arrival_is_taken_or_counted_as_missed(rate: float, seed: int, until_s: int) -> None:
    taken, missing = (Arrivals(rate, random.Random(seed)) for _ in range(2))
    end_ns = until_s * 10**9
    due = []
    while not due or due[-1] <= end_ns:
        due.append(taken.take(0))
    assert due == sorted(due)
    missing.take(0)
    assert missing.overdue(end_ns) == len(due) - 2
    assert missing.overdue(end_ns) == 0


@given(seed=st.integers())
def test_sizes_lie_in_their_ranges(seed: int) -> None:
    size = parse_sizes("64KiB..1MiB:3,1GiB").draw(random.Random(seed))
    assert size == 1 << 30 or 64 << 10 <= size <= 1 << 20


def test_all_go_at_once_and_the_first_outage_is_that_of_all() -> None:
    events = parse_schedule(
        "drain node-1 at 1s for 2s; crash all at 10s for 5s; refuse node-2 at 30s for 1s", NODES, 60
    )
    assert [(e.verb, e.node, e.at_s, e.for_s) for e in events[1:4]] == [("crash", node, 10, 5) for node in NODES]
    assert first_outage(events) == (10, 15)
    assert first_outage(events[:1]) is None
    with pytest.raises(ValueError, match="node-3 overlap"):
        parse_schedule("crash all at 10s for 5s; drain node-3 at 12s for 1s", NODES, 60)


def test_each_gets_an_equal_part_with_health_before_and_after() -> None:
    events = parse_schedule("drain each", NODES, 60)
    assert [(e.node, e.at_s, e.for_s) for e in events] == [("node-1", 5, 10), ("node-2", 25, 10), ("node-3", 45, 10)]
    assert [e.outage for e in parse_schedule("drain node-1; crash node-2 at 1s for 2s", NODES, 60)] == [True, False]


@pytest.mark.parametrize("metric", METRICS)
def test_a_condition_on_what_was_not_measured_is_undecided(metric: str) -> None:
    bound = "1s" if metric in DURATIONS else "1"
    condition = parse_condition(f"{metric}>{bound}")
    assert condition.holds(dict.fromkeys(METRICS)) is None
    assert condition.holds(dict.fromkeys(METRICS, 2.0)) is True
    assert condition.holds(dict.fromkeys(METRICS, 1.0)) is False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"cpu": 0.95}, "use --workers"),
        ({"cpu": 0.45, "waited": 0.5}, "this machine is full"),
        ({"late": 1.2}, "woke up 1.20 s late"),
        ({"connects": 11}, "repeats requests"),
        ({"fds": 95}, "file descriptors"),
        ({"errors": 1}, "errors of its own"),
        ({"missed": 1}, "nobody free"),
    ],
)
def test_what_the_audit_calls_a_problem(change: dict[str, float], said: str | None) -> None:
    health = Health()
    health.take(SAMPLE | change)
    assert len(health.problems()) == (said is not None)
    assert said is None or said in health.problems()[0]


@pytest.mark.parametrize(
    ("busy", "of", "fine"), [(1, 3, False), (1, 4, True), (2, 19, False), (2, 20, True), (3, 20, False)]
)
def test_one_moment_is_no_starvation(busy: int, of: int, fine: bool) -> None:
    health = Health()
    for number in range(of):
        health.take(SAMPLE | {"cpu": 0.95 if number < busy else 0.2})
    assert (health.problems() == []) == fine


@given(limit=st.floats(0.01, 20_000), scale=st.sampled_from([RATE, AT_ONCE]))
def test_a_search_ends_close_to_the_limit(limit: float, scale: Scale) -> None:
    search = Bisection(scale)
    tried: list[float] = []
    while (value := search.next()) is not None:
        search.tell(value, held=value <= limit)
        tried.append(value)
    assert len(tried) == len(set(tried)) <= 25
    assert scale.floor <= min(tried) <= max(tried) <= scale.ceiling
    if search.held and search.failed:
        assert search.held <= limit < search.failed
        assert search.failed <= search.held * PRECISION or (scale.whole and search.failed - search.held == 1)
    else:
        assert limit < scale.floor or limit > scale.ceiling / 2
    assert not scale.whole or all(value == int(value) for value in tried)


def test_no_sample_is_no_health() -> None:
    assert Health().problems() == ["the load generator wrote no samples of its own health"]
