"""Scenarios to text and back: what is written is read as the same scenario."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.script import sources
from mocknode.script.making import condition, step, stream
from mocknode.script.model import Expectation, Scenario, Step
from mocknode.script.parsing import parse
from mocknode.script.planning import plan
from mocknode.script.writing import written


def bare(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps without their places in a file."""
    return tuple(
        replace(one, place="", round="", line=0, column=0, branches=tuple(bare(branch) for branch in one.branches))
        for one in steps
    )


def same(scenario: Scenario) -> Scenario:
    expectations = tuple(replace(one, line=0) for one in scenario.expectations)
    return replace(scenario, schedule=bare(scenario.schedule), expectations=expectations, parameters=())


@pytest.mark.parametrize("name", sources.names())
def test_the_library_is_read_as_it_was_written(name: str) -> None:
    _, scenario = sources.scenario_of(name)
    assert same(parse(written(scenario))) == same(scenario)


def test_what_chaos_drew_is_a_scenario_that_needs_no_seed() -> None:
    _, scenario = sources.scenario_of("nightmare", {"night": "3m"})
    drawn = plan(scenario, seed=5).drawn
    again = parse(written(drawn, ["found by seed 5"]))
    assert same(again) == same(drawn)
    assert {one.verb for one in again.schedule} >= {"sleep", "wait"}
    assert written(drawn, ["found by seed 5"]).startswith("# found by seed 5\nmocknode-scenario: 1\n")
    assert same(plan(again, seed=99).drawn) == same(again)


def test_branches_and_chaos_are_written(with_schedule: Callable[[str], str]) -> None:
    schedule = "- parallel:\n  - [{drain: node-1}, {sleep: 5s}, {resume: node-1}]\n  - {fault: {node: node-2, kind: think, options: [for=5s]}}"
    scenario = parse(
        with_schedule(
            f"{schedule}\n- chaos: {{for: 1m, every: 1s, lasting: 2s..3s, pick: {{drain: 1, fault reset: 2}}}}"
        )
    )
    assert same(parse(written(scenario))) == same(scenario)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
TEXTS = (
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
)
SECONDS = st.floats(0.001, 100_000).map(lambda value: round(value, 3))
STEPS = st.one_of(
    st.builds(lambda text: step("mark", text=text), TEXTS),
    st.builds(lambda seconds: step("sleep", for_=seconds), SECONDS),
    st.builds(lambda seconds, count: step("task", duration=seconds, count=count), SECONDS, st.integers(0, 1000)),
    st.builds(
        lambda share, within: step("wait", condition=condition("upload-on", node="node-1", at=share), within=within),
        st.integers(0, 100).map(lambda percent: percent / 100),
        SECONDS | st.just("calibrated"),
    ),
    st.builds(
        lambda word, seconds: step("expect", condition=condition(word, node="node-2"), for_=seconds), st.sampled_from(["quiet", "idle"]), SECONDS
    ),
)  # fmt: skip


@given(
    name=NAMES,
    claim=TEXTS,
    users=st.integers(0, 1000),
    link=st.integers(0, 1 << 42),
    schedule=st.lists(STEPS, max_size=5),
)
def test_any_scenario_is_read_as_it_was_written(
    name: str, claim: str, users: int, link: int, schedule: list[Step]
) -> None:
    scenario = Scenario(
        name="x",
        claim=claim,
        nodes=2,
        workload=(stream(name, "push", users=users, link=link),),
        schedule=tuple(schedule),
        expectations=(Expectation(when="always", condition=condition("ledger", stream=name, lost=0)),),
    )
    assert same(parse(written(scenario))) == scenario
