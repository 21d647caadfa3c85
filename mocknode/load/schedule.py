"""Reads `--schedule`: what to do to the nodes during a load run, such as `drain each; crash node-2 at 50s for 5s`. No I/O."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mocknode.text.suggestions import did_you_mean
from mocknode.text.units import parse_duration

VERBS: Final = ("drain", "refuse", "crash", "freeze")
"""`drain` ends no request; the others take the node offline."""
_FORM: Final = re.compile(r"(\w+)\s+(\S+)(?:\s+at\s+(\S+))?(?:\s+for\s+(\S+))?")
ALLOWED: Final = "'VERB NODE|each|all [at TIME] [for TIME]', several by ;"
EACH: Final = "each"
"""Word for one node after another."""
ALL: Final = "all"
"""Word for all nodes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A disturbance of one node, from `at_s` on, for `for_s`; in seconds since the load began."""

    verb: str
    node: str
    at_s: float
    for_s: float

    @property
    def state(self) -> tuple[str, str | None]:
        """State and form, as the control API names them."""
        return ("draining", None) if self.verb == "drain" else ("offline", self.verb)

    @property
    def outage(self) -> bool:
        """Whether uploads at this node may fail meanwhile without the balancer being at fault."""
        return self.verb != "drain"


def parse_schedule(text: str, nodes: Sequence[str], duration_s: float) -> list[Event]:
    """Return the events in the order in which they begin.

    Without times, each event gets an equal part of the run, begins a quarter into it, and lasts for half of it. The load then meets
    a healthy cluster before and after each event.

    Raises:
        ValueError: naming what was given and what is allowed.
    """
    wanted: list[tuple[str, Sequence[str], float | None, float | None]] = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        match = _FORM.fullmatch(part)
        if match is None:
            raise ValueError(f"got {part!r}, allowed: {ALLOWED}, VERB one of {', '.join(VERBS)}")
        verb, node, at, for_ = match.groups()
        if verb not in VERBS:
            raise ValueError(f"got {verb!r}, allowed: {', '.join(VERBS)}{did_you_mean(verb, VERBS)}")
        if node not in (EACH, ALL, *nodes):
            raise ValueError(f"got node {node!r}, allowed: each, all, {', '.join(nodes)}{did_you_mean(node, nodes)}")
        if node == EACH and at is not None:
            raise ValueError(
                f"got {part!r}: with `each`, the nodes' times are chosen for you; to set a time, name the node"
            )
        times = parse_duration(at) if at else None, parse_duration(for_) if for_ else None
        groups = [[name] for name in nodes] if node == EACH else [nodes if node == ALL else [node]]
        wanted += [(verb, group, *times) for group in groups]
    if not wanted:
        raise ValueError(f"got {text!r}, allowed: {ALLOWED}, such as 'drain each'")
    share_s = duration_s / len(wanted)
    events = [
        Event(
            verb=verb,
            node=node,
            at_s=(index + 0.25) * share_s if at is None else at,
            for_s=share_s / 2 if for_ is None else for_,
        )
        for index, (verb, group, at, for_) in enumerate(wanted)
        for node in group
    ]
    events.sort(key=lambda event: event.at_s)
    for event in events:
        if event.at_s + event.for_s > duration_s:
            raise ValueError(
                f"{event.verb} {event.node} would end {event.at_s + event.for_s:g} s after the start, but uploads start for "
                f"{duration_s:g} s"
            )
    last: dict[str, Event] = {}
    for event in events:
        earlier = last.get(event.node)
        if earlier is not None and event.at_s < earlier.at_s + earlier.for_s:
            raise ValueError(f"{earlier.verb} and {event.verb} {event.node} overlap; a node has one state at a time")
        last[event.node] = event
    return events


def first_outage(events: Sequence[Event]) -> tuple[float, float] | None:
    """Return when the first outage begins and ends, in seconds; None if there is none."""
    span: tuple[float, float] | None = None
    for event in (event for event in events if event.outage):
        if span is None:
            span = event.at_s, event.at_s + event.for_s
        elif event.at_s <= span[1]:
            span = span[0], max(span[1], event.at_s + event.for_s)
    return span
