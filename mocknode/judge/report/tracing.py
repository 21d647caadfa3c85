"""Makes the timeline of one check from a history, small enough for a report.

What does not fit is left out by rank and counted in `left_out`. Requests that went wrong, uploads and requests to a node out of
rotation are kept first; of the rest an even sample is kept.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mocknode.judge.record.history import Attempt, FaultEvent, History, Request, Session, StateChange, Step, sessions_of
from mocknode.judge.report.schema import Bar, Interval, Lane, Mark, NodeBar, Timeline

# Forty checks share an HTML report of 1 MB that opens from an e-mail. A bar with its label takes about 500 bytes of SVG, a tick
# less than 20: with 20 bars and 150 ticks for each of four nodes a usual check stays at 25 KB.
BARS_MAX: Final = 20
TICKS_MAX: Final = 150
# Steps have labels, and labels that overlap cannot be read: a drawing of 1000 points has room for 30.
MARKS_MAX: Final = 30
# More bands than this on a lane of 800 points look like one.
INTERVALS_MAX: Final = 40
# Request targets and step details are shown on one line.
TEXT_MAX: Final = 120

# A good request without a body that takes less than this share of the span would be one point wide. It is left to the tick on
# its node's lane.
BAR_SPAN_SHARE_MIN: Final = 0.01
# Background traffic is recorded under this check; its variant names the check that needs the traffic.
BACKGROUND: Final = "traffic"
# The lowest rank of a bar: a request that went well and had no body.
ORDINARY: Final = 2
# The count of polling connections is shown in at most this many spans of time; each shows how many were open at its end.
POLLING_SPANS: Final = 40
GOT_THROUGH: Final = 200
# Steps that come after a check has closed its own connections.
RESTORING: Final = ("restore", "restored")

T = TypeVar("T")


def timeline(
    history: History,
    check_id: str,
    *,
    bars_max: int = BARS_MAX,
    ticks_max: int = TICKS_MAX,
    marks_max: int = MARKS_MAX,
    intervals_max: int = INTERVALS_MAX,
) -> Timeline:
    """Return the timeline of one check, an empty one of 0 seconds if the history has no trace of it.

    Args:
        history: The history of the lane that the check ran in.
        check_id: The check whose attempts, traffic and steps set the span; probes, states and faults within it are added.
        bars_max: Most attempts to keep.
        ticks_max: Most probes to keep for each node, and most arrivals.
        marks_max: Most steps to keep.
        intervals_max: Most states to keep for each node, and most faults.
    """
    steps = history.steps_of(check_id)
    own = [*history.attempts_of(check_id), *history.attempts_of(BACKGROUND, check_id)]
    sessions = sessions_of(history, check_id)
    spans = [(a.started_ns, a.ended_ns) for a in own] + [(s.started_ns, s.ended_ns) for s in sessions]
    instants = [*(t for span in spans for t in span), *(s.t_ns for s in steps)]
    if not instants:
        return Timeline(check=check_id, start_ns=0, span_s=0.0, lanes=[], bars=[], marks=[], left_out={})
    start_ns, end_ns = min(instants), max(instants)
    scale = _Scale(start_ns=start_ns, end_ns=end_ns)
    # Checks that read the same sequence of drains share its traffic.
    shared = (a for a in history.attempts_of(BACKGROUND) if a.variant != check_id and scale.holds(a.started_ns))
    attempts = [*own, *shared]
    ours: dict[str, list[Request]] = {a.id: [] for a in attempts}
    for request in history.requests:
        if request.attempt in ours:
            ours[request.attempt].append(request)
    ranks = {a.id: _bar_rank(a, ours[a.id]) for a in attempts}
    shortest_s = (end_ns - start_ns) / 1e9 * BAR_SPAN_SHARE_MIN
    telling = [a for a in attempts if ranks[a.id] < ORDINARY or a.duration_s >= shortest_s]
    bars = _chosen(telling, bars_max, rank=lambda a: ranks[a.id], at_ns=lambda a: a.started_ns)
    marks = _chosen(steps, marks_max, rank=lambda _: 1, at_ns=lambda s: s.t_ns)
    left_out = {"bars": len(telling) - len(bars), "marks": len(steps) - len(marks)}
    limits = (ticks_max, intervals_max)
    polled = _polled(history, sessions)
    last_ns = max((s.t_ns for s in steps if s.what not in RESTORING), default=end_ns)
    # After its last step a check only closes its own connections, unless it still opens some.
    done_ns = end_ns if any(s.started_ns > last_ns for s in sessions) else last_ns
    lanes = [
        _lane(history, node, ours.keys(), polled.get(node, []), scale, limits, left_out, done_ns)
        for node in _nodes(history)
    ]
    return Timeline(
        check=check_id,
        start_ns=start_ns,
        span_s=scale.seconds(end_ns),
        lanes=lanes,
        bars=[_bar(a, ours[a.id], scale) for a in bars],
        marks=[Mark(t_s=scale.seconds(s.t_ns), what=s.what, text=_facts(s, scale)) for s in marks],
        left_out={name: count for name, count in left_out.items() if count},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    start_ns: int
    end_ns: int

    def seconds(self, t_ns: int) -> float:
        return round((t_ns - self.start_ns) / 1e9, 4)

    def maybe(self, t_ns: int | None) -> float | None:
        return None if t_ns is None else self.seconds(t_ns)

    def holds(self, t_ns: int) -> bool:
        return self.start_ns <= t_ns <= self.end_ns


def _chosen(items: Sequence[T], count: int, *, rank: Callable[[T], int], at_ns: Callable[[T], int]) -> list[T]:
    """Choose at most `count` items, in order of time: all of the lowest ranks, and an even sample of the first that is too large."""
    chosen: list[T] = []
    for level in sorted({rank(item) for item in items}):
        same = sorted((item for item in items if rank(item) == level), key=at_ns)
        room = count - len(chosen)
        if len(same) <= room:
            chosen += same
        elif room > 0:
            # Keep both ends: readers look for the first and the last of a kind.
            last = max(room - 1, 1)
            chosen += [same[i * (len(same) - 1) // last] for i in range(room)]
    return sorted(chosen, key=at_ns)


def _bar_rank(attempt: Attempt, seen: Sequence[Request]) -> int:
    """Return 0 for an attempt that went wrong or was delivered twice, 1 for one with a body, `ORDINARY` for the rest."""
    if attempt.told != "acknowledged" or attempt.end not in ("complete", "aborted"):
        return 0
    if sum(request.complete for request in seen) > 1:
        return 0
    return 1 if attempt.file_bytes or attempt.body_bytes else ORDINARY


def _polled(history: History, sessions: Iterable[Session]) -> dict[str, list[Session]]:
    """Group sessions by the node that they reached, or by the node whose address they dialled if they reached none."""
    at = {c.subscription: c.node for c in history.tentacles if c.subscription is not None}
    found: dict[str, list[Session]] = {}
    for session in sessions:
        found.setdefault(at.get(f"poll://{session.id}/", session.node), []).append(session)
    return found


def _nodes(history: History) -> list[str]:
    seen = {item.node for items in (history.states, history.probes, history.requests, history.faults) for item in items}
    return sorted(seen, key=lambda name: (len(name), name))


def _bar(attempt: Attempt, seen: Sequence[Request], scale: _Scale) -> Bar:
    return Bar(
        attempt=attempt.id,
        variant=attempt.variant,
        title=f"{attempt.method} {attempt.target}"[:TEXT_MAX],
        bytes=attempt.body_bytes,
        start_s=scale.seconds(attempt.started_ns),
        head_s=scale.maybe(attempt.head_sent_ns),
        body_s=scale.maybe(attempt.body_sent_ns),
        response_s=scale.maybe(attempt.response_ns),
        end_s=scale.seconds(attempt.ended_ns),
        told=attempt.told,
        end=attempt.end,
        status=attempt.status,
        node=attempt.node,
        at=[_node_bar(r, scale) for r in sorted(seen, key=lambda r: r.t_ns)],
    )


def _node_bar(request: Request, scale: _Scale) -> NodeBar:
    return NodeBar(
        node=request.node,
        start_s=scale.seconds(request.t_ns),
        first_body_s=scale.maybe(request.first_body_ns),
        last_body_s=scale.maybe(request.last_body_ns),
        end_s=scale.maybe(request.ended_ns),
        status=request.status,
        end=request.end,
        received=request.received,
        complete=request.complete,
    )


def _lane(
    history: History,
    node: str,
    ours: Collection[str],
    sessions: Sequence[Session],
    scale: _Scale,
    limits: tuple[int, int],
    left_out: dict[str, int],
    done_ns: int,
) -> Lane:
    ticks_max, intervals_max = limits
    states = _states([s for s in history.states if s.node == node], scale)
    faults = _faults([f for f in history.faults if f.node == node], scale)
    probes = [p for p in history.probes if p.node == node and scale.holds(p.t_ns)]
    requests = [r for r in history.requests if r.node == node and r.attempt in ours]
    away = [item for item in (*states, *faults) if item["label"] != "online"]

    def out_of_rotation_first(request: Request) -> int:
        t_s = scale.seconds(request.t_ns)
        return 0 if any(span["from_s"] <= t_s < span["to_s"] for span in away) else 1

    kept_polls = _chosen(sessions, ticks_max, rank=lambda s: s.identified_ns is not None, at_ns=lambda s: s.started_ns)
    kept_probes = _chosen(probes, ticks_max, rank=lambda _: 0, at_ns=lambda p: p.t_ns)
    kept = _chosen(requests, ticks_max, rank=out_of_rotation_first, at_ns=lambda r: r.t_ns)
    for name, count in (
        ("probes", len(probes) - len(kept_probes)),
        ("arrivals", len(requests) - len(kept)),
        ("polls", len(sessions) - len(kept_polls)),
        ("intervals", max(len(states) - intervals_max, 0) + max(len(faults) - intervals_max, 0)),
    ):
        left_out[name] = left_out.get(name, 0) + count
    return Lane(
        node=node,
        states=states[:intervals_max],
        faults=faults[:intervals_max],
        probes=[(scale.seconds(p.t_ns), p.status) for p in kept_probes],
        arrivals=[(scale.seconds(r.t_ns), r.status) for r in kept],
        polling=_polling(sessions, scale, done_ns),
        polls=[(scale.seconds(s.started_ns), None if s.identified_ns is None else GOT_THROUGH) for s in kept_polls],
        cuts=list(_cuts(sessions, scale)),
    )


def _cuts(sessions: Iterable[Session], scale: _Scale) -> Iterator[tuple[float, int]]:
    """Yield the first instant and the number of each group of sessions that were cut close together.

    A half-closed session whose remaining answer arrived has ended well.
    """
    width_ns = max((scale.end_ns - scale.start_ns) // POLLING_SPANS, 1)
    cut = sorted(s.ended_ns for s in sessions if s.cut and "rest" not in s.marks)
    for _, together in itertools.groupby(cut, key=lambda t_ns: (t_ns - scale.start_ns) // width_ns):
        first, *others = together
        yield scale.seconds(first), 1 + len(others)


def _polling(sessions: Iterable[Session], scale: _Scale, done_ns: int) -> list[Interval]:
    """Return how many polling connections were open, as spans of equal counts, until the check closes its own.

    Connections that the check closed immediately are ticks and are not counted here.
    """
    width_ns = max(-(-(done_ns - scale.start_ns) // POLLING_SPANS), 1)
    lives = [
        (s.identified_ns, s.ended_ns)
        for s in sessions
        if s.identified_ns is not None and (s.cut or s.ended_ns > done_ns or s.ended_ns - s.identified_ns >= width_ns)
    ]
    # A span ends where the first connection in it ended, so that the drawing shows a cut where it happened.
    ends = sorted((until for _, until in lives if until < done_ns), reverse=True)
    first = {t_ns // width_ns: t_ns for t_ns in ends}
    edges = sorted({*range(scale.start_ns, done_ns, width_ns), *first.values(), done_ns})
    spans: list[tuple[int, int, int]] = []
    for from_ns, to_ns in itertools.pairwise(edges):
        count = sum(since <= to_ns <= until for since, until in lives)
        if spans and spans[-1][2] == count:
            spans[-1] = (spans[-1][0], to_ns, count)
        else:
            spans.append((from_ns, to_ns, count))
    return [_interval(a, b, f"{count} polling", scale) for a, b, count in spans if count]


def _states(changes: Iterable[StateChange], scale: _Scale) -> list[Interval]:
    """Return the node's states within the span; a node is online before its first recorded change."""
    spans: list[Interval] = []
    label, since_ns = "online", scale.start_ns
    for change in sorted(changes, key=lambda c: c.t_ns):
        if change.t_ns > scale.end_ns:
            break
        if change.t_ns > since_ns:
            spans.append(_interval(since_ns, change.t_ns, label, scale))
        label = f"{change.state}: {change.how}" if change.how else change.state
        since_ns = max(change.t_ns, scale.start_ns)
    return [*spans, _interval(since_ns, scale.end_ns, label, scale)]


