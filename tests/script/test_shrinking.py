"""Shrinking, with balancers that are functions: what is left is what the failure needs, and every run makes sense."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.script import sources
from mocknode.script.contradictions import find
from mocknode.script.making import condition, step, stream
from mocknode.script.model import Expectation, Scenario, Step
from mocknode.script.parsing import parse
from mocknode.script.planning import plan
from mocknode.script.shrinking import Shrunk, shrink
from mocknode.script.writing import written

NODES = ("node-1", "node-2", "node-3")
Needs = Callable[[Scenario], bool]


class Balancer:
    """Fails as `needs` says; each run takes ten seconds of its clock."""

    def __init__(self, needs: Needs, answers: Sequence[bool] = (True,)) -> None:
        self.now_s = 0.0
        self.seen: list[Scenario] = []
        self._needs = needs
        self._answers = itertools.cycle(answers)

    async def fails(self, scenario: Scenario) -> bool:
        assert find(scenario, NODES) == []
        self.now_s += 10.0
        self.seen.append(scenario)
        return self._needs(scenario) and next(self._answers)

    def shrink(self, scenario: Scenario, budget_s: float = 1e9, until: str = "") -> Shrunk:
        return asyncio.run(
            shrink(scenario, self.fails, NODES, budget_s=budget_s, clock=lambda: self.now_s, until=until)
        )


def night(seed: int) -> Scenario:
    return plan(sources.scenario_of("nightmare", {"night": "2m"})[1], seed=seed).drawn


def has(verb: str, node: str) -> Needs:
    return lambda scenario: any(one.verb == verb and one.args["node"] == node for one in scenario.schedule)


def verbs(scenario: Scenario) -> list[str]:
    return [one.verb for one in scenario.schedule]


def drains(scenario: Scenario) -> list[str]:
    return [one.args["node"] for one in scenario.schedule if one.verb == "drain"]


def test_a_night_of_chaos_becomes_the_one_drain_that_matters() -> None:
    scenario = next(one for one in map(night, range(50)) if len(set(drains(one))) >= 2 and len(one.schedule) > 10)
    node = drains(scenario)[-1]
    found = Balancer(has("drain", node)).shrink(scenario)
    assert found.finished
    assert verbs(found.scenario) == ["drain", "resume"]
    assert found.scenario.schedule[0].args["node"] == node
    assert len(found.scenario.workload) == 1
    assert found.scenario.workload[0].args["users"] == 1


def test_two_steps_that_only_fail_together_are_both_kept() -> None:
    schedule = (
        step("mark", text="a"), step("drain", node="node-1"), step("sleep", for_=20.0), step("resume", node="node-1"),
        step("sleep", for_=40.0), step("restart", node="node-2", away=8.0), step("mark", text="b"),
    )  # fmt: skip
    scenario = replace(night(1), schedule=schedule)

    def needs(one: Scenario) -> bool:
        slept = [other.args["for"] for other in one.schedule if other.verb == "sleep"]
        return has("drain", "node-1")(one) and has("restart", "node-2")(one) and max(slept, default=0.0) >= 5.0

    found = Balancer(needs).shrink(scenario).scenario
    assert verbs(found) in (["drain", "sleep", "resume", "restart"], ["drain", "resume", "sleep", "restart"])
    assert [one.args["for"] for one in found.schedule if one.verb == "sleep"] == [5.0]
    assert found.schedule[-1].args["away"] == 1.0


def test_a_disturbance_goes_together_with_its_end() -> None:
    schedule = (
        step("drain", node="node-1"), step("offline", node="node-1", how="crash"), step("sleep", for_=3.0),
        step("online", node="node-1", as_="draining"), step("resume", node="node-1"),
        step("fault", node="node-2", kind="reset", as_="cut"), step("sleep", for_=3.0), step("heal", fault="cut"),
    )  # fmt: skip
    scenario = replace(night(1), schedule=schedule)
    assert verbs(Balancer(has("fault", "node-2")).shrink(scenario).scenario) == ["fault", "heal"]
    assert verbs(Balancer(has("offline", "node-1")).shrink(scenario).scenario) == [
        "drain",
        "offline",
        "online",
        "resume",
    ]


def test_steps_after_the_one_that_failed_go_first() -> None:
    steps = tuple(replace(step("mark", text=str(number)), place=str(number)) for number in range(1, 9))
    balancer = Balancer(lambda scenario: any(one.args["text"] == "3" for one in scenario.schedule))
    found = balancer.shrink(replace(night(1), schedule=steps), until="4")
    assert [one.args["text"] for one in balancer.seen[0].schedule] == ["1", "2", "3", "4"]
    assert [one.args["text"] for one in found.scenario.schedule] == ["3"]


def test_a_balancer_that_fails_two_times_of_three_is_still_found() -> None:
    scenario = next(one for one in map(night, range(50)) if drains(one) and len(one.schedule) > 10)
    found = Balancer(has("drain", drains(scenario)[0]), answers=(True, False, True)).shrink(scenario)
    assert verbs(found.scenario) == ["drain", "resume"]


def test_one_that_fails_one_time_of_three_shrinks_nothing() -> None:
    scenario = night(3)
    found = Balancer(lambda _: True, answers=(True, False, False)).shrink(scenario)
    assert found.scenario == scenario


def test_it_stops_before_a_run_that_would_end_after_the_budget() -> None:
    balancer = Balancer(has("drain", "node-1"))
    found = balancer.shrink(night(3), budget_s=35.0)
    assert not found.finished
    assert balancer.now_s <= 35.0
    assert found.runs == 3


def test_a_failure_that_needs_no_step_leaves_none() -> None:
    found = Balancer(lambda _: True).shrink(night(3))
    assert found.scenario.schedule == ()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_is_a_file_that_can_be_read(seed: int) -> None:
    found = Balancer(lambda scenario: len(scenario.schedule) >= 3).shrink(night(seed))
    again = parse(written(found.scenario, ["found by chaos"]))
    assert [(one.verb, one.args) for one in again.schedule] == [(one.verb, one.args) for one in found.scenario.schedule]


STEPS = st.lists(
    st.sampled_from(["drain 1", "drain 2", "crash 1", "crash 3", "restart 2", "mark", "sleep"]), max_size=12
)


def schedule_of(words: Sequence[str]) -> tuple[Step, ...]:
    return tuple(one for word in words for one in _steps(*word.partition(" ")))


def _steps(verb: str, _: str, number: str) -> list[Step]:
    node = f"node-{number}"
    match verb:
        case "drain":
            return [step("drain", node=node), step("resume", node=node)]
        case "crash":
            return [step("offline", node=node, how="crash"), step("online", node=node)]
        case "restart":
            return [step("restart", node=node)]
        case "mark":
            return [step("mark", text="x")]
        case _:
            return [step("sleep", for_=4.0)]


@given(
    words=STEPS,
    wanted=st.lists(st.tuples(st.sampled_from(["drain", "offline", "restart"]), st.sampled_from(NODES)), max_size=3),
)
def test_nothing_can_be_dropped_from_what_is_left(words: list[str], wanted: list[tuple[str, str]]) -> None:
    scenario = Scenario(
        name="x",
        claim="y",
        nodes=3,
        workload=(stream("builds", "push", users=2),),
        schedule=schedule_of(words),
        expectations=(Expectation(when="always", condition=condition("ledger", stream="builds", lost=0)),),
    )

    def needs(one: Scenario) -> bool:
        return all(has(verb, node)(one) for verb, node in wanted)

    found = Balancer(needs).shrink(scenario).scenario
    if needs(scenario):
        kept = [one for one in found.schedule if one.verb not in ("resume", "online")]
        assert sorted((one.verb, one.args["node"]) for one in kept) == sorted(set(wanted))
    else:
        assert found == scenario
