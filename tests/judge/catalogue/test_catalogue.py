"""Verdicts that no balancer at hand can be made to earn, from histories written by hand."""

from dataclasses import replace
from typing import Any

import pytest

from mocknode.judge.catalogue import dr_01, hc_01, pr_05, rt_01, tl_02, tl_03, tl_04, up_02, up_03, up_04, up_08
from mocknode.judge.record.history import History
from mocknode.judge.verdict.case import tail_probability
from mocknode.judge.verdict.outcome import Outcome, Variant
from mocknode.mock.node.web_server import KESTREL
from tests.judge import polling_histories as polling
from tests.judge.histories import BLIND, NODES, SECOND, SEEING, attempt, case, request, step


def only(variants: list[Variant], name: str) -> Variant:
    (found,) = [v for v in variants if v.name == name]
    return found


def verdict(variant: Variant) -> tuple[Outcome, str | None]:
    return variant.outcome, variant.cause


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({}, "no-active-probe"),
        ({"bare_connections": 30}, "probe-tcp-only"),
        ({"other": (("GET /", 30),)}, "probe-wrong-path"),
        ({"other": (("OPTIONS /", 30),)}, "probe-method-blind"),
        ({"other": (("GET /favicon.ico", 2),)}, "no-active-probe"),
    ],
)
def test_how_a_balancer_fails_to_see_a_418(more: dict[str, Any], cause: str) -> None:
    (found,) = hc_01.judge(case(History(), replace(BLIND, **more)))
    assert verdict(found) == (Outcome.FAIL, cause)


def test_a_truncated_body_that_arrives_as_whole() -> None:
    told = attempt(check="UP-08", variant="truncated", told="nothing", status=None, node=None)
    whole = History(attempts=[told], requests=[request()])
    torn = History(attempts=[told], requests=[request(complete=False)])
    assert verdict(up_08.judge(case(whole))[0]) == (Outcome.FAIL, "truncated-body-completed")
    assert verdict(up_08.judge(case(torn))[0]) == (Outcome.PASS, None)


@pytest.mark.parametrize("facts", [{"sha1": "b" * 40}, {"complete": False}])
def test_a_chunked_upload_that_arrives_changed_or_not_at_all(facts: dict[str, Any]) -> None:
    history = History(attempts=[attempt(check="UP-08", variant="plain")], requests=[request(**facts)])
    assert verdict(up_08.judge(case(history))[0]) == (Outcome.FAIL, "chunked-not-forwarded")


@pytest.mark.parametrize(
    ("variant", "client", "deliveries", "cause"),
    [
        ("close", {"status": 502, "told": "error", "node": None}, 1, None),
        ("close", {"status": 201}, 2, "post-replayed"),
        ("close", {"status": 201}, 1, "own-answer-is-success"),
        ("503", {"status": 503, "told": "error"}, 1, None),
        ("503", {"status": 502, "told": "error"}, 1, "answer-rewritten"),
        ("truncated", {"status": 201}, 1, "truncated-answer-completed"),
        ("truncated", {"status": 201, "told": "nothing", "end": "eof"}, 1, None),
    ],
)
def test_a_post_whose_node_fails(variant: str, client: dict[str, Any], deliveries: int, cause: str | None) -> None:
    seen = [request(node=f"node-{n + 1}", faults=("f1",), status=None) for n in range(deliveries)]
    (found,) = rt_01.judge(case(History(attempts=[attempt(check="RT-01", variant=variant, **client)], requests=seen)))
    assert verdict(found) == (Outcome.FAIL if cause else Outcome.PASS, cause)


def test_a_fault_that_did_not_act_proves_nothing() -> None:
    history = History(attempts=[attempt(check="RT-01", variant="close")], requests=[request()])
    assert rt_01.judge(case(history))[0].outcome is Outcome.UNKNOWN


def upload_under_drain(*deliveries: str, **client: Any) -> list[Variant]:
    told = attempt(check="DR-01", variant="418", ended_ns=30 * SECOND, body_sent_ns=29 * SECOND, **client)
    history = History(
        attempts=[told],
        requests=[request(node=node, req=n) for n, node in enumerate(deliveries)],
        steps=[
            step("DR-01", "turned", 5 * SECOND, variant="418", node="node-1", at_ns=5 * SECOND),
            step("DR-01", "ended", 31 * SECOND, variant="418"),
        ],
    )
    return dr_01.judge(case(history))


