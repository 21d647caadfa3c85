"""`--find-limit`: the highest arrival rate at which a condition still holds, by doubling and then halving the interval.

Every probe is a load run of its own on the same cluster and balancer, open loop, with its own book; what gave way first is read
from the lowest probe that failed.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mocknode.units import format_duration
from scenarios.lab import Lab
from scenarios.lanes import LaneError, Lanes
from scenarios.load.conditions import Condition, parse_condition
from scenarios.load.document import build
from scenarios.load.run import LoadPlan, LoadRun
from scenarios.runner import ENVIRONMENT

SCHEMA: Final = "mocknode-load-limit/1"
START_PER_S: Final = 5.0
"""A rate that any balancer carries; the search doubles from here."""
PRECISION: Final = 1.15
"""The search ends when the lowest rate that failed is so close to the highest that held."""
CEILING_PER_S: Final = 5000.0
"""More than any generator on one machine makes."""


def parse_demand(text: str) -> list[Condition]:
    """`p99<1s and lost==0`: what must hold.

    Raises:
        ValueError: naming what was got and what is allowed.
    """
    return [parse_condition(part) for part in text.split(" and ")]


@dataclass(slots=True)
class Bisection:
    """Which rate to try next. Pure.

    Attributes:
        held: The highest rate that held, 0 before.
        failed: The lowest that failed; None before.
    """

    held: float = 0.0
    failed: float | None = None

    def next(self) -> float | None:
        """A rate, or None when the limit is known closely enough."""
        if self.failed is None:
            rate = self.held * 2 if self.held else START_PER_S
            return rate if rate <= CEILING_PER_S else None
        if not self.held:
            return self.failed / 4 if self.failed > START_PER_S / 16 else None
        if self.failed / self.held <= PRECISION:
            return None
        return math.sqrt(self.held * self.failed)

    def tell(self, rate: float, *, held: bool) -> None:
        """What became of a rate."""
        if held:
            self.held = max(self.held, rate)
        else:
            self.failed = rate if self.failed is None else min(self.failed, rate)


@dataclass(slots=True)
class LimitSearch:
    """A search under way; `probes` are in the order in which they were made."""

    plan: LoadPlan
    demand: Sequence[Condition]
    text: str
    lanes: Lanes
    probes: list[dict[str, Any]] = field(default_factory=list)
    bisection: Bisection = field(default_factory=Bisection)

    async def run(self) -> None:
        """All probes.

        Raises:
            LaneError, GeneratorError: as a load run does.
        """
        try:
            async with self.lanes.open("load") as lab:
                while (rate := self.bisection.next()) is not None:
                    probe = await self._probe(lab, rate)
                    self.probes.append(probe)
                    self.bisection.tell(rate, held=not probe["gave_way"])
                    verdict = f"gave way: {'; '.join(probe['gave_way'])}" if probe["gave_way"] else "held"
                    self.plan.say(f"{rate:.1f}/s {verdict}")
        except ENVIRONMENT as exc:
            raise LaneError(str(exc)) from exc

    async def _probe(self, lab: Lab, rate: float) -> dict[str, Any]:
        directory = self.plan.run_dir / f"probe-{len(self.probes) + 1}"
        directory.mkdir()
        workload = dataclasses.replace(self.plan.workload, rate=rate)
        quiet: Callable[[str], None] = lambda text: None  # noqa: E731  # a line a probe is enough
        run = LoadRun(dataclasses.replace(self.plan, workload=workload, run_dir=directory, say=quiet), self.lanes)
        await run.on(lab)
        document = build(run)
        latency = document["latency"].get("push", {}).get("response", {})
        return {
            "rate_per_s": rate,
            "result": document["result"],
            "gave_way": _gave_way(document, self.demand),
            "attempts": document["ledger"]["attempts"],
            "offered_per_s": document["throughput"]["uploads_per_s"],
            "p50_s": latency.get("p50_s"),
            "p99_s": latency.get("p99_s"),
            "ledger": document["ledger"],
            "run_dir": str(directory),
        }

    def document(self) -> dict[str, Any]:
        """The report of the search."""
        first = min((p for p in self.probes if p["gave_way"]), key=lambda p: float(p["rate_per_s"]), default=None)
        untrusted = first is not None and first["result"] == "untrusted"
        result = "untrusted" if untrusted else ("held" if self.bisection.held else "failed")
        return {
            "schema": SCHEMA,
            "result": result,
            "exit_code": {"held": 0, "failed": 1, "untrusted": 5}[result],
            "demand": self.text,
            "limit_per_s": self.bisection.held or None,
            "gave_way_at_per_s": self.bisection.failed,
            "gave_way": first["gave_way"] if first else [],
            **self.plan.facts,
            "probes": self.probes,
            "run_dir": str(self.plan.run_dir),
        }


def _gave_way(document: Mapping[str, Any], demand: Sequence[Condition]) -> list[str]:
    """Why a probe does not count as held: the generator first, since nothing else can be believed then."""
    if problems := document["generator"]["problems"]:
        return list(problems)
    values: Mapping[str, float | None] = document["values"]
    found = [f"{c.text}: {_shown(values[c.metric])}" for c in demand if not c.holds(values)]
    found += [f"{c['fail_if']}: {_shown(c['value'])}" for c in document["conditions"] if c["holds"] and c["always"]]
    return found


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def lines(document: Mapping[str, Any]) -> list[str]:
    """The search on a terminal."""
    limit = document["limit_per_s"]
    title = f"{limit:.1f} uploads a second" if limit else "no rate that was tried"
    said = [f" LIMIT {title} for {document['demand']!r}", ""]
    if document["result"] == "untrusted":
        said[0] = f" UNTRUSTED  the generator gave way before the balancer did; the limit is {title} or more"
    if document["gave_way"]:
        said.insert(1, f" at {document['gave_way_at_per_s']:.1f}/s gave way first: {'; '.join(document['gave_way'])}")
    said.append(f" {'asked/s':>9}{'done/s':>9}{'uploads':>9}{'p50':>9}{'p99':>9}")
    for probe in sorted(document["probes"], key=lambda p: float(p["rate_per_s"])):
        took = "".join(f"{'–' if probe[k] is None else format_duration(probe[k]):>9}" for k in ("p50_s", "p99_s"))
        mark = f"✗ {probe['gave_way'][0]}" if probe["gave_way"] else "✓"
        said.append(
            f" {probe['rate_per_s']:>9.1f}{probe['offered_per_s'] or 0:>9.1f}{probe['attempts']:>9}{took}  {mark}"
        )
    return [*said, "", f" record: {document['run_dir']}"]
