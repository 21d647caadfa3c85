"""Whatever was recorded, in whatever order and however torn: a judge answers, in known words, and never out of nothing."""

import datetime
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mocknode.judge.catalogue.registry import CAUSES, CHECKS
from mocknode.judge.catalogue.shared import drain_sequence
from mocknode.judge.record.history import Attempt, History, Probe, Request, Session, Step, TentacleConnection
from mocknode.judge.record.ledger import balance
from mocknode.judge.run.judging import Facts, judge
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.outcome import Outcome, merge, overall
from tests.judge.histories import BLIND, DIGEST, NODES, SECOND, SEEING, attempt, case, probe, request
from tests.judge.polling_histories import ADDRESSES, BALANCERS, HELLO, OTHER_HELLO, OURS, THEIRS, seen, session

pytestmark = pytest.mark.burns

TODAY = datetime.date(2026, 11, 23)
UNCALIBRATED = replace(SEEING, probers=(), out_after_s=None, in_after_s=None, drained=False)
VARIANTS = (
    *("418", "503", "reset", "302", "204", "hang", "freeze", "close", "truncated", "idle", "start", "refused"),
    *("empty", "1024", "1048577", "2147483649", "pause", "steady-95s", "stall-45s", "stall-70s", "18s-1", "65s-2"),
    *("plain", "trailers", "http", "https-spoofed", "fresh", "kept", "http1-before", "http1-after", drain_sequence.ID),
)  # fmt: skip
WHATS = (
    *("blind", "418", "tried", "control-200", "set", "burst-done", "drained", "start-done", "turned", "ended"),
    *(
        "stand",
        "back",
        "down",
        "first-drained",
        "one-left-done",
        "all-out-done",
        "watched",
        "drain",
        "out",
        "resume",
        "in",
    ),
)
POLLED = (
    *("plain", "alpn", "dedicated", "long-hello", "no-name", "by-name-none", "node-down", "live", "before", "new"),
    *("35s", "65s", "talking", "undrained", "half-close", "fleet"),
)  # fmt: skip
NODE = st.sampled_from([*NODES, None])
TIME = st.integers(0, 100 * SECOND)
MAYBE_TIME = st.none() | TIME
STATUS = st.sampled_from([200, 201, 400, 413, 429, 502, 503, 504, None])


