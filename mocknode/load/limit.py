"""Searches for `--find-limit`: the highest upload rate, or the most uploads at once, that still meets a demand.

The value doubles until a probe fails; bisection then closes in on the limit.

Every probe is a load run of its own on the same cluster and balancer, with its own ledger; what gave way first is read from the
lowest probe that failed.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mocknode.judge.lab.lab import Lab
from mocknode.judge.lab.lanes import LaneError, Lanes
from mocknode.judge.run.environment_errors import ENVIRONMENT_ERRORS
from mocknode.load.conditions import Condition, contradictions, opposite, parse_condition
from mocknode.load.document import EXIT_CODES, balancer_of, build, load_of
from mocknode.load.generator import Workload
from mocknode.load.run import LoadPlan, LoadRun
from mocknode.load.schema import LoadReport, LoadResult
from mocknode.load.terminal import WORDS
from mocknode.text.units import format_duration

SCHEMA: Final = "mocknode-load-limit/1"
PRECISION: Final = 1.15
"""The search ends when the lowest value that failed is at most this many times the highest that held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a search varies.

    Attributes:
        unit: What it counts, as people read it.
        key, asked: Names in the report of the limit and of a probe's value.
        start: A value that any balancer can carry; the search starts here.
        floor: The lowest value that is tried.
        ceiling: The highest value that is tried.
        whole: Only whole numbers.
    """

    unit: str
    key: str
    asked: str
    start: float
    floor: float
    ceiling: float
    whole: bool = False

    def applied(self, workload: Workload, value: float) -> Workload:
        """Return the workload of a probe: an open loop at this rate, or a closed loop of this many pushers."""
        if not self.whole:
            return dataclasses.replace(workload, rate=value)
        users = int(value)
        return dataclasses.replace(workload, rate=0.0, users=users, workers=min(workload.workers, users))

    def shown(self, value: float) -> str:
        """Return a value as people read it."""
        return f"{value:.0f}" if self.whole else f"{value:.1f}"


RATE: Final = Scale(
    # No generator on one machine makes more than the ceiling.
    unit="uploads a second", key="per_s", asked="rate_per_s", start=5.0, floor=5 / 64, ceiling=5000.0,
)  # fmt: skip
AT_ONCE: Final = Scale(
    # Most systems let a process open fewer sockets than the ceiling, on either side of a balancer.
    unit="uploads at once", key="uploads_at_once", asked="uploads_at_once", start=4.0, floor=1.0, ceiling=8192.0, whole=True,
)  # fmt: skip
SCALES: Final[Mapping[str, Scale]] = {"rate": RATE, "uploads": AT_ONCE}
SIZE_AT_ONCE: Final = "1GiB"
"""Size of the uploads in a search for the most uploads at once, unless another is given."""


def parse_demand(text: str) -> list[Condition]:
    """Read what must hold, such as `p99<5s and lost==0`.

    Raises:
        ValueError: naming what was given and what is allowed.
    """
    demand = [parse_condition(part) for part in text.split(" and ")]
    if contradictions([opposite(condition) for condition in demand]):
        raise ValueError(
            f"got {text!r}, which no run could meet; allowed: conditions that can hold together, and together with lost==0"
        )
    return demand


@dataclass(slots=True)
class Bisection:
    """Chooses the next value to try.

    Attributes:
        held: The highest value that held; 0 until one has.
        failed: The lowest value that failed; None until one has.
    """

    scale: Scale = RATE
    held: float = 0.0
    failed: float | None = None

    def next(self) -> float | None:
        """Return a value to try, or None when the limit is known closely enough."""
        if self.failed is None:
            value = self.held * 2 if self.held else self.scale.start
            return value if value <= self.scale.ceiling else None
        if not self.held:
            return max(self.failed / 4, self.scale.floor) if self.failed > self.scale.floor else None
        if self.failed / self.held <= PRECISION or (self.scale.whole and self.failed - self.held <= 1):
            return None
        between = math.sqrt(self.held * self.failed)
        return max(self.held + 1, math.floor(between)) if self.scale.whole else between

    def tell(self, value: float, *, held: bool) -> None:
        """Take whether a value held."""
        if held:
            self.held = max(self.held, value)
        else:
            self.failed = value if self.failed is None else min(self.failed, value)


@dataclass(slots=True)
class LimitSearch:
    """A search in progress; `probes` are in the order in which they were made.

    Attributes:
        cut: `interrupted` or `environment` if that ended the search before the limit was known; else None.
        url: URL of the front door that the probes go to.
    """

    plan: LoadPlan
    demand: Sequence[Condition]
    text: str
    lanes: Lanes
    scale: Scale = RATE
    probes: list[dict[str, Any]] = field(default_factory=list)
    cut: LoadResult | None = None
    url: str = ""
    bisection: Bisection = field(init=False)

    def __post_init__(self) -> None:
        self.bisection = Bisection(self.scale)

    async def run(self) -> None:
        """Make all probes.

        Raises:
            LaneError, GeneratorError: as a load run does.
        """
        try:
            async with self.lanes.open("load") as lab:
                while (value := self.bisection.next()) is not None:
                    probe = await self._probe(lab, value)
                    self.probes.append(probe)
                    self.bisection.tell(value, held=not probe["gave_way"])
                    verdict = f"gave way: {'; '.join(probe['gave_way'])}" if probe["gave_way"] else "held"
                    self.plan.say(f"{self.scale.shown(value)} {self.scale.unit} {verdict}")
        except ENVIRONMENT_ERRORS as exc:
            raise LaneError(str(exc)) from exc

    async def _probe(self, lab: Lab, value: float) -> dict[str, Any]:
        directory = self.plan.run_dir / f"probe-{len(self.probes) + 1}"
        directory.mkdir()
        workload = self.scale.applied(self.plan.workload, value)
        quiet: Callable[[str], None] = lambda text: None  # noqa: E731  # one line for each probe is enough
        run = LoadRun(dataclasses.replace(self.plan, workload=workload, run_dir=directory, say=quiet), self.lanes)
        await run.on(lab)
        self.url = run.url
        document = build(run)
        uploads, counts = document["latency"].get("push"), document["ledger"]
        assert counts is not None, "a search needs mock nodes, which keep journals"
        return {
            self.scale.asked: value,
            "result": document["result"],
            "gave_way": _gave_way(document, self.demand),
            "attempts": counts["attempts"],
            "offered_per_s": document["throughput"]["uploads_per_s"],
            "bytes_per_s": document["throughput"]["bytes_per_s"],
            "p50_s": None if uploads is None else uploads["response"]["p50_s"],
            "p99_s": None if uploads is None else uploads["response"]["p99_s"],
            "ledger": counts,
            "run_dir": str(directory),
        }

    def document(self) -> dict[str, Any]:
        """Return the report of the search."""
        first = min((p for p in self.probes if p["gave_way"]), key=lambda p: float(p[self.scale.asked]), default=None)
        untrusted = first is not None and first["result"] == "untrusted"
        result: LoadResult = self.cut or ("untrusted" if untrusted else ("held" if self.bisection.held else "failed"))
        return {
            "schema": SCHEMA,
            "result": result,
            "exit_code": EXIT_CODES[result],
            "demand": self.text,
            # A search for uploads at once varies the number of builds, so the report leaves it out.
            "load": load_of(
                dataclasses.replace(self.plan.workload, users=0) if self.scale.whole else self.plan.workload
            ),
            f"limit_{self.scale.key}": self.bisection.held or None,
            f"gave_way_at_{self.scale.key}": self.bisection.failed,
            "gave_way": first["gave_way"] if first else [],
            "versions": self.plan.facts["versions"],
            "balancer": balancer_of(self.plan, self.url or self.lanes.url),
            "reproduce": self.plan.facts["reproduce"],
            "probes": self.probes,
            "run_dir": str(self.plan.run_dir),
        }


def _gave_way(document: LoadReport, demand: Sequence[Condition]) -> list[str]:
    """List why a probe does not count as held. If the generator did not keep up, only that: its other figures mean nothing then."""
    if problems := document["generator"]["problems"]:
        return list(problems)
    values: Mapping[str, float | None] = document["values"]
    found = [f"{c.text}: {c.shown(values[c.metric])}" for c in demand if not c.holds(values)]
    found += [f"{c['fail_if']}: {c['shown']}" for c in document["conditions"] if c["holds"] and c["always"]]
    return found


def lines(document: Mapping[str, Any]) -> list[str]:
    """Return the lines that show the search on a terminal."""
    scale = next(scale for scale in SCALES.values() if f"limit_{scale.key}" in document)
    limit = document[f"limit_{scale.key}"]
    title = f"{scale.shown(limit)} {scale.unit}" if limit else f"none of the tried numbers of {scale.unit}"
    said = [f" LIMIT {title} for {document['demand']!r}", ""]
    if document["result"] == "untrusted":
        said[0] = f" UNTRUSTED  the generator gave way before the balancer did; the limit is {title} or more"
    if document["result"] in ("interrupted", "environment"):
        held = f"{title} held" if limit else "nothing held"
        said[0] = (
            f" {WORDS[document['result']]}  {held} for {document['demand']!r} when the search ended; the limit is unknown"
        )
    if document["gave_way"]:
        at = f"{scale.shown(document[f'gave_way_at_{scale.key}'])} {scale.unit}"
        said.insert(1, f" at {at} gave way first: {'; '.join(document['gave_way'])}")
    # Shown because a demand that the largest packages cannot meet on their uplink says nothing about the balancer.
    said.append(f" {document['load']}")
    said.append(
        f" {'at once' if scale.whole else 'asked/s':>9}{'done/s':>9}{'MiB/s':>9}{'uploads':>9}{'p50':>9}{'p99':>9}"
    )
    for probe in sorted(document["probes"], key=lambda p: float(p[scale.asked])):
        took = "".join(f"{'–' if probe[k] is None else format_duration(probe[k]):>9}" for k in ("p50_s", "p99_s"))
        why = "untrusted" if probe["result"] == "untrusted" else "; ".join(probe["gave_way"])
        mark = f"✗ {why}" if why else "✓"
        said.append(
            f" {scale.shown(probe[scale.asked]):>9}{probe['offered_per_s'] or 0:>9.1f}{(probe['bytes_per_s'] or 0) / (1 << 20):>9.0f}"
            f"{probe['attempts']:>9}{took}  {mark}"
        )
    return [*said, "", f" record: {document['run_dir']}"]
