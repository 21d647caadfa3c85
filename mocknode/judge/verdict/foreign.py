"""A server in the pool that is none of the nodes: who answered what, and which findings follow from it.

The preflight sends its requests while every node is healthy, so an answer that no node gave comes from somewhere else. PR-05
measures its share.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from mocknode.judge.record.history import Attempt, History
from mocknode.judge.record.steps import PREFLIGHT, ForeignServer, first
from mocknode.judge.verdict.outcome import Outcome, Variant, failed

CAUSE: Final = "foreign-server"
ROOT: Final = "PR-05"
"""The check that finds this cause."""
HURTS: Final = "everybody whose request lands there: pages are missing, and an upload that it takes for good is acknowledged and stored nowhere"
# A balancer's own refusals: too large, too many, nobody to ask. A server in the pool would hardly give them.
_REFUSALS: Final = frozenset({408, 413, 429, 431, 502, 503, 504})


def known(history: History) -> ForeignServer | None:
    """Return what the preflight of this lane found in the pool, None if every answer came from a node or the balancer."""
    step = first(history, PREFLIGHT, ForeignServer)
    return None if step is None else step.facts


def quoted(status: int, server: str | None, body: str) -> str:
    """Return an answer in words: `200 by Apache/2.4 ('<h1>It works!</h1>')`."""
    text = " ".join(body.split())
    return f"{status}{f' by {server}' if server else ''}{f' ({text[:80]!r})' if text else ''}"


def foreign_note(found: ForeignServer) -> str:
    """Return the note of a run whose requests do not all reach a node."""
    answer = quoted(found.status, found.server, found.body)
    return (
        f"{found.answered} of {found.sent} requests were answered by a server that is none of the nodes, with {answer}; {ROOT} measures "
        "its share, and what else fails may follow from it"
    )


def elsewhere(history: History, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts that no node saw and that something else answered for good or ill, other than a balancer's refusal."""
    seen = {request.attempt for request in history.requests}
    return [a for a in attempts if a.status is not None and a.status not in _REFUSALS and a.id not in seen]


def blame(history: History, check: str, variants: Sequence[Variant]) -> list[Variant]:
    """Return the variants, in which those about requests that went to a foreign server blame it."""
    if known(history) is None:
        return list(variants)
    lost = {a.id: a for a in elsewhere(history, history.attempts_of(check))}
    return [
        _blaming(v, lost[v.evidence["attempt"]], check) if v.evidence.get("attempt") in lost else v for v in variants
    ]


def _blaming(variant: Variant, attempt: Attempt, check: str) -> Variant:
    if variant.cause == CAUSE or variant.outcome in (Outcome.PASS, Outcome.SKIP, Outcome.OBSERVED):
        return variant
    level = "core" if attempt.told == "acknowledged" else variant.level
    answer = quoted(attempt.status or 0, attempt.header("Server"), attempt.body)
    return replace(
        variant,
        level=level,
        outcome=failed(level),
        summary=f"the request went to a server that is none of the nodes, which answered {answer}",
        cause=CAUSE,
        caused_by=None if check == ROOT else ROOT,
        hurts=HURTS,
        ruled_out=(),
    )
