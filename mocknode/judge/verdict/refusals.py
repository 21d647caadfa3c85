"""Finds requests that failed for what the balancer did of its own accord, so that no check blames what it measures.

Three causes: the balancer answers by itself although nodes are healthy (a limit of rate, a rule, a maintenance page); it has no
room for bodies; or it changes the head, and the node refuses what is left. Each has one check that reports it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mocknode.judge.record.history import Attempt, History, Request
from mocknode.judge.verdict import foreign
from mocknode.judge.verdict.outcome import Outcome, Variant, failed

OWN: Final = "refused-by-balancer"
ROOM: Final = "no-room-for-bodies"
HEAD: Final = "request-head-changed"
ROOTS: Final[Mapping[str, str]] = {OWN: "PR-05", ROOM: "UP-01", HEAD: "PR-01"}
"""The check that reports each cause."""
HURTS: Final[Mapping[str, str]] = {
    OWN: "everybody behind one address, such as a build farm: requests are refused although the nodes have room",
    ROOM: "everybody who pushes a package: whatever does not fit the balancer's memory buffer is refused",
    HEAD: "everybody whose requests need what the balancer takes away: the nodes refuse them",
}
RULES: Final[Mapping[int, str]] = {
    401: "a sign-in of its own",
    403: "a rule of its own, such as a WAF's",
    406: "a rule of its own, such as a WAF's",
    429: "a limit on rate or on connections",
    503: "a limit on rate or on connections, or a maintenance page",
}
"""What an answer of the balancer's own means while the nodes are healthy. 413 speaks of size, 502 and 504 of a node."""
_ANYTIME: Final = (401, 403, 406, 429)
"""Answers that say nothing about the nodes, also while these are disturbed."""
_BEFORE: Final = ("ready", "preflight")
"""Requests that are sent until the balancer knows its nodes; it may answer 503 to them."""
_NO_ROOM: Final = (500, 507)
_KEYS: Final = ("X-Octopus-ApiKey", "X-NuGet-ApiKey", "Authorization", "Cookie")
_READ: Final[Mapping[int, Sequence[str]]] = {
    400: ("Content-Type", "Host"), 401: _KEYS, 403: _KEYS, 404: ("Host",), 415: ("Content-Type",), 421: ("Host",),
}  # fmt: skip
"""The headers that a node reads before it answers such a status."""
_PLACES: Final = (400, 404, 405)
"""What a node answers to a method or path that it does not know."""
# Fewer answers of the balancer's own than this do not change what a check of many requests measures.
MANY: Final = 3
_SEEN_AT_NODES: Final = frozenset({
    foreign.CAUSE, "own-answer-is-success", "broken-upload-acknowledged", "post-replayed", "truncated-body-completed",
    "accepts-redirect", "accepts-other-2xx", "accepts-4xx", "accepts-5xx", "traffic-before-first-verdict",
})  # fmt: skip
"""Causes proven by what a node received or a client was told; a refused request takes nothing from that."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one request failed: one of the three causes, and a sentence."""

    cause: str
    summary: str


def refusals(history: History, attempts: Iterable[Attempt]) -> dict[str, Refusal]:
    """Return why each of these attempts failed, by its id; those that the balancer did not refuse or spoil are left out."""
    if foreign.known(history) is not None:
        return {}
    failed_ones = [a for a in attempts if a.status is not None and a.status >= 400]
    seen: dict[str, list[Request]] = {a.id: [] for a in failed_ones}
    for request in history.requests:
        if request.attempt in seen:
            seen[request.attempt].append(request)
    disturbed_ns = _disturbed_from(history)
    found = {a.id: _refusal(a, seen[a.id], calm=a.started_ns < disturbed_ns) for a in failed_ones}
    return {id_: refusal for id_, refusal in found.items() if refusal is not None}


def _disturbed_from(history: History) -> float:
    """Return when the first node was disturbed; until then every node can serve."""
    times = [s.t_ns for s in history.states if s.state in ("draining", "offline")]
    return min([*times, *(f.t_ns for f in history.faults)], default=float("inf"))


def _refusal(attempt: Attempt, seen: Sequence[Request], *, calm: bool) -> Refusal | None:
    status = attempt.status or 0
    if seen:
        change = _change(attempt, seen[-1])
        return None if change is None else Refusal(HEAD, f"{change}, and the node answers {seen[-1].status}")
    if attempt.node is not None:
        return None
    if status in _NO_ROOM and attempt.body_bytes:
        return Refusal(ROOM, f"the balancer itself answers {status} to a body that its memory does not hold")
    if status in _ANYTIME or (calm and status in RULES and attempt.check not in _BEFORE):
        return Refusal(OWN, f"the balancer itself refuses with {status}, from no node: {RULES[status]}")
    return None


def _change(attempt: Attempt, seen: Request) -> str | None:
    """Return what of the head the node saw otherwise than it was sent, if that is why it refused."""
    if seen.status is None or seen.status < 400 or not attempt.sent_headers:
        return None
    sent = {name.lower(): value for name, value in attempt.sent_headers}
    for name in _READ.get(seen.status, ()):
        if name.lower() not in sent:
            continue
        got = seen.header(name)
        if got is None:
            return f"the header {name} was sent and did not arrive"
        # A node answers any name; it does not journal the values of keys.
        if name == "Content-Type" and got != sent[name.lower()]:
            return f"the header {name} was sent as {sent[name.lower()]!r} and arrived as {got!r}"
    if seen.status in _PLACES and attempt.method != seen.method:
        return f"{attempt.method} was sent and arrived as {seen.method}"
    if seen.status in _PLACES and attempt.target.partition("?")[0] != seen.target.partition("?")[0]:
        return f"the path {attempt.target.partition('?')[0]} was sent and arrived as {seen.target.partition('?')[0]}"
    return None


def blame(
    check: str, variants: Sequence[Variant], mine: Mapping[str, Refusal], shared: Mapping[str, Refusal], known: set[str]
) -> list[Variant]:
    """Return the variants, in which those measured through refused requests say so instead of what they measured.

    Args:
        mine: Why requests of the check failed.
        shared: Why requests of the traffic that it measures by failed.
        known: Causes that their own check reports; where it does not, the variant is the failure.
    """
    own = [r for r in (*mine.values(), *shared.values()) if r.cause == OWN]
    usual = own[0] if len(own) >= MANY else None
    first = next(iter(mine.values()), None)
    return [
        _blamed(v, mine.get(v.evidence.get("attempt", ""), usual or (first if _nameless(v) else None)), check, known)
        for v in variants
    ]


def _nameless(variant: Variant) -> bool:
    """Return whether the variant is undecided and does not say by which request."""
    return variant.outcome is Outcome.UNKNOWN and "attempt" not in variant.evidence


def _blamed(variant: Variant, refusal: Refusal | None, check: str, known: set[str]) -> Variant:
    undecided = variant.outcome in (Outcome.FAIL, Outcome.UNKNOWN, Outcome.ADVICE, Outcome.LIMITATION)
    if refusal is None or not undecided or variant.cause in _SEEN_AT_NODES or variant.cause in ROOTS:
        return variant
    root = ROOTS[refusal.cause]
    if refusal.cause in known:
        return replace(
            variant, outcome=Outcome.UNKNOWN, summary=refusal.summary, cause=None, hurts=None, ruled_out=(),
            caused_by=None if root == check else root,
        )  # fmt: skip
    return replace(
        variant, level="core", outcome=failed("core"), summary=refusal.summary, cause=refusal.cause,
        hurts=HURTS[refusal.cause], ruled_out=(), caused_by=None,
    )  # fmt: skip