@st.composite
def attempts(draw: st.DrawFn, check: str) -> Attempt:
    """One whose parts need not fit each other."""
    started_ns, status = draw(TIME), draw(STATUS)
    told = "nothing" if status is None else "acknowledged" if status < 300 else "error"
    return attempt(
        draw(st.sampled_from("abcd")),
        check=draw(st.sampled_from([check, "traffic"])),
        variant=draw(st.sampled_from(VARIANTS)),
        started_ns=started_ns,
        head_sent_ns=draw(MAYBE_TIME),
        body_sent_ns=draw(MAYBE_TIME),
        body_bytes=draw(st.integers(0, 10)),
        response_ns=draw(MAYBE_TIME),
        ended_ns=started_ns + draw(TIME),
        told=told,
        end=draw(st.sampled_from(["complete", "reset", "eof", "timeout", "refused", "aborted", "protocol-error"])),
        status=status,
        node=draw(NODE),
        marks=draw(st.dictionaries(st.sampled_from(["pause", "continue"]), TIME)),
        sha1=draw(st.sampled_from([None, DIGEST])),
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw a request of some attempt, or of none."""
    return request(
        draw(st.sampled_from(["a", "b", "c", "d", None])),
        node=draw(st.sampled_from(NODES)),
        t_ns=draw(TIME),
        complete=draw(st.booleans()),
        sha1=draw(st.sampled_from([None, DIGEST, "b" * 40])),
        status=draw(STATUS),
        first_body_ns=draw(MAYBE_TIME),
        ended_ns=draw(MAYBE_TIME),
        faults=draw(st.sampled_from([(), ("f1",)])),
        headers=draw(
            st.sampled_from([(), (("Host", "octopus.example.test"), ("X-Forwarded-For", "192.0.2.66, 127.0.0.2"))])
        ),
    )


@st.composite
def probes(draw: st.DrawFn) -> Probe:
    """Answered, hanging or given up."""
    answered: dict[str, Any] = {"status": draw(STATUS), "answered_ns": draw(MAYBE_TIME), "ended_ns": draw(MAYBE_TIME)}
    return probe(draw(st.sampled_from(NODES)), draw(TIME), **answered)


@st.composite
def sessions(draw: st.DrawFn, check: str) -> Session:
    """Draw a session that came to any stage and was ended by either side."""
    return session(
        check,
        draw(st.sampled_from(POLLED)),
        draw(st.sampled_from(NODES)),
        id=draw(st.sampled_from("abcd")),
        started_ns=draw(TIME),
        identified_ns=draw(MAYBE_TIME),
        ended_ns=draw(TIME),
        by=draw(st.sampled_from(["peer", "self", "nobody"])),
        how=draw(st.sampled_from(["fin", "rst", "refused", "silence"])),
        stage=draw(st.sampled_from(["new", "tcp", "tls", "greeted", "identified"])),
        server=draw(st.sampled_from([None, THEIRS, BALANCERS])),
        hello=draw(st.sampled_from([None, HELLO])),
        marks=draw(st.dictionaries(st.sampled_from(["message", "answered", "proceeded", "half-closed", "rest"]), TIME)),
    )


@st.composite
def connections(draw: st.DrawFn, check: str) -> TentacleConnection:
    """Draw a connection of some session, or of none."""
    return seen(
        draw(sessions(check)),
        draw(st.sampled_from(NODES)),
        opening=draw(st.sampled_from([None, "tls", "plain", "http", "proxy-v1", "proxy-v2"])),
        hello=draw(st.sampled_from([None, HELLO, OTHER_HELLO])),
        identified_ns=draw(MAYBE_TIME),
        thumbprint=draw(st.sampled_from([None, OURS, BALANCERS])),
        subscription=draw(st.sampled_from([None, "poll://a/", "poll://b/"])),
        cause=draw(st.sampled_from([None, "end", "no-certificate", "untrusted-certificate", "plain-text"])),
    )


@st.composite
def steps(draw: st.DrawFn, check: str) -> Step:
    """With every fact that a judge may ask for, some of them None where that has a meaning."""
    detail = {
        "node": draw(st.sampled_from(NODES)), "nodes": draw(st.lists(st.sampled_from(NODES), min_size=1, unique=True)),
        "variant": draw(st.sampled_from(VARIANTS)), "at_ns": draw(TIME),
        "how": draw(st.sampled_from(["hang", "freeze", "reset"])), "status": draw(st.sampled_from(["302", "503", "200-garbage-body"])),
        "since_ns": draw(TIME), "out_ns": draw(MAYBE_TIME), "in_ns": draw(MAYBE_TIME), "back_ns": draw(TIME),
        "wanted": draw(st.integers(1, 9)), "stand": 1, "missing": draw(st.integers(0, 9)), "after_s": 60.0,
        "bound_s": 30.0, "watched_s": 5.0, "resumed_ns": draw(TIME), "waited_s": draw(st.floats(0, 100)),
        "idle_s": 90.0, "never": draw(st.booleans()),
    }  # fmt: skip
    for name in draw(st.sets(st.sampled_from(sorted(detail)), max_size=1)):
        del detail[name]
    owner = draw(st.sampled_from([check, drain_sequence.ID, "calibration"]))
    return Step(check=owner, what=draw(st.sampled_from(WHATS)), t_ns=draw(TIME), detail=detail)


@st.composite
def histories(draw: st.DrawFn, check: str) -> History:
    """A few events of each kind."""
    detail = {"own": dict(ADDRESSES), "names": {}, "thumbprints": dict.fromkeys(ADDRESSES, THEIRS)}
    told = [Step(check="passage", what="addresses", t_ns=0, detail=detail)] if draw(st.booleans()) else []
    return History(
        attempts=draw(st.lists(attempts(check), max_size=6)),
        requests=draw(st.lists(requests(), max_size=6)),
        probes=draw(st.lists(probes(), max_size=4)),
        steps=[*told, *draw(st.lists(steps(check), max_size=6))],
        sessions=draw(st.lists(sessions(check), max_size=6)),
        tentacles=draw(st.lists(connections(check), max_size=6)),
    )


@pytest.mark.parametrize("id_", CHECKS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_a_judge_answers_in_known_words_and_the_same_twice(id_: str, data: st.DataObject) -> None:
    history = data.draw(histories(id_))
    calibration = data.draw(st.sampled_from([SEEING, BLIND, UNCALIBRATED]))
    facts = Facts(
        nodes=NODES, tier=data.draw(st.sampled_from(["quick", "full"])), patience_s=75.0, max_upload=1 << 62,
        public_name="octopus.example.test", kind=data.draw(st.sampled_from([None, "nginx", "haproxy", "aws-alb"])),
        layer=data.draw(st.sampled_from(["l4", "l7"])), all_drained=data.draw(st.sampled_from([None, "open", "closed"])),
        lanes={id_: "lane"}, core_only=data.draw(st.booleans()),
    )  # fmt: skip
    (found,) = judge([id_], facts, {"lane": history}, calibration, TODAY)
    assert found.variants
    for variant in found.variants:
        blamed = variant.outcome in (Outcome.FAIL, Outcome.ADVICE, Outcome.LIMITATION)
        assert variant.summary
        assert variant.tier in (facts.tier, "full")
        assert (variant.cause in CAUSES) if blamed else variant.cause in (None, "random-balancing")
        assert bool(variant.hurts) == blamed
        assert variant.caused_by in (None, *CHECKS)
        assert variant.caused_by != id_
    assert found == judge([id_], facts, {"lane": history}, calibration, TODAY)[0]


@pytest.mark.parametrize("id_", CHECKS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_check_passes_whose_uploads_the_ledger_calls_lost_doubled_or_corrupt(id_: str, data: st.DataObject) -> None:
    history = replace(data.draw(histories(id_)), synced_ns=1000 * SECOND)
    # A judge may know two attempts of one id apart, a ledger cannot.
    history = replace(history, attempts=list({a.id: a for a in history.attempts}.values()))
    facts = Facts(nodes=NODES, tier="full", patience_s=75.0, max_upload=1 << 62, public_name="x", lanes={id_: "lane"})
    (found,) = judge([id_], facts, {"lane": history}, SEEING, TODAY)
    counts = balance([replace(history, attempts=history.attempts_of(id_))]).by_class()
    if counts["lost"] or counts["delivered_twice"] or counts["corrupted"]:
        assert overall([found]) in ("nonconformant", "partial")


@pytest.mark.parametrize("calibration", [SEEING, BLIND, UNCALIBRATED], ids=["seeing", "blind", "uncalibrated"])
@pytest.mark.parametrize("tier", ["quick", "full"])
@pytest.mark.parametrize("id_", [id_ for id_ in CHECKS if id_ != "HC-01"])
def test_an_empty_history_proves_nothing(id_: str, tier: str, calibration: Calibration) -> None:
    variants = CHECKS[id_].judge(case(History(), calibration, tier=tier))
    result = merge(id_, "", "web", variants, duration_s=0.0)
    assert {v.outcome for v in result.variants} == {Outcome.UNKNOWN}


def test_without_a_calibration_nobody_is_called_blind() -> None:
    (found,) = CHECKS["HC-01"].judge(case(History(), UNCALIBRATED))
    assert found.outcome is Outcome.UNKNOWN
