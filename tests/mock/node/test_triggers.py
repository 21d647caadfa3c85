import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.node.triggers import Measure, TriggerError, parse_trigger


@pytest.mark.parametrize(
    ("text", "measure", "value"),
    [
        ("5s", Measure.TIME, 5.0),
        ("250ms", Measure.TIME, 0.25),
        ("3 pings", Measure.PINGS, 3),
        ("1 ping", Measure.PINGS, 1),
        ("30% of an upload", Measure.SHARE, 0.3),
        ("100%", Measure.SHARE, 1.0),
        ("64KiB", Measure.BYTES, 65536),
        ("0B", Measure.BYTES, 0),
    ],
)
def test_the_forms_are_read(text, measure, value):
    trigger = parse_trigger(text)
    assert (trigger.measure, trigger.value, trigger.text) == (measure, value, text)


@pytest.mark.parametrize("text", ["", "soon", "5 parsecs", "101%", "-1s", "three pings", "30% of a pie"])
def test_anything_else_is_refused_with_the_forms(text):
    with pytest.raises(TriggerError, match="30% of an upload") as caught:
        parse_trigger(text)
    assert caught.value.got == text


@given(share=st.integers(0, 100), length=st.integers(1, 10**12), received=st.integers(0, 10**12))
def test_a_share_comes_exactly_when_that_much_was_read(share, length, received):
    trigger = parse_trigger(f"{share}% of an upload")
    assert trigger.met(received=received, length=length) is (received >= share / 100 * length)


def test_a_share_of_an_undeclared_length_never_comes_within_the_body():
    assert not parse_trigger("30%").met(received=10**9, length=None)


@given(pings=st.integers(0, 100), elapsed=st.floats(0, 100))
def test_time_and_pings_do_not_mix(pings, elapsed):
    assert parse_trigger("3 pings").met(pings=pings, elapsed_s=elapsed) is (pings >= 3)
    assert parse_trigger("5s").met(pings=pings, elapsed_s=elapsed) is (elapsed >= 5)
    assert not parse_trigger("0B").met(pings=pings, elapsed_s=elapsed)
