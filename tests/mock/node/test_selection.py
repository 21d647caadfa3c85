import random

from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.node.faults import parse_fault
from mocknode.mock.node.faults.selection import Candidate, FaultSet

API = Candidate(ping=False)
PING = Candidate(ping=True)


def fault_set(*documents):
    made = FaultSet(random.Random(1))
    for number, document in enumerate(documents, 1):
        made.add(parse_fault({"id": f"f{number}", "kind": "reset", **document}), now_s=0.0, pings=0)
    return made


def hits(made, *candidates):
    return [[fault for fault, _ in made.select(item)] for item in candidates]


def test_scope_decides():
    made = fault_set({"on": "ping"}, {"on": "api"}, {"on": "all"})
    assert hits(made, PING, API) == [["f1", "f3"], ["f2", "f3"]]


def test_an_attempt_is_hit_and_no_other():
    made = fault_set({"attempt": "a-1"})
    assert hits(made, API, Candidate(ping=False, attempt="a-2"), Candidate(ping=False, attempt="a-1")) == [
        [],
        [],
        ["f1"],
    ]


@given(first=st.integers(1, 5), every=st.integers(1, 5), requests=st.integers(0, 40))
def test_first_counts_hits_and_every_counts_requests(first, every, requests):
    made = fault_set({"first": first, "every": every})
    result = [bool(hit) for (hit,) in [hits(made, API) for _ in range(requests)]]
    expected = [number % every == 0 and number // every <= first for number in range(1, requests + 1)]
    assert result == expected


def test_a_request_that_cannot_reach_the_point_is_not_counted():
    made = fault_set({"first": 1, "options": {"at": "64KiB"}})
    short = Candidate(ping=False, has_body=True, length=100)
    long = Candidate(ping=False, has_body=True, length=100_000)
    chunked = Candidate(ping=False, has_body=True)
    assert hits(made, API, short, long, long) == [[], [], ["f1"], []]
    assert hits(fault_set({"options": {"at": "64KiB"}}), chunked) == [["f1"]]


def test_a_fault_waits_for_its_trigger():
    made = fault_set({"after": "3 pings"}, {"after": "5s"})
    assert hits(made, API) == [[]]
    assert [e.spec.id for e in made.activate(now_s=1.0, pings=3)] == ["f1"]
    assert hits(made, API) == [["f1"]]
    assert [e.spec.id for e in made.activate(now_s=5.0, pings=4)] == ["f2"]
    assert hits(made, API) == [["f1", "f2"]]


def test_pings_before_it_was_set_do_not_count():
    made = FaultSet(random.Random(1))
    made.add(parse_fault({"id": "f1", "kind": "reset", "after": "2 pings"}), now_s=0.0, pings=10)
    assert not made.activate(now_s=0.0, pings=11)
    assert made.activate(now_s=0.0, pings=12)


def test_the_ttl_runs_from_the_moment_it_became_active():
    made = fault_set({"after": "3 pings", "ttl": "10s"})
    assert made.expire(now_s=100.0) == []
    made.activate(now_s=100.0, pings=3)
    assert made.expire(now_s=109.0) == []
    assert [e.spec.id for e in made.expire(now_s=110.0)] == ["f1"]
    assert not made.faults


def test_an_exhausted_fault_is_reported_once():
    made = fault_set({"first": 1})
    assert made.newly_exhausted() == []
    made.select(API)
    assert [e.spec.id for e in made.newly_exhausted()] == ["f1"]
    assert made.newly_exhausted() == []


@given(seed=st.integers())
def test_a_seed_replays(seed):
    def run():
        made = FaultSet(random.Random(seed))
        options = {"delay": "1s", "jitter": "900ms"}
        made.add(parse_fault({"id": "f", "kind": "latency", "options": options}), now_s=0.0, pings=0)
        return [made.select(API) for _ in range(5)]

    assert run() == run()
