"""What a check is: one claim about the balancer, how to test it, and how to judge the recording.

`run` uses a lane and records. `judge` does no I/O and reads only a `Case`, so that a saved run can be judged again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from mocknode.judge.lab.lab import Lab
from mocknode.judge.record.history import History
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Cause
from mocknode.judge.verdict.outcome import Tier, Variant

Lane = Literal["heavy", "light", "waiting", "idle", "status", "drains", "polling", "silence", "region"]
Profile = Literal["web", "upload", "polling", "region"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One claim about the balancer.

    Attributes:
        claim: One sentence that is true of a balancer that harms nobody.
        offenders: Balancers and settings known to break it, one sentence each.
        quick, full: What each tier does.
        causes: What its verdicts can find wrong, and no other check declares; a verdict may also name a cause of another check.
        lane: Where it runs. Checks of `heavy`, `light` and `waiting` share an instance and do not disturb nodes. Those of `polling`
            run one after another while the `silence` check waits, and disturb a node only when that check does not need it. `region`
            has a standby behind its balancer and runs alone.
        run: Uses the lane; None if calibration alone is the evidence. Checks may share one function, which then runs once.
        too_early: Whether the check, which ran before the calibration, did not wait as long as this balancer needs, so that it is run
            again; None where that cannot be.
        disturbs: For checks of `polling`: tiers in which they disturb nodes, so that the cluster must be restored afterwards.
    """

    id: str
    name: str
    profile: Profile
    claim: str
    offenders: tuple[str, ...]
    quick: str
    full: str
    causes: tuple[Cause, ...]
    lane: Lane
    judge: Callable[[Case], list[Variant]]
    run: Callable[[Lab], Awaitable[None]] | None = None
    too_early: Callable[[History, Calibration], bool] | None = None
    disturbs: tuple[Tier, ...] = ()
