"""The reconnect policy against the table that HALIBUT's sources give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.tentacle.backoff import LONGEST_S, SHORTEST_S, Backoff


def test_an_established_poll_that_drops_is_back_after_five_seconds_however_long_it_stood() -> None:
    backoff = Backoff(1.0)
    for now_s in (0.0, 1e6):
        backoff.trying(now_s)
        backoff.identified()
        assert backoff.pause_s(now_s + 86_400) == SHORTEST_S


def refused_pauses(spread: float, rounds: int) -> list[float]:
    """A drop, then refusals that take no time."""
    backoff, now_s, pauses = Backoff(spread), 0.0, []
    backoff.trying(now_s)
    backoff.identified()
    pauses.append(backoff.pause_s(now_s))
    for _ in range(rounds):
        now_s += pauses[-1]
        backoff.trying(now_s)
        pauses.append(backoff.pause_s(now_s))
    return pauses


def test_a_node_that_refuses_is_asked_ever_more_seldom() -> None:
    assert refused_pauses(0.0, 6) == [5, 5, 5, 10, 20, 40, 80]
    assert refused_pauses(0.5, 5)[:4] == [5, 5, 7.5, 18.75]


@given(st.floats(0, 1), st.integers(0, 30))
def test_it_stays_between_five_seconds_and_two_minutes_and_never_falls(spread: float, rounds: int) -> None:
    pauses = refused_pauses(spread, rounds)
    assert all(SHORTEST_S <= pause <= LONGEST_S for pause in pauses)
    assert pauses == sorted(pauses)
    if rounds >= 8:
        assert pauses[-1] == LONGEST_S


@pytest.mark.parametrize("spread", [0.0, 0.99])
def test_the_clock_starts_anew_once_a_server_identified_itself(spread: float) -> None:
    backoff = Backoff(spread)
    backoff.trying(0.0)
    assert backoff.pause_s(1000.0) == LONGEST_S
    backoff.trying(1120.0)
    backoff.identified()
    assert backoff.pause_s(1120.0) == SHORTEST_S
    backoff.trying(1125.0)
    assert backoff.pause_s(1125.0) == SHORTEST_S