def test_an_upload_under_a_drain() -> None:
    assert verdict(only(upload_under_drain("node-1"), "418")) == (Outcome.PASS, None)
    assert verdict(only(upload_under_drain("node-1", "node-2"), "418")) == (Outcome.FAIL, "upload-redelivered")
    cut = upload_under_drain(status=None, told="nothing", end="reset", node=None)
    assert verdict(only(cut, "418")) == (Outcome.FAIL, "drain-cuts-upload")


def test_a_limit_on_the_whole_time_and_one_on_silence_are_told_apart_by_age() -> None:
    def cut(variant: str, at_s: int, **marks: int) -> Any:
        return attempt(
            variant,
            check="UP-03",
            variant=variant,
            status=504,
            told="error",
            node=None,
            response_ns=at_s * SECOND,
            marks=marks,
        )

    total = History(attempts=[cut("steady-95s", 60), cut("stall-70s", 60, pause=SECOND)])
    idle = History(
        attempts=[attempt("steady-95s", check="UP-03", variant="steady-95s"), cut("stall-70s", 51, pause=SECOND)],
        requests=[request("steady-95s")],
    )
    assert {v.cause for v in up_03.judge(case(total))} == {"upload-total-limit"}
    found = only(up_03.judge(case(idle)), "stall-70s")
    assert verdict(found) == (Outcome.ADVICE, "upload-idle-limit")
    assert found.evidence["silent_s"] == 50.0


def test_a_think_time_that_is_cut_names_its_limit_and_spread() -> None:
    cuts = [(0, 15.0), (1, 15.1), (2, 15.0)]
    history = History(
        attempts=[
            attempt(
                f"a{n}", check="UP-04", variant=f"18s-{n + 1}", status=504, told="error", node=None, body_sent_ns=0,
                response_ns=int(limit * SECOND),
            )
            for n, limit in cuts
        ],
        requests=[request(f"a{n}", status=None, req=n) for n, _ in cuts],
    )  # fmt: skip
    for found in up_04.judge(case(history)):
        assert verdict(found) == (Outcome.FAIL, "response-timeout")
        assert (found.evidence["limit_s"], found.evidence["spread_s"]) == (15.0, 0.1)


def spread(*counts: int) -> list[Variant]:
    served = [node for node, count in zip(NODES, counts, strict=True) for _ in range(count)]
    attempts = [
        attempt(f"a{n}", check="PR-05", variant="fresh", method="GET", sha1=None, node=node, status=200, started_ns=n)
        for n, node in enumerate(served)
    ]
    return pr_05.judge(case(History(attempts=attempts)))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((200, 200, 200), (Outcome.PASS, None)),
        ((230, 190, 180), (Outcome.PASS, None)),
        ((320, 140, 140), (Outcome.FAIL, "node-overloaded")),
        ((300, 300, 0), (Outcome.FAIL, "node-starved")),
        ((100, 100, 100), (Outcome.UNKNOWN, None)),
    ],
)
def test_shares_of_six_hundred_requests(counts: tuple[int, int, int], expected: tuple[Outcome, str | None]) -> None:
    assert verdict(only(spread(*counts), "fresh")) == expected


def test_the_false_alarm_rates_that_verdicts_claim() -> None:
    assert tail_probability(10, 0.5, 9) == pytest.approx(11 / 1024)
    # 1.5 times its share or more at one of three nodes, of 600 requests of a fair random balancer.
    assert 3 * tail_probability(600, 1 / 3, 301) < 1e-6


def test_a_calibration_that_reacts_is_not_blind() -> None:
    assert SEEING.reacts


def test_a_ping_that_nobody_asks_for_cannot_cut_an_upload() -> None:
    told = attempt(check="DR-01", variant="503", body_sent_ns=10 * SECOND)
    history = History(attempts=[told], requests=[request()])
    assert dr_01.judge(case(history, BLIND))[0].outcome is Outcome.SKIP
    assert dr_01.judge(case(history))[0].outcome is Outcome.UNKNOWN


