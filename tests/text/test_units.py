"""Durations and sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.text.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1.5h", 5400), (" 2 s ", 2), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 parsecs", "5S", "1e3s", "1..2s", "５s s"])
def test_what_is_no_duration_names_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration.*ms, s, m, h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("17", 17), ("17B", 17), ("64KiB", 65536), ("1GiB", 1 << 30), ("10MB", 10_000_000), ("1.5 KiB", 1536)],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1 kb", "1KIB", "1 GiBs", "64 KiB/s"])
def test_what_is_no_size_names_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size.*KiB"):
        parse_size(text)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h"]))
def test_every_whole_duration_is_read(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") == parse_duration(f"{number} {unit}") >= 0


@given(st.integers(0, 1 << 50))
def test_bare_numbers_are_bytes(count: int) -> None:
    assert parse_size(str(count)) == count


@given(st.integers(0, 1 << 50))
def test_formatted_sizes_are_read_back_within_rounding(count: int) -> None:
    assert parse_size(format_size(count)) == pytest.approx(count, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250 ms"), (4.12, "4.1 s"), (71.2, "1 m 11 s"), (60, "1 m 00 s"), (3600, "60 m 00 s")]
)
def test_formatted_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 10, "1.0 MiB"),
        (5 << 30, "5 GiB"),
        (3 << 40, "3.0 TiB"),
    ],
)
def test_formatted_sizes(count: int, text: str) -> None:
    assert format_size(count) == text