def _faults(events: Iterable[FaultEvent], scale: _Scale) -> list[Interval]:
    """Return the faults within the span, each from its start to its end, without those that wait for a single attempt."""
    spans: list[Interval] = []
    open_: dict[str, FaultEvent] = {}
    for event in sorted(events, key=lambda e: e.t_ns):
        if event.phase == "set" and not event.detail.get("attempt"):
            open_[event.fault] = event
        elif event.phase in ("ended", "removed") and event.fault in open_:
            spans.append(_interval(open_[event.fault].t_ns, event.t_ns, _fault_label(open_.pop(event.fault)), scale))
    spans += [_interval(event.t_ns, scale.end_ns, _fault_label(event), scale) for event in open_.values()]
    return sorted(
        (s for s in spans if s["to_s"] > 0 and s["from_s"] < scale.seconds(scale.end_ns)), key=lambda s: s["from_s"]
    )


def _fault_label(event: FaultEvent) -> str:
    options = event.detail.get("options") or {}
    words = [str(event.detail.get("kind", "fault")), *(str(value) for value in options.values())]
    if event.detail.get("on") not in (None, "all"):
        words.append(f"on {event.detail['on']}")
    return " ".join(words)[:TEXT_MAX]


def _interval(from_ns: int, to_ns: int, label: str, scale: _Scale) -> Interval:
    inside = (min(max(t, scale.start_ns), scale.end_ns) for t in (from_ns, to_ns))
    from_s, to_s = (scale.seconds(t) for t in inside)
    return Interval(from_s=from_s, to_s=to_s, label=label)


def _facts(step: Step, scale: _Scale) -> str:
    """Return a step's facts on one line; instants count from the check's first event, as in the whole drawing."""
    shown = {key: value for key, value in step.detail.items() if value is not None}
    for key in [key for key, value in shown.items() if key.endswith("_ns") and isinstance(value, int)]:
        shown[f"{key[:-3]}_s"] = scale.seconds(shown.pop(key))
    return ", ".join(f"{key} {value}" for key, value in shown.items())[:TEXT_MAX]