def led(where: dict[str, str]) -> str:
    """What TL-02 says of sessions at the addresses of nodes that reached these nodes, a digit each."""
    pairs = []
    for node, reached in where.items():
        for number, digit in enumerate(reached):
            made = polling.session("TL-02", "dedicated", node, id=f"{node}-{number}")
            pairs.append((made, polling.seen(made, f"node-{digit}")))
    return only(tl_02.judge(polling.history(*pairs)), "dedicated").summary


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (
            {"node-1": "123", "node-2": "1232233223"},
            "the address of node-2 led to other nodes in 5 of 10 tries: node-1 1, node-3 4",
        ),
        (
            {"node-1": "22", "node-2": "11", "node-3": "33"},
            "node-1 and node-2 are swapped: the address of each always leads to the other",
        ),
        (
            {"node-1": "22", "node-2": "33", "node-3": "11"},
            "the addresses of 3 nodes are mixed up: that of node-1 leads to node-2, that of node-2 leads to node-3, that of node-3 "
            "leads to node-1",
        ),
        ({"node-1": "22", "node-2": "22"}, "the address of node-1 led to other nodes in 2 of 2 tries: node-2 2"),
        ({"node-1": "22", "node-2": "12"}, "the address of node-1 led to other nodes in 2 of 2 tries: node-2 2"),
    ],
)
def test_addresses_that_lead_elsewhere_are_counted_by_node_and_swapped_ones_named(
    where: dict[str, str], says: str
) -> None:
    assert led(where) == says


def test_a_pool_that_takes_over_for_a_node_that_is_down_is_one_cause() -> None:
    stray = polling.session("TL-02", "dedicated", id="stray")
    down = polling.session("TL-02", "node-down", id="down")
    pairs = [(made, polling.seen(made, "node-2")) for made in (stray, down)]
    found = tl_02.judge(polling.history(*pairs, steps=(step("TL-02", "down", SECOND, node="node-1"),)))
    assert {variant.cause for variant in found} == {"address-leads-elsewhere"}


@pytest.mark.parametrize(("tier", "tried"), [("quick", False), ("full", True)])
def test_a_failover_by_a_health_check_is_tried_in_full_or_said_not_to_be(tier: Any, tried: bool) -> None:
    found = tl_02.judge(replace(polling.tl_02("node-down", None), tier=tier))
    skipped = [variant.name for variant in found if variant.outcome is Outcome.SKIP]
    assert skipped == ([] if tried else ["failover-by-check"])


def test_a_limit_at_one_address_of_several_is_said_to_be_there() -> None:
    whole = polling.session(
        "TL-04", "35s", marks={"message": SECOND, "answered": 36 * SECOND, "proceeded": 36 * SECOND}
    )
    gone = polling.session("TL-04", "35s", "node-2", marks={"message": SECOND}, by="peer", ended_ns=21 * SECOND)
    found = tl_04.judge(polling.history(*((made, polling.seen(made)) for made in (whole, gone))))
    assert found[0].summary.endswith("after 20.0 s of silence at the address of node-2 only")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, "1 polling connections were kept and 1 new ones were accepted while their node drained"),
        ({"refused": True}, "1 polling connections were kept while their node drained"),
    ],
)
def test_a_drain_that_is_passed_says_what_stayed_and_what_came(facts: dict[str, bool], says: str) -> None:
    assert only(tl_03.judge(polling.tl_03(**facts)), "live").summary == says


def test_the_longest_silence_speaks_for_those_that_hold() -> None:
    sessions = [
        polling.session(
            "TL-04", f"{s}s", id=f"s{s}",
            marks={"message": SECOND, "answered": (1 + s) * SECOND, "proceeded": (1 + s) * SECOND},
        )
        for s in (31, 65, 35)
    ]  # fmt: skip
    found = tl_04.judge(polling.history(*((made, polling.seen(made)) for made in sessions)))
    assert [variant.name for variant in found] == ["65s", "35s", "31s"]


def test_the_real_web_server_would_wait_for_every_slow_upload_and_every_silence() -> None:
    sent = {**up_03.STEADY, **up_03.QUICK_STEADY}
    rates = [size / seconds for seconds, size in sent.values()]
    silences = [seconds for seconds, _ in (*up_03.STALLS.values(), *up_03.QUICK_STALLS.values())]
    rates += [up_03.STALL_AT / seconds for seconds in silences] + [up_02.BEFORE_PAUSE_BYTES / up_02.PAUSE_S]
    assert min(rates) > 2 * KESTREL.body_rate
