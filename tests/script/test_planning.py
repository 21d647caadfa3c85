"""Plans: what a schedule contradicts, what chaos draws, and that the same file and seed always give the same plan."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.script.chaos import draw
from mocknode.script.layout import CHAOS, DISTURBANCES, PICK
from mocknode.script.making import condition, step, stream
from mocknode.script.model import Expectation, Scenario, Step
from mocknode.script.parsing import parse
from mocknode.script.planning import Plan, plan
from mocknode.script.reading import ScenarioError

Scheduled = Callable[[str], str]
NIGHT = (
    "- chaos: {for: 10m, every: 5s..30s, at-most-away: 1, lasting: 2s..40s, "
    "pick: {drain: 4, crash: 2, freeze: 1, refuse: 1, fault think: 1, fault reset: 1}}"
)


def mistakes(text: str, nodes: Sequence[str] | None = None) -> list[str]:
    scenario = parse(text, "f.yaml")
    with pytest.raises(ScenarioError) as caught:
        plan(scenario, nodes, source="f.yaml")
    return caught.value.lines()


def ids(found: Plan) -> list[str]:
    return [planned.id for planned in found.all_steps]


def test_a_plan_numbers_the_steps_and_writes_each_on_a_line(patch: str) -> None:
    found = plan(parse(patch))
    assert found.nodes == ("node-1", "node-2", "node-3")
    assert [(one.id, one.text) for one in found.steps[:4]] == [
        ("1.1.1", "wait upload-on node-1, at 30%, within 60s"),
        ("1.1.2", "drain node-1"),
        ("1.1.3", "wait quiet node-1, within calibrated"),
        ("1.1.4", "offline node-1, how crash"),
    ]
    assert len(set(ids(found))) == len(ids(found))
    assert found.calibrated


def test_a_plan_without_calibrated_bounds_needs_no_calibration(patch: str) -> None:
    assert not plan(parse(patch.replace("calibrated", "30s"))).calibrated


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("- drain: node-1\n- drain: node-1", "f.yaml:8:5: drain node-1: it is draining since line 7 here, allowed: a node that is online"),
        ("- offline: node-1\n- drain: node-1", "drain node-1: it is offline (refuse) since line 7 here"),
        ("- offline: node-1\n- offline: node-1", "offline node-1: it is offline (refuse) since line 7 here"),
        ("- resume: node-1", "f.yaml:7:5: resume node-1: it is online here, allowed: a node that is draining"),
        ("- online: node-1", "online node-1: it is online here, allowed: a node that is offline or draining"),
        ("- {offline: node-1, how: crash}\n- fault: {node: node-1, kind: reset}", "fault node-1: it is offline (crash) since line 7 here"),
        ("- fault: {node: node-1, kind: reset, as: a}\n- fault: {node: node-2, kind: reset, as: a}", "got the name 'a', which a fault at node-1 has"),
        ("- heal: x", "heal: got 'x', allowed: none is set here"),
        ("- parallel:\n  - [{drain: node-1}, {resume: node-1}]\n  - {offline: node-1}", "f.yaml:7:5: branches 1 and 2 both disturb node-1"),
        ("- drain: node-1\n" + NIGHT, "f.yaml:8:5: chaos: node-1 is draining since line 7 here, allowed: nodes that are online"),
        (NIGHT.replace("at-most-away: 1", "at-most-away: 3"), "chaos: at-most-away: got 3, allowed: 1 to 2, so that a node can serve"),
        (NIGHT.replace("every: 5s..30s", "every: 1ms"), "chaos: every 0.001s for 10m makes up to 600000 disturbances, allowed: 1000"),
        ("- parallel:\n  - drain: node-1\n  -\n    " + NIGHT, "branches 1 and 2 both disturb node-1"),
        ("- offline: node-1\n- offline: node-2\n- offline: node-3\n- sleep: 10s\n- online: node-1", "f.yaml:9:5: no node is online during any wait"),
    ],
)  # fmt: skip
def test_contradictions(schedule: str, expected: str, with_schedule: Scheduled) -> None:
    found = mistakes(with_schedule(schedule))
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    "schedule",
    [
        "- drain: node-1\n- offline: node-1\n- {online: node-1, as: draining}\n- resume: node-1",
        "- for-each: {node: all}\n  do: [{drain: $node}]\n- sleep: 5s\n- for-each: {node: all}\n  do: [{resume: $node}]\n- sleep: 1s",
        "- fault: {node: node-1, kind: reset, as: a}\n- heal: a\n- fault: {node: node-1, kind: reset, as: a}",
        "- parallel:\n  - [{drain: node-1}, {sleep: 5s}, {resume: node-1}]\n  - [{offline: node-2}, {online: node-2}]\n- drain: node-2",
        "- restart: node-1\n- drain: node-1",
        "- {fault: {node: node-1, kind: think, options: [for=5s]}}\n- drain: node-1",
    ],
)  # fmt: skip
def test_schedules_without_contradiction(schedule: str, with_schedule: Scheduled) -> None:
    assert plan(parse(with_schedule(schedule))).steps


def test_names_are_compared_with_the_nodes_that_there_are(with_schedule: Scheduled) -> None:
    text = with_schedule("- drain: node-3").replace("cluster: {nodes: 3}\n", "")
    assert mistakes(text, ["alpha", "beta"]) == ["f.yaml:6:5: got node 'node-3', allowed: alpha, beta"]


def test_a_scenario_written_in_python_is_planned_as_one_from_a_file() -> None:
    scenario = Scenario(
        name="x",
        claim="y",
        workload=(stream("builds", "push", users=2),),
        schedule=(step("drain", node="node-1"), step("sleep", for_=5.0), step("resume", node="node-1")),
        expectations=(Expectation(when="always", condition=condition("ledger", stream="builds", lost=0)),),
    )
    assert [one.id for one in plan(scenario).steps] == ["1", "2", "3"]
    with pytest.raises(ScenarioError, match="step 2: got node 'node-9', allowed: node-1, node-2, node-3"):
        plan(replace(scenario, schedule=(*scenario.schedule[:1], step("drain", node="node-9"))))
    with pytest.raises(TypeError, match="drain: the field 'node' is missing"):
        step("drain")
    with pytest.raises(TypeError, match="drain: got 'when', allowed: node"):
        step("drain", node="node-1", when="now")


def test_chaos_becomes_ordinary_steps(with_schedule: Scheduled) -> None:
    (chaos,) = plan(parse(with_schedule(NIGHT)), seed=3).steps
    (branch,) = chaos.branches
    assert [one.id for one in branch] == [f"1.{number}" for number in range(1, len(branch) + 1)]
    assert {one.step.verb for one in branch} <= {"sleep", "drain", "resume", "offline", "online", "fault", "heal"}
    assert all(one.step.line == 7 for one in branch)
    assert 600 <= sum(one.step.args["for"] for one in branch if one.step.verb == "sleep") < 641


def test_ten_minutes_of_chaos_are_planned_at_once(with_schedule: Scheduled) -> None:
    scenario = parse(with_schedule(NIGHT))
    plan(scenario)
    assert min(_took(lambda: plan(scenario)) for _ in range(5)) < 0.2


def _took(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def chaos(**args: object) -> Step:
    given = {
        "for": 600.0,
        "every": (5.0, 30.0),
        "lasting": (2.0, 40.0),
        "at-most-away": 1,
        "nodes": (),
        PICK: (("drain", 1),),
        **args,
    }
    return Step(verb=CHAOS, args=given, place="1")


def away(steps: Sequence[Step]) -> list[int]:
    """How many nodes are disturbed after each step; a node that is disturbed twice, or healed without cause, fails."""
    disturbed: dict[str, str] = {}
    counts = []
    for one in steps:
        if one.verb in ("drain", "offline", "fault"):
            node = one.args["node"]
            assert node not in disturbed.values()
            disturbed[one.args["as"] if one.verb == "fault" else node] = node
        elif one.verb in ("resume", "online"):
            del disturbed[one.args["node"]]
        elif one.verb == "heal":
            del disturbed[one.args["fault"]]
        counts.append(len(disturbed))
    assert not disturbed
    return counts


@given(
    seed=st.integers(0, 10_000),
    nodes=st.integers(2, 6),
    most=st.integers(1, 5),
    picks=st.dictionaries(st.sampled_from(list(DISTURBANCES)), st.integers(1, 9), min_size=1),
    every=st.tuples(st.floats(0.5, 5), st.floats(5, 20)),
)
def test_chaos_never_disturbs_more_than_allowed_and_ends_all_it_began(
    seed: int, nodes: int, most: int, picks: dict[str, int], every: tuple[float, float]
) -> None:
    names = [f"node-{number}" for number in range(1, nodes + 1)]
    drawn = draw(chaos(every=every, **{"at-most-away": most, PICK: tuple(picks.items())}), names, seed)
    assert max(away(drawn.steps), default=0) <= most
    assert set(drawn.left_out) < set(picks)


def test_a_change_in_one_choice_leaves_the_others_as_they_were() -> None:
    names = ("node-1", "node-2", "node-3")
    before = draw(chaos(), names, 7).steps
    other = draw(chaos(**{PICK: (("crash", 3),)}), names, 7).steps
    assert [one.args["for"] for one in before if one.verb == "sleep"] == [
        one.args["for"] for one in other if one.verb == "sleep"
    ]
    assert [one.args["node"] for one in before if one.verb == "drain"] == [
        one.args["node"] for one in other if one.verb == "offline"
    ]


def test_seeds_leave_out_different_disturbances() -> None:
    picks = tuple((word, 1) for word in ("drain", "crash", "freeze", "refuse"))
    left = {draw(chaos(**{PICK: picks}), ("node-1", "node-2"), seed).left_out for seed in range(50)}
    assert len(left) > 5
    assert all(len(words) < 4 for words in left)
    assert {word for words in left for word in words} == dict(picks).keys()


def test_weights_decide_how_often_each_is_picked() -> None:
    picks = (("drain", 4), ("crash", 1))
    verbs = [
        one.verb
        for seed in range(80)
        if not (drawn := draw(chaos(**{PICK: picks}), ("node-1", "node-2"), seed)).left_out
        for one in drawn.steps
        if one.verb in ("drain", "offline")
    ]
    assert len(verbs) > 200
    assert 0.7 < verbs.count("drain") / len(verbs) < 0.9


def test_different_seeds_give_different_plans(with_schedule: Scheduled) -> None:
    scenario = parse(with_schedule(NIGHT))
    plans = [[one.text for one in plan(scenario, seed=seed).all_steps] for seed in range(5)]
    assert all(one != other for one, other in itertools.combinations(plans, 2))
