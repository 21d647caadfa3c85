"""Files to scenarios: what a whole one becomes, and every mistake with its place, what was got and what is allowed."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.script.layout import STEPS_MAX
from mocknode.script.making import condition, step
from mocknode.script.parsing import parse
from mocknode.script.reading import Mistake, ScenarioError
from tests.script.conftest import PATCH


def mistakes(text: str, settings: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse(text, "f.yaml", settings)
    return caught.value.lines()


def found_in(text: str) -> Sequence[Mistake]:
    """The mistakes of a text; none if it is a scenario."""
    try:
        parse(text)
    except ScenarioError as exc:
        return exc.mistakes or pytest.fail("an error without a mistake")
    return ()


def test_a_whole_scenario(patch: str) -> None:
    found = parse(patch)
    assert (found.name, found.needs, found.nodes, found.tasks_per_node) == ("patch", ("active-health-check",), 3, 5)
    builds, people, work = found.workload
    assert (builds.name, builds.kind, builds.args["sizes"], builds.args["as"]) == (
        "builds",
        "push",
        "64KiB..16MiB",
        "build",
    )
    assert (people.args["users"], work.args) == (5, {"every": 10.0, "duration": 45.0})
    assert found.steady_state.within == 30.0
    assert [one.word for one in found.steady_state.conditions] == ["fair-share", "errors"]
    assert [(one.when, one.condition.word, one.within) for one in found.expectations] == [
        ("always", "ledger", 0.0), ("eventually", "errors", 30.0), ("finally", "latency", 0.0),
    ]  # fmt: skip


def test_loops_are_unrolled_and_names_replaced(patch: str) -> None:
    steps = parse(patch).schedule
    assert [one.place for one in steps[:3]] == ["1.1.1", "1.1.2", "1.1.3"]
    assert [(one.verb, one.round) for one in steps[8:10]] == [("wait", "node-2"), ("drain", "node-2")]
    waited = condition("upload-on", node="node-1", at=0.3)
    assert (steps[0].verb, steps[0].args) == ("wait", {"condition": waited, "within": 60.0})
    assert steps[6].args == step("expect", condition=condition("quiet", node="node-1"), for_=15.0).args
    assert [one.args["for"] for one in steps if one.verb == "sleep"] == [30.0, 30.0]
    assert (steps[1].line, steps[1].column) == (18, 9)


def test_a_setting_replaces_the_default_of_a_parameter(patch: str) -> None:
    steps = parse(patch, settings={"away": "5s"}).schedule
    assert [one.args["for"] for one in steps if one.verb == "sleep"] == [5.0, 5.0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"away": "5"}, "f.yaml: --set away: got '5', allowed: a duration with its unit, such as 30s or 5m"),
        ({"awya": "5s"}, "f.yaml: --set awya: no such parameter, allowed: away; did you mean away?"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit(patch: str, settings: dict[str, str], expected: str) -> None:
    assert expected in mistakes(patch, settings)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("- dran: node-1", "7:5: unknown step 'dran', allowed: drain, resume, offline"),
        ("- dran: node-1", "did you mean drain?"),
        ("- drain: node-4", "7:12: drain: node: got node 'node-4', allowed: node-1, node-2, node-3"),
        ("- drain: $nod", "7:12: got the variable '$nod', allowed: none here"),
        ("- drain", "7:5: drain: the key 'node' is missing: The node; allowed: the name of a node"),
        ("- {drain: node-1, when: now}", "7:21: unknown field of drain: 'when', allowed: node"),
        ("- drain: [node-1, node-2]", "7:12: drain: node: got a list, allowed: the name of a node"),
        ("- wait: {quiet: node-1}", "7:5: wait: the key 'within' is missing: The longest wait; allowed: a duration such as 60s"),
        ("- {wait: {quiet: node-1}, within: 30}", "7:37: wait: within: got '30', allowed: a duration such as 60s, or `calibrated`"),
        ("- {wait: {quit: node-1}, within: 5s}", "7:13: unknown condition 'quit', allowed: upload-on"),
        ("- {wait: {ledger: builds, lost: 0}, within: 5s}", "got 'ledger', which is known only when the run is over"),
        ("- expect: {quiet: node-1, for: 5s, within: 5s}", "7:5: expect: got both `within` and `for`"),
        ("- expect: {errors: peple, is: 0}", "7:22: errors: stream: got stream 'peple', allowed: builds, people; did you mean people?"),
        ("- expect: {in-flight: node-1}", "7:14: in-flight: got no limit, allowed: at-least, at-most or both"),
        ("- sleep: 5", "7:12: sleep: for: got 5 without quotes, allowed: a duration with its unit, such as 30s or 5m"),
        ("- sleep: 5x", "7:12: sleep: for: got '5x', allowed: a duration with its unit"),
        ("- sleep:", "7:5: sleep: the key 'for' is missing"),
        ("- mark: 5", "7:11: mark: text: got 5 without quotes, allowed: one line of text"),
        ("- {task: 5s, count: '2'}", "7:23: task: count: got the text '2', allowed: a whole number"),
        ("- fault: {node: node-1, kind: think}", "7:5: fault: think needs the option 'for'"),
        ("- fault: {node: node-1, kind: thnk}", "did you mean think?"),
        ("- fault: {node: node-1, kind: reset, after: soon}", "7:5: fault: after: trigger: got 'soon'"),
        ("- for-each: {node: []}\n  do: [{drain: $node}]", "7:22: for-each: got no value for node, allowed: at least one"),
        ("- for-each: {node: [node-1]}", "7:5: for-each: the key 'do' is missing"),
        ("- for-each: {node: [node-1]}\n  do: []", "8:9: for-each: got no step"),
        ("- for-each: node-1\n  do: [{mark: x}]", "7:15: for-each: got 'node-1', allowed: one name and its values"),
        ("- {repeat: 0, do: [{mark: x}]}", "7:14: repeat: got 0, allowed: 1 to 1000"),
        ("- parallel: {mark: x}", "7:15: got a mapping, allowed: a list of lists of steps"),
        ("- {parallel: [{mark: x}], do: []}", "7:29: parallel: got the key 'do' beside it, allowed: none"),
        ("- chaos: {for: 1m}", "7:5: chaos: the key 'pick' is missing"),
        ("- chaos: {for: 1m, every: 1s, lasting: 1s, pick: {crush: 1}}", "unknown disturbance 'crush', allowed: drain, refuse"),
        ("- chaos: {for: 1m, every: 1s, lasting: 1s, pick: {drain: 0}}", "drain: got 0, allowed: a weight from 1 to 1000"),
        ("- chaos: {for: 1m, every: 9s..1s, lasting: 1s, pick: {drain: 1}}", "chaos: every: got '9s..1s', allowed: a duration above 0"),
    ],
)  # fmt: skip
def test_mistakes_in_a_schedule(schedule: str, expected: str, with_schedule: Callable[[str], str]) -> None:
    found = mistakes(with_schedule(schedule))
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml:1:1: got nothing, allowed: a mapping that begins with `mocknode-scenario: 1`"),
        ("- drain: node-1", "f.yaml:1:1: got a list, allowed: a mapping that begins with"),
        (PATCH.replace("scenario: 1", "scenario: 2", 1), "f.yaml:1:20: mocknode-scenario: got '2', allowed: 1"),
        (PATCH.replace("name: patch", "naem: patch"), "f.yaml:2:1: unknown key 'naem', allowed: mocknode-scenario, name"),
        (PATCH.replace("name: patch", "naem: patch"), "f.yaml:1:1: the key 'name' is missing"),
        (PATCH.replace("[active-health-check]", "[active-health-chek]"), "f.yaml:4:9: got 'active-health-chek', allowed: active-health-check"),
        (PATCH.replace("default: 30s", "default: 30"), "f.yaml:6:35: parameter away: got 30 without quotes, allowed: a duration"),
        (PATCH.replace("default: 30s, ", ""), "f.yaml:6:3: parameter away: the key 'default' is missing"),
        (PATCH.replace("type: duration", "type: duratoin"), "type: got 'duratoin', allowed: duration, size"),
        (PATCH.replace("nodes: 3", "nodes: 40"), "f.yaml:7:18: nodes: got 40, allowed: 1 to 32"),
        (PATCH.replace("{browse: ", "{browes: "), "unknown stream 'browes', allowed: push, browse, ping, tasks; did you mean browse?"),
        (PATCH.replace("users: 8", "usres: 8"), "unknown field of push: 'usres', allowed: users"),
        (PATCH.replace("64KiB..16MiB", "64XiB"), "push: sizes: got '64XiB', allowed: a size"),
        (PATCH.replace("always: [{ledger: builds", "always: [{ledger: people"), "got stream 'people', which uploads nothing, allowed: builds"),
        (PATCH.replace("always: [", "always: [{quiet: node-1}, "), "always: got 'quiet', allowed here: errors, latency, rate, ledger"),
        (PATCH.replace(", within: 30s}]", "}]"), "eventually: the key 'within' is missing"),
        (PATCH.replace("finally:", "in-the-end:"), "unknown time of judging 'in-the-end', allowed: always, eventually, finally"),
        (PATCH.replace('p99: "< 1s"', "p99: 1s"), "latency: p99: got '1s', allowed: < and a duration, such as '< 1s'"),
        (PATCH.replace(', p99: "< 1s"', ""), "latency: got no limit, allowed: p50, p90, p99, max"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file(text: str, expected: str) -> None:
    found = mistakes(text)
    assert any(expected in line for line in found), found


def test_all_mistakes_are_found_at_once_and_in_order(with_schedule: Callable[[str], str]) -> None:
    found = mistakes(with_schedule("- dran: node-1\n- drain: node-9\n- sleep: 5\n- repeat: 2"))
    assert [line.split(":")[1] for line in found] == ["7", "8", "9", "10"]


def test_a_mistake_in_a_loop_is_reported_once(with_schedule: Callable[[str], str]) -> None:
    assert len(mistakes(with_schedule("- repeat: 500\n  do: [{drain: node-9}]"))) == 1


def test_a_parameter_with_a_mistake_causes_no_others(patch: str) -> None:
    assert len(mistakes(patch.replace("default: 30s", "default: 30"))) == 1


def test_ten_thousand_steps_are_refused_at_the_step_that_is_too_many(with_schedule: Callable[[str], str]) -> None:
    (found,) = mistakes(with_schedule("- mark: x\n" * 10_000))
    assert (
        found
        == f"f.yaml:{7 + STEPS_MAX}:5: got more than {STEPS_MAX} steps, counted with unrolled loops; allowed: {STEPS_MAX}"
    )


@pytest.mark.parametrize("body", ["[{mark: x}]", "[]", "[{dran: x}]", "[{repeat: 1000}]", "[{sleep: 5}]"])
def test_loops_in_loops_end_at_the_limit(body: str, with_schedule: Callable[[str], str]) -> None:
    """Without the limit, a thousand million rounds would take half an hour."""
    nested = f"{{repeat: 1000, do: [{{repeat: 1000, do: [{{repeat: 1000, do: {body}}}]}}]}}"
    assert any("got more than 2000 steps" in line for line in mistakes(with_schedule(f"- {nested}")))


def test_inner_names_go_with_their_loop(with_schedule: Callable[[str], str]) -> None:
    text = with_schedule("- for-each: {node: all}\n  do: [{drain: $node}, {resume: $node}]\n- drain: $node")
    assert mistakes(text) == ["f.yaml:9:12: got the variable '$node', allowed: none here"]


def test_all_stands_for_every_node(with_schedule: Callable[[str], str]) -> None:
    found = parse(with_schedule("- for-each: {node: all}\n  do: [{drain: $node}, {resume: $node}]"))
    assert [one.args["node"] for one in found.schedule] == ["node-1", "node-1", "node-2", "node-2", "node-3", "node-3"]


@given(st.integers(0, len(PATCH) - 1), st.text(max_size=8), st.integers(0, 12))
def test_a_damaged_file_is_a_scenario_or_has_mistakes(place: int, inserted: str, removed: int) -> None:
    damaged = PATCH[:place] + inserted + PATCH[place + removed :]
    assert all(mistake.text for mistake in found_in(damaged))


TREES = st.recursive(
    st.sampled_from(["node-1", "builds", "5s", "30%", "3", "'3'", "$x", "", "drain", "quiet", "all", "true", "null"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    | st.dictionaries(st.sampled_from(["drain", "wait", "within", "quiet", "for-each", "do", "node", "chaos", "pick", "for"]), inner, max_size=3)
    .map(lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"),
    max_leaves=8,
)  # fmt: skip


@given(TREES)
def test_any_tree_as_a_schedule_is_a_scenario_or_has_mistakes_with_a_place(tree: str) -> None:
    text = (
        "mocknode-scenario: 1\nname: x\nclaim: y\ncluster: {nodes: 2}\nworkload: {builds: {push: {}}}\n"
        f"schedule: {tree}\nexpect: {{always: [{{ledger: builds, lost: 0}}]}}\n"
    )
    assert all(mistake.at.line == 6 for mistake in found_in(text))


def test_the_names_of_nodes_that_run_already_replace_those_of_the_file(with_schedule: Callable[[str], str]) -> None:
    text = with_schedule("- for-each: {node: all}\n  do: [{drain: $node}, {resume: $node}]")
    there = ["alpha", "beta", "gamma"]
    assert [one.args["node"] for one in parse(text, nodes=there).schedule[::2]] == there
    without = text.replace("cluster: {nodes: 3}\n", "")
    assert len(parse(without, nodes=["alpha"]).schedule) == 2
    with pytest.raises(ScenarioError, match="5:18: nodes: got 3, allowed: 2, as many as the cluster has: alpha, beta"):
        parse(f"\n{text}", nodes=there[:2])
    with pytest.raises(ScenarioError, match="got 'all', which needs"):
        parse(without)
