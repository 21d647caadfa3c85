"""Outcomes by the table: what merges to what, what an owner may accept, and what the run's exit code becomes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.verdict.outcome import (
    EXIT_CODES,
    CheckResult,
    Level,
    Outcome,
    Variant,
    accept,
    failed,
    merge,
    overall,
)

WORST_FIRST = ("fail", "unknown", "advice", "limitation", "observed", "accepted", "pass", "skip")


def variant(outcome: Outcome, level: Level = "core", **more: str) -> Variant:
    return Variant(name="v", level=level, tier="full", outcome=outcome, summary=f"{outcome.value} {level}", **more)  # type: ignore[arg-type]


def result(*variants: Variant) -> CheckResult:
    return merge("X-01", "x", "web", variants, duration_s=1.5)


def test_the_order_of_outcomes_is_the_contract() -> None:
    assert tuple(o.value for o in Outcome) == WORST_FIRST
    assert [o.badness for o in Outcome] == list(range(8))


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(Outcome, 2)))
def test_the_worse_of_two_speaks(one: Outcome, other: Outcome) -> None:
    worse = min((one, other), key=lambda o: WORST_FIRST.index(o.value))
    assert result(variant(one), variant(other)).outcome is worse


def test_a_result_says_what_its_worst_variant_says() -> None:
    root = variant(Outcome.FAIL, cause="c", hurts="h", caused_by="HC-01")
    found = result(variant(Outcome.PASS), root)
    assert (found.summary, found.cause, found.hurts, found.caused_by) == ("fail core", "c", "h", "HC-01")
    assert (len(found.variants), found.duration_s) == (2, 1.5)


def test_nothing_looked_at_is_unknown_and_core() -> None:
    found = result()
    assert (found.outcome, found.core_unknown, found.variants[0].name) == (Outcome.UNKNOWN, True, "evidence")


@pytest.mark.parametrize(
    ("level", "outcome"),
    [("core", Outcome.FAIL), ("extended", Outcome.ADVICE), ("policy", Outcome.OBSERVED)],
)
def test_what_a_claim_becomes_that_does_not_hold(level: Level, outcome: Outcome) -> None:
    assert failed(level) is outcome


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_failure_or_an_advice_can_be_accepted(outcome: Outcome) -> None:
    before = result(variant(outcome))
    after = accept(before, "known", "2027-03-01")
    if outcome in (Outcome.FAIL, Outcome.ADVICE):
        assert after.outcome is Outcome.ACCEPTED
        assert after.summary.endswith("(accepted until 2027-03-01: known)")
    else:
        assert after is before


def test_an_acceptance_that_is_over_leaves_the_failure_and_is_remembered() -> None:
    after = accept(result(variant(Outcome.FAIL)), "known", "2027-03-01", expired=True)
    assert after.outcome is Outcome.FAIL
    assert after.summary.endswith("(accepted until 2027-03-01 only: known)")


def test_an_acceptance_does_not_hide_what_could_not_be_decided() -> None:
    accepted = accept(result(variant(Outcome.FAIL), variant(Outcome.UNKNOWN)), "known", "2027-03-01")
    assert overall([accepted]) == "partial"


@pytest.mark.parametrize(
    ("variants", "expected", "code"),
    [
        ([variant(Outcome.PASS)], "conformant", 0),
        ([variant(Outcome.SKIP)], "conformant", 0),
        ([variant(Outcome.UNKNOWN, "extended")], "conformant", 0),
        ([variant(Outcome.UNKNOWN, "policy")], "conformant", 0),
        ([variant(Outcome.LIMITATION, "extended")], "conformant", 0),
        ([variant(Outcome.LIMITATION)], "limited", 0),
        ([variant(Outcome.UNKNOWN)], "partial", 4),
        # A core claim behind a worse one of the same check still counts.
        ([variant(Outcome.ADVICE, "extended"), variant(Outcome.LIMITATION)], "limited", 0),
        ([variant(Outcome.UNKNOWN, "extended"), variant(Outcome.UNKNOWN)], "partial", 4),
        ([variant(Outcome.UNKNOWN), variant(Outcome.FAIL)], "nonconformant", 1),
    ],
)
def test_what_one_check_makes_of_a_run(variants: list[Variant], expected: str, code: int) -> None:
    found = overall([result(*variants)])
    assert (found, EXIT_CODES[found]) == (expected, code)
    assert EXIT_CODES[overall([result(*variants)], trusted=False)] == 5


@pytest.mark.parametrize(
    ("outcome", "unfinished", "left_out", "expected", "code"),
    [
        (Outcome.PASS, ["HC-02"], [], "partial", 4),
        (Outcome.LIMITATION, ["HC-02"], [], "partial", 4),
        (Outcome.FAIL, ["HC-02"], [], "nonconformant", 1),
        (Outcome.PASS, [], ["HC-02"], "passed", 0),
        (Outcome.LIMITATION, [], ["HC-02"], "limited", 0),
        (Outcome.UNKNOWN, [], ["HC-02"], "partial", 4),
        (Outcome.PASS, ["HC-01"], ["HC-02"], "partial", 4),
    ],
)
def test_a_run_is_conformant_only_with_every_check(
    outcome: Outcome, unfinished: list[str], left_out: list[str], expected: str, code: int
) -> None:
    found = overall([result(variant(outcome))], unfinished=unfinished, left_out=left_out)
    assert (found, EXIT_CODES[found]) == (expected, code)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(Outcome.ACCEPTED, "limited"), (Outcome.FAIL, "nonconformant"), (Outcome.UNKNOWN, "partial")],
)
def test_a_run_that_lost_an_upload_is_never_conformant(outcome: Outcome, expected: str) -> None:
    assert overall([result(variant(outcome))], harmed=True) == expected


@given(st.lists(st.sampled_from(Outcome), max_size=6))
def test_a_run_is_conformant_only_without_core_failure_unknown_and_limitation(outcomes: list[Outcome]) -> None:
    found = overall(result(variant(o)) for o in outcomes)
    bad = {Outcome.FAIL, Outcome.UNKNOWN, Outcome.LIMITATION}
    assert (found == "conformant") == (bool(outcomes) and not bad & set(outcomes))
