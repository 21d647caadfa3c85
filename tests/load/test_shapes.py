"""When pushers are at work, and which of them sends what: pure."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.load.users.arrivals import Arrivals
from mocknode.load.users.plan import Plan
from mocknode.load.users.shapes import BASE, NAMES, parse_shape
from mocknode.load.users.sizes import parse_sizes

shapes = st.sampled_from(["steady", "ramp:20s", "spike:20s..40s", "storm:20s..40s"]).map(parse_shape)
SECOND = 10**9


@given(shape=shapes, at_s=st.floats(0, 70), level=st.floats(0, 0.99))
def test_a_pusher_begins_as_soon_as_the_share_exceeds_its_level(shape, at_s, level) -> None:
    opens = shape.opens(at_s, level)
    later = [at_s + step / 10 for step in range(700)]
    if opens is None:
        assert all(shape.share(s) <= level for s in later)
        return
    assert opens >= at_s
    assert shape.share(opens + 1e-6) > level - 1e-9
    assert all(shape.share(s) <= level + 1e-9 for s in later if s < opens)


def test_each_shape_has_its_points() -> None:
    shares = {name: parse_shape(name, 60.0).share for name in NAMES if name != "storm"}
    assert [shares["ramp"](s) for s in (0, 15, 30, 59)] == [0, 0.5, 1, 1]
    assert [shares["spike"](s) for s in (0, 19.9, 20, 39.9, 40, 59)] == [BASE, BASE, 1, 1, BASE, BASE]
    assert {shares[name](s) for name in ("steady", "soak") for s in (0, 59)} == {1}
    storm = parse_shape("storm:10s..1m")
    assert [storm.share(s) for s in (0, 9.9, 10, 59.9, 60, 99)] == [1, 1, 0, 0, 1, 1]
    assert storm.hold_until_s == 60


@pytest.mark.parametrize(
    "text", ["", "wave", "ramp", "ramp:", "ramp:fast", "ramp:1s..2s", "spike:3s", "spike:3s..2s", "storm", "steady:1s"]
)
def test_a_shape_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="shape: got") as refused:
        parse_shape(text)
    assert repr(text) in str(refused.value)


def due(arrivals: Arrivals, until_s: float) -> list[int]:
    return list(itertools.takewhile(lambda ns: ns <= until_s * SECOND, (arrivals.take(0) for _ in itertools.count())))


@given(seed=st.integers(0, 1000), of=st.integers(2, 5))
def test_the_arrivals_of_all_workers_are_those_of_one(seed: int, of: int) -> None:
    def stream(**part: int) -> list[int]:
        return due(Arrivals(20, random.Random(seed), parse_shape("spike:2s..4s").share, **part), 6)

    assert sorted(itertools.chain.from_iterable(stream(index=i, of=of) for i in range(of))) == stream()


def test_arrivals_a_second_follow_the_shape() -> None:
    arrivals = Arrivals(1000, random.Random(1), parse_shape("spike:2s..4s").share)
    a_second = Counter(at // SECOND for at in due(arrivals, 6))
    assert [round(a_second[second] / 1000, 1) for second in range(6)] == [0.1, 0.1, 1.0, 1.0, 0.1, 0.1]


@given(seed=st.integers(), of=st.integers(2, 7), limit=st.integers(1, 40))
def test_the_plan_of_all_workers_is_that_of_one(seed: int, of: int, limit: int) -> None:
    def taken(**part: int) -> list[tuple[int, str]]:
        plan = Plan(parse_sizes("1KiB..1MiB"), ["chunked", "length"], seed=seed, limit=limit, **part)
        return list(iter(plan.take, None))

    whole = taken()
    assert len(whole) == limit
    assert Counter(itertools.chain.from_iterable(taken(index=i, of=of) for i in range(of))) == Counter(whole)
