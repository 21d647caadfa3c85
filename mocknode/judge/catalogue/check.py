"""What a check is: one claim about the balancer, how to put it to the test, and how to judge what was recorded.

`run` drives a lane and records; `judge` is pure and sees a `Case` only, so that a saved run can be judged again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from mocknode.judge.lab.lab import Lab
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Cause
from mocknode.judge.verdict.outcome import Tier, Variant

Lane = Literal["heavy", "light", "waiting", "idle", "status", "drains", "polling", "silence", "region"]
Profile = Literal["web", "upload", "polling", "region"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One claim about the balancer.

    Attributes:
        claim: One sentence that holds for a balancer that hurts nobody.
        offenders: Balancers and settings known to break it, one sentence each.
        quick, full: What each tier does.
        causes: What its verdicts can find wrong, and no other check declares; a verdict may also name a cause of another check.
        lane: Where it runs; checks of `heavy`, `light` and `waiting` share an instance and disturb nobody. Those of `polling`
            run one after another, side by side with `silence`, for which they wait to disturb a node. `region` has a standby behind
            its balancer and runs alone.
        run: Drives the lane; None when calibration alone is the evidence. Checks may share one function: it runs once.
        disturbs: For lane `polling`, the tiers in which it disturbs nodes, so that the cluster has to be restored afterwards.
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
    disturbs: tuple[Tier, ...] = ()
