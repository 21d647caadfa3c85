"""The scenarios that are shipped: each has its golden plan, which also holds all machines and versions of Python to the same bytes."""

from pathlib import Path

import pytest

from mocknode import guide
from mocknode.script import drawing, layout, sources
from mocknode.script.planning import plan
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS

PLANS = Path(__file__).with_name("plans")


@pytest.mark.parametrize("name", sources.names())
def test_the_plan_is_the_golden_one(name: str) -> None:
    """After a change on purpose: `mocknode scenario plan NAME > tests/script/plans/NAME.txt`."""
    _, scenario = sources.scenario_of(name)
    assert scenario.name == name
    assert drawing.text(plan(scenario)) == (PLANS / f"{name}.txt").read_text(encoding="utf-8")


def test_every_golden_plan_has_its_scenario() -> None:
    assert sorted(path.stem for path in PLANS.iterdir()) == sources.names()


@pytest.mark.parametrize("name", sources.names())
def test_each_looks_at_every_stream_that_uploads(name: str) -> None:
    """A stream whose uploads nobody judges would be load without a claim."""
    _, scenario = sources.scenario_of(name)
    judged = {
        one.condition.args["stream"]
        for one in scenario.expectations
        if CONDITIONS[one.condition.word].claim == "safety"
    }
    assert {one.name for one in scenario.workload if STREAMS[one.kind].uploads} == judged


def test_the_repository_shows_the_same_files() -> None:
    shown = Path(__file__).parents[2] / "scenarios" / "library"
    assert sorted(path.stem for path in shown.glob("*.yaml")) == sources.names()


def test_the_guide_has_every_word() -> None:
    page = guide.page("scenarios")
    words = [*VERBS, *CONDITIONS, *STREAMS, *layout.BLOCKS, *layout.WHENS]
    assert [word for word in words if f"`{word}`" not in page] == []
