"""Steps with typed facts: the same on disk, and read again by name."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from mocknode.judge.record.history import History, from_lines, to_line
from mocknode.judge.record.steps import Recorded, StepFacts, first, read, to_step
from tests.judge.histories import step


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(StepFacts):
    what = "tried"
    node: str
    out_ns: int | None
    others: Sequence[str]


TRIED = Tried(node="node-1", out_ns=None, others=["node-2"])


def test_a_step_is_read_from_disk_as_it_was_written() -> None:
    line = to_line(to_step(7, "X", TRIED))
    assert line == (
        '{"type":"Step","t_ns":7,"check":"X","what":"tried","detail":{"node":"node-1","out_ns":null,"others":["node-2"]}}'
    )
    assert read(from_lines([line]), "X", Tried) == [Recorded(7, TRIED)]


def test_steps_of_another_kind_or_check_are_not_read() -> None:
    history = History(
        steps=[step("X", "set", 1), step("Y", "tried", 2), to_step(3, "X", TRIED), to_step(4, "X", TRIED)]
    )
    assert [found.t_ns for found in read(history, "X", Tried)] == [3, 4]
    assert first(history, "X", Tried) == Recorded(3, TRIED)
    assert first(history, "Z", Tried) is None


def test_a_fact_that_the_kind_does_not_know_is_left_out() -> None:
    history = History(steps=[step("X", "tried", 1, node="node-1", out_ns=None, others=["node-2"], newer=1)])
    assert read(history, "X", Tried) == [Recorded(1, TRIED)]


def test_a_missing_fact_is_named() -> None:
    with pytest.raises(KeyError, match="out_ns"):
        read(History(steps=[step("X", "tried", 1, node="node-1", others=[])]), "X", Tried)
