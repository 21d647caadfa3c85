"""Finds successes that no node gave, and makes each check answer for its own uploads that were lost, doubled or changed.

The vendor's push action takes any 2xx for a stored package, and follows a redirect as a GET, so that an answer of the balancer's
own counts as a success if it is one of these.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mocknode.judge.record.history import Attempt, History, Request
from mocknode.judge.record.ledger import Class, classify
from mocknode.judge.verdict import foreign
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.outcome import Outcome, Variant

REDIRECTS: Final = (301, 302, 303)
"""Statuses after which a client asks for the other place with a GET; it repeats a POST after 307 and 308."""
HURTS: Final = (
    "CI: a push takes any 2xx for a stored package, so builds are green although nothing was stored; steps that wait for a task "
    "break on the page"
)


@dataclass(frozen=True, slots=True)
class _Harm:
    summary: str
    cause: str
    hurts: str
    root: str | None = None


_LOST: Final = _Harm("an upload was answered {status}, but no node has stored it", "own-answer-is-success", HURTS)
_ASTRAY: Final = _Harm(
    "the upload went to a server that is none of the nodes, which answered {status}, and no node has it",
    foreign.CAUSE,
    foreign.HURTS,
    foreign.ROOT,
)
_AWAY: Final = _Harm(
    "the balancer answers an upload with {status}, a redirect: clients follow it with a GET, and no node has the package",
    "own-answer-is-success",
    HURTS,
)
_HARMS: Final[dict[Class, _Harm]] = {
    "lost": _LOST,
    "delivered_twice": _Harm(
        "the upload was delivered more than once", "post-replayed", "CI: the package is pushed twice", "RT-01"
    ),
    "corrupted": _Harm(
        "a package was stored, but changed on the way",
        "truncated-body-completed",
        "everybody who deploys the package: it is not what was pushed",
        "UP-08",
    ),
}
_REWRITTEN: Final = _Harm(
    "a node refused the upload, but the client was answered {status}",
    "answer-rewritten",
    "CI: a push that failed counts as done",
)


def own_successes(history: History, attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return the attempts whose client was told of a success, or sent elsewhere, by somebody else than a node."""
    answered: dict[str, set[int]] = {}
    for request in history.requests:
        if request.attempt is not None and request.status is not None:
            answered.setdefault(request.attempt, set()).add(request.status // 100)
    return [
        a
        for a in attempts
        if a.status is not None
        and (a.told == "acknowledged" or a.status in REDIRECTS)
        and a.status // 100 not in answered.get(a.id, ())
    ]


def answer_for_uploads(case: Case, check: str, variants: Sequence[Variant]) -> list[Variant]:
    """Return the variants, and a failure for each upload of the check that was harmed and that none of them fails for."""
    failed = [v for v in variants if v.outcome is Outcome.FAIL]
    explained = {v.evidence.get("attempt") for v in failed}
    sent_away = {v.evidence.get("attempt") for v in failed if v.cause in (_AWAY.cause, foreign.CAUSE)}
    found = list(variants)
    for attempt, harm in _harmed(case.history, check):
        # A redirect looks like a refusal, for instance of too large a body.
        if attempt.id in (sent_away if harm is _AWAY else explained):
            continue
        names = [v.name for v in found if v.evidence.get("attempt") == attempt.id]
        # What else a variant says about this upload follows from the answer that its client should not have got.
        found = [v for v in found if v.evidence.get("attempt") != attempt.id]
        found.append(
            case.breaks(
                names[0] if names else _free_name(attempt, found),
                "core",
                harm.summary.format(status=attempt.status),
                cause=harm.cause,
                hurts=harm.hurts,
                caused_by=None if harm.root == check else harm.root,
                attempt=attempt.id,
                status=attempt.status,
                end=attempt.end,
                server=attempt.header("Server"),
                answer=" ".join(attempt.body.split()),
            )
        )
    return found


def _free_name(attempt: Attempt, variants: Sequence[Variant]) -> str:
    taken = {v.name for v in variants}
    name = f"{attempt.variant or 'upload'}-ledger"
    return next(n for n in (name, *(f"{name}-{k}" for k in range(2, len(taken) + 3))) if n not in taken)


def _harmed(history: History, check: str) -> list[tuple[Attempt, _Harm]]:
    uploads = {a.id: a for a in history.attempts_of(check) if a.sha1 is not None}
    seen: dict[str, list[Request]] = {id_: [] for id_ in uploads}
    for request in history.requests:
        if request.attempt in seen:
            seen[request.attempt].append(request)
    found = []
    for id_, attempt in uploads.items():
        kind = classify(attempt, seen[id_])
        if attempt.status in REDIRECTS and own_successes(history, [attempt]):
            found.append((attempt, _AWAY if foreign.known(history) is None else _ASTRAY))
            continue
        # What did not happen is known only once the journals are read up to the attempt's end.
        if kind not in _HARMS or (kind == "lost" and attempt.ended_ns > history.synced_ns):
            continue
        refused = kind == "lost" and any(r.status is not None and r.status >= 400 for r in seen[id_])
        astray = kind == "lost" and not seen[id_] and foreign.known(history) is not None
        found.append((attempt, _ASTRAY if astray else _REWRITTEN if refused else _HARMS[kind]))
    return found
