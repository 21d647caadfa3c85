"""Random disturbances, drawn before a run starts: the same seed gives the same steps on every machine and Python version.

Each kind of choice has its own stream of randomness, so that a change in one part of a scenario leaves the other choices as they were.
Only `random()` is drawn from: its values are the same in all versions of Python, which those of other methods are not.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mocknode.script import layout
from mocknode.script.making import step as made
from mocknode.script.model import Step

_KEPT: Final = 0.5
"""Chance of a disturbance to be among those that a seed uses. Runs that lack some find more than runs that all have everything
(swarm testing, Groce et al. 2012)."""


class Draws:
    """One stream of random numbers."""

    def __init__(self, seed: int, *names: object) -> None:
        self._rng = random.Random(":".join(map(str, (seed, *names))))

    def share(self) -> float:
        """Return a number from 0 to 1."""
        return self._rng.random()

    def between(self, low: float, high: float) -> float:
        """Return seconds in a range, in whole milliseconds."""
        return round(low + (high - low) * self._rng.random(), 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What chaos is for one seed.

    Attributes:
        steps: Ordinary steps, one after another, with the time between them as `sleep`.
        left_out: Disturbances that this seed does not use.
    """

    steps: tuple[Step, ...]
    left_out: tuple[str, ...]


def draw(chaos: Step, nodes: Sequence[str], seed: int) -> Drawn:
    """Draw the disturbances of a `chaos` step.

    Args:
        nodes: Those that may be disturbed.
    """
    args = chaos.args
    used, left_out = _subset(args[layout.PICK], seed, chaos.place)
    times, lasting = Draws(seed, chaos.place, "times"), Draws(seed, chaos.place, "lasting")
    kinds, places = Draws(seed, chaos.place, "kinds"), Draws(seed, chaos.place, "nodes")
    busy: dict[str, float] = {}
    events: list[tuple[float, int, Step]] = []
    at_s = times.between(*args["every"])
    while at_s < args["for"]:
        # Every turn draws once from each stream, whether or not a node is free.
        word, length_s, place = _weighted(used, kinds.share()), lasting.between(*args["lasting"]), places.share()
        busy = {node: until for node, until in busy.items() if until > at_s}
        free = [node for node in nodes if node not in busy]
        if free and len(busy) < args["at-most-away"]:
            node = free[int(place * len(free))]
            until_s = round(at_s + length_s, 3)
            busy[node] = until_s
            begin, end = _pair(word, node, f"{layout.CHAOS}-{chaos.place.replace('.', '-')}-{len(events) // 2 + 1}")
            # At equal times, an end comes before a beginning.
            events += [(at_s, 1, begin), (until_s, 0, end)]
        at_s = round(at_s + times.between(*args["every"]), 3)
    events.sort(key=lambda event: event[:2])
    return Drawn(steps=tuple(_in_time(events, args["for"])), left_out=left_out)


def _subset(picks: Sequence[tuple[str, int]], seed: int, place: str) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
    """Choose the disturbances of a seed: each by a draw of its own, and at least one."""
    shares = {word: Draws(seed, place, "subset", word).share() for word, _ in picks}
    first = min(shares, key=lambda word: shares[word])
    used = [(word, weight) for word, weight in picks if shares[word] < _KEPT or word == first]
    return used, tuple(word for word, _ in picks if word not in dict(used))


def _weighted(picks: Sequence[tuple[str, int]], share: float) -> str:
    rest = share * sum(weight for _, weight in picks)
    for word, weight in picks:
        rest -= weight
        if rest < 0:
            return word
    return picks[-1][0]


def _pair(word: str, node: str, name: str) -> tuple[Step, Step]:
    """Return the step that begins a disturbance and the one that ends it."""
    verb, fixed = layout.DISTURBANCES[word]
    given: dict[str, Any] = {"node": node, **fixed}
    if verb == "fault":
        return made(verb, **given, **{"as": name}), made("heal", fault=name)
    return made(verb, **given), made("resume" if verb == "drain" else "online", node=node)


def _in_time(events: Sequence[tuple[float, int, Step]], for_s: float) -> list[Step]:
    steps: list[Step] = []
    now_s = 0.0
    for at_s, _, step in events:
        if at_s > now_s:
            steps.append(made("sleep", **{"for": round(at_s - now_s, 3)}))
        steps.append(step)
        now_s = at_s
    if for_s > now_s:
        steps.append(made("sleep", **{"for": round(for_s - now_s, 3)}))
    return steps
