"""Rhythms, roles and reactions, from what the nodes saw."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mocknode.judge.record.history import Connection, History, Probe
from mocknode.judge.verdict.calibration import Calibration, calibrate, interval_is_known, probers, steady_interval
from tests.judge.histories import NODES, SECOND, case, probe, request, step


def beat(interval_s: float, count: int, start_s: float = 0.0) -> list[int]:
    return [int((start_s + n * interval_s) * SECOND) for n in range(count)]


def everywhere(times: list[int], **facts: object) -> list[Probe]:
    return [probe(node, t_ns, **facts) for node in NODES for t_ns in times]


@given(
    interval_s=st.floats(1.0, 60.0),
    jitter=st.lists(st.floats(-0.07, 0.07), min_size=6, max_size=6),
)
def test_an_interval_is_found_when_each_ping_comes_up_to_a_fourteenth_early_or_late(
    interval_s: float, jitter: list[float]
) -> None:
    times = [int((n + j) * interval_s * SECOND) for n, j in enumerate(jitter)]
    found = steady_interval(times)
    assert found is not None
    assert found[0] == pytest.approx(interval_s, rel=0.25)


def test_two_probers_of_one_kind_are_told_apart_by_their_interval() -> None:
    found = steady_interval(sorted(beat(2.0, 6) + beat(2.0, 6, start_s=0.01)))
    assert found is not None
    assert found[0] == pytest.approx(2.0)
    assert found[1] == 2


def test_an_interval_that_changed_is_the_one_it_has_now() -> None:
    found = steady_interval([0, 60 * SECOND, *beat(2.0, 4, start_s=120.0)])
    assert found == (2.0, 1)


@pytest.mark.parametrize("times", [[], [0], beat(2.0, 3), [0, SECOND, 30 * SECOND, 31 * SECOND, 90 * SECOND]])
def test_too_few_or_uneven_pings_are_no_interval(times: list[int]) -> None:
    assert steady_interval(times) is None


@pytest.mark.parametrize(
    ("facts", "role"),
    [
        ({}, "balancer"),
        ({"user_agent": "Envoy/HC"}, "balancer"),
        ({"user_agent": "curl/8.5.0"}, "monitor"),
        ({"user_agent": "Prometheus/2.51"}, "monitor"),
        ({"forwarded": True}, "monitor"),
    ],
)
def test_who_pings(facts: dict[str, object], role: str) -> None:
    (found,) = probers(everywhere(beat(2.0, 5), **facts), NODES)
    assert found.role == role


def test_a_prober_that_leaves_a_node_out_is_not_known_to_be_a_balancer() -> None:
    pings = [p for p in everywhere(beat(2.0, 5)) if p.node != "node-2"]
    (found,) = probers(pings, NODES)
    assert found.role == "unknown"
    assert not interval_is_known(History(probes=pings), NODES)


@pytest.mark.parametrize(
    ("interval_s", "silent_s", "role"),
    [(1.0, 3.0, "balancer"), (1.0, 5.0, "gone"), (10.0, 39.0, "balancer"), (10.0, 41.0, "gone")],
)
def test_a_balancer_whose_pings_ended_is_gone(interval_s: float, silent_s: float, role: str) -> None:
    pings = everywhere(beat(interval_s, 6))
    ended_s = 5 * interval_s
    (found,) = probers(pings, NODES, int((ended_s + silent_s) * SECOND))
    assert found.role == role
    history = History(probes=pings, synced_ns=int((ended_s + silent_s) * SECOND))
    assert interval_is_known(history, NODES) == (role == "balancer")


def test_a_balancer_that_is_gone_is_not_taken_for_the_one_that_reacts() -> None:
    found = reacting(everywhere(beat(2.0, 5), user_agent="Envoy/HC"))
    assert ([p.role for p in found.probers], found.interval_s) == (["gone"], None)
    assert found.unprobed(NODES) == sorted(NODES)


def reacting(pings: list[Probe]) -> Calibration:
    steps = [
        step("calibration", "drain", 90 * SECOND, node="node-1"),
        step("calibration", "out", 92 * SECOND, node="node-1", at_ns=91 * SECOND, never=False, waited_s=9.0),
    ]
    return calibrate(History(probes=pings, steps=steps), NODES)


def test_where_nobody_pings_every_node_the_likeliest_is_the_balancer() -> None:
    some = [p for p in everywhere(beat(2.0, 5, start_s=80.0)) if p.node != "node-2"]
    (found,) = reacting(some).probers
    assert (found.role, found.nodes, found.interval_s) == ("balancer", ("node-1", "node-3"), 2.0)
    # A name speaks against it, until a drained node was taken out.
    named = everywhere(beat(2.0, 5, start_s=80.0), user_agent="Mozilla/5.0")
    assert [p.role for p in calibrate(History(probes=named), NODES).probers] == ["monitor"]
    assert [p.role for p in reacting(named).probers] == ["balancer"]
    # Through the balancer, or at one node alone, or beside one that pings them all, nobody is promoted.
    assert [p.role for p in reacting(everywhere(beat(2.0, 5, start_s=80.0), forwarded=True)).probers] == ["monitor"]
    assert [p.role for p in reacting([p for p in some if p.node == "node-1"]).probers] == ["unknown"]
    both = reacting(
        everywhere(beat(2.0, 5, start_s=80.0)) + everywhere(beat(5.0, 5, start_s=65.0), user_agent="Zabbix")
    ).probers
    assert sorted(p.role for p in both) == ["balancer", "monitor"]


def test_balancer_and_monitor_side_by_side() -> None:
    pings = everywhere(beat(2.0, 5)) + everywhere(beat(5.0, 5), user_agent="Zabbix")
    assert sorted(p.role for p in probers(pings, NODES)) == ["balancer", "monitor"]


def drained(*, out: int | None, back: int | None) -> History:
    return History(
        probes=everywhere(beat(2.0, 5)),
        requests=[request(None, method="GET", target="/", t_ns=1)],
        steps=[
            step("calibration", "drain", 10 * SECOND, node="node-1"),
            step("calibration", "out", 14 * SECOND, node="node-1", at_ns=out, never=out is None, waited_s=9.0),
            step("calibration", "resume", 15 * SECOND, node="node-1"),
            step("calibration", "in", 18 * SECOND, node="node-1", at_ns=back, never=back is None, waited_s=9.0),
        ],
    )


def test_reactions_become_budgets() -> None:
    found = calibrate(drained(out=12 * SECOND, back=16 * SECOND), NODES)
    assert (found.out_after_s, found.in_after_s, found.interval_s) == (2.0, 1.0, 2.0)
    assert (found.out_budget_s, found.in_budget_s) == (4.5, 3.5)
    assert found.reacts


def test_a_balancer_that_never_let_go_does_not_react() -> None:
    found = calibrate(drained(out=None, back=16 * SECOND), NODES)
    assert not found.reacts
    assert found.other == (("GET /", 1),)


# Two at a second each, whose last pairs hesitate until their gaps look like half of it.
@example(
    interval_s=1.0,
    count=2,
    jitter=[0.0] * 9 + [0.08, 0.0, -0.08] + [0.0] * 8 + [0.08, -0.08, 0.08, -0.08] + [0.0] * 24,
)
@given(
    interval_s=st.floats(1.0, 30.0),
    count=st.integers(1, 4),
    jitter=st.lists(st.floats(-0.08, 0.08), min_size=48, max_size=48),
)
def test_probers_of_one_kind_side_by_side_have_one_interval(interval_s: float, count: int, jitter: list[float]) -> None:
    # They start within moments of each other, as the workers or sites of one balancer do.
    times = [
        int((beat * interval_s + j + 0.02 * n) * SECOND)
        for n in range(count)
        for beat, j in enumerate(jitter[n * 12 : n * 12 + 12])
    ]
    found = steady_interval(times)
    assert found is not None
    # A gap is off by what its two pings are off.
    assert found[0] == pytest.approx(interval_s, abs=2 * 0.08 + 1e-6)


@pytest.mark.parametrize("interval_s", [2.0, 10.0, 60.0])
@pytest.mark.parametrize("alike", [2, 3, 4])
def test_the_gaps_inside_a_volley_are_no_interval(interval_s: float, alike: int) -> None:
    times = sorted(t_ns for n in range(alike) for t_ns in beat(interval_s, 8, start_s=0.02 * n))
    found = {steady_interval(times[:count]) for count in range(len(times) + 1)}
    assert {None if beats is None else (round(beats[0], 1), beats[1]) for beats in found} == {None, (interval_s, alike)}


def test_more_probers_of_one_kind_than_anybody_runs_are_no_interval() -> None:
    times = [t_ns for n in range(5) for t_ns in beat(10.0, 8, start_s=0.01 * n)]
    assert steady_interval(times) is None


def test_the_order_of_the_journals_does_not_matter() -> None:
    assert steady_interval(list(reversed(beat(2.0, 6)))) == steady_interval(beat(2.0, 6)) == (2.0, 1)


def test_a_slow_timer_is_forgotten_once_three_quick_gaps_agree() -> None:
    # Envoy: 60 s while idle, 2 s from its first request on.
    slow = [0, 60 * SECOND]
    assert steady_interval([*slow, *beat(2.0, 3, start_s=120.0)]) is None
    assert steady_interval([*slow, *beat(2.0, 4, start_s=120.0)]) == (2.0, 1)


@pytest.mark.parametrize(
    "agent",
    ["Mozilla/5.0 (X11)", "Wget/1.21", "check_http/v2.3", "python-requests/2.31", "kube-probe/1.30", "My Zabbix"],
)
def test_monitors_name_themselves(agent: str) -> None:
    (found,) = probers(everywhere(beat(2.0, 5), user_agent=agent), NODES)
    assert found.role == "monitor"


def test_a_person_at_uneven_times_is_nobody_known() -> None:
    (found,) = probers(everywhere([0, SECOND, 30 * SECOND, 31 * SECOND, 90 * SECOND]), NODES)
    assert (found.role, found.interval_s) == ("unknown", None)


def test_probers_differ_by_address_method_version_path_and_agent_but_not_by_port() -> None:
    one = [probe(node, t_ns, peer=f"127.0.0.1:{7000 + t_ns}") for node in NODES for t_ns in beat(2.0, 5)]
    assert len(probers(one, NODES)) == 1
    for other in (
        {"peer": "127.0.0.9:1"}, {"method": "HEAD"}, {"http_version": "1.0"}, {"target": "//ping"}, {"user_agent": "x"},
        {"forwarded": True},
    ):  # fmt: skip
        assert len(probers([*one, *everywhere(beat(2.0, 4), **other)], NODES)) == 2


def test_a_host_that_names_the_node_is_a_star() -> None:
    pings = [probe(node, t_ns, host=node) for node in NODES for t_ns in beat(2.0, 5)]
    assert probers(pings, NODES)[0].host == "*"
    assert probers(everywhere(beat(2.0, 5), host=None), NODES)[0].host is None


def test_the_most_pings_come_first_and_the_longest_interval_counts() -> None:
    pings = everywhere(beat(5.0, 5), method="HEAD") + everywhere(beat(2.0, 9))
    found = calibrate(History(probes=pings), NODES)
    assert [p.method for p in found.probers] == ["GET", "HEAD"]
    assert found.interval_s == 5.0


def test_a_monitor_sets_no_budget() -> None:
    found = calibrate(History(probes=everywhere(beat(30.0, 5), user_agent="curl/8")), NODES)
    assert found.interval_s is None
    assert (found.out_budget_s, found.in_budget_s) == (1.5, 1.5)


def test_nothing_tried_is_neither_reacting_nor_blind() -> None:
    found = calibrate(History(probes=everywhere(beat(2.0, 5))), NODES)
    assert (found.drained, found.reacts, found.out_after_s) == (False, False, None)
    assert not case(History(), found).blind


def test_a_drain_without_an_effect_is_blindness() -> None:
    found = calibrate(drained(out=None, back=16 * SECOND), NODES)
    assert case(History(), found).blind
    assert found.document()["out_after_s"] is None
    assert not case(History(), calibrate(drained(out=12 * SECOND, back=None), NODES)).blind


def test_the_last_request_before_the_drain_is_no_negative_reaction() -> None:
    assert calibrate(drained(out=9 * SECOND, back=None), NODES).out_after_s == 0.0


def test_what_came_after_the_drain_says_nothing_about_the_interval() -> None:
    history = drained(out=12 * SECOND, back=16 * SECOND)
    before = calibrate(history, NODES)
    history.probes += everywhere(beat(0.1, 50, start_s=11.0))
    history.requests.append(request(None, method="GET", target="/late", t_ns=11 * SECOND))
    assert calibrate(history, NODES) == before


def test_requests_of_ours_are_not_the_balancers() -> None:
    history = History(
        requests=[request("a1", t_ns=1), *[request(None, method="GET", target="/", t_ns=n) for n in (1, 2)]]
    )
    assert calibrate(history, NODES).other == (("GET /", 2),)


def test_only_connections_that_said_nothing_and_are_closed_are_bare() -> None:
    def connection(conn: int, **facts: int | None) -> Connection:
        usual: dict[str, Any] = {"opened_ns": 1, "closed_ns": 2}
        return Connection(node="node-1", boot=1, conn=conn, peer="127.0.0.1:1", tls=False, **{**usual, **facts})

    history = History(
        connections=[
            connection(1), connection(2, requests=1, bytes_in=90), connection(3, bytes_in=9), connection(4, closed_ns=None),
            connection(5, opened_ns=99),
        ]
    )  # fmt: skip
    assert calibrate(history, NODES, until_ns=50).bare_connections == 1
