"""What all sources of lanes share. `own_lanes` starts a cluster and a balancer for each lane; `given_lanes` uses a balancer that
already runs. Both yield `Lab`s, and a check cannot tell which.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mocknode.judge.lab.lab import Lab
from mocknode.judge.traffic.polling_session import Poller
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.outcome import Tier
from mocknode.mock.cluster.client import ControlClient
from mocknode.mock.tentacle.identity import Identity
from mocknode.system.this_process import raise_open_file_limit

NODES: Final = 3
HOST: Final = "127.0.0.1"
# A control API that is alive answers well within this time; one that is gone must not keep a run from ending.
CLEANUP_S_MAX: Final = 5.0
# Version of the control API that this judge understands.
CONTROL_API: Final = 1
POLLING: Final = "polling"
"""The lane whose nodes are polled by Tentacles."""
REGION: Final = "region"
"""The lane whose balancer has a second cluster behind it, the standby."""
POLLED: Final = frozenset({POLLING, REGION})
"""Lanes in which a Tentacle of this run polls the nodes."""
POLLER: Final = "mocknode-check"
"""Name under which a check's Tentacle is registered."""


class LaneError(Exception):
    """The environment does not allow a run: exit code 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Settings that hold for every lane."""

    tier: Tier
    patience_s: float
    max_upload: int
    public_name: str
    seed: int
    say: Callable[[str], None]


class Lanes(Protocol):
    """A source of lanes."""

    nodes: tuple[str, ...]
    url: str
    shared: bool
    """Whether all lanes share one balancer, and so must run one after another."""

    def open(self, name: str) -> contextlib.AbstractAsyncContextManager[Lab]:
        """Open a lane that is ready for traffic; everything that it started has ended when the block is left."""
        ...


def read_control(document: dict[str, Any], url: str) -> None:
    """Refuse a control API of another product or version.

    Raises:
        LaneError: naming what answered.
    """
    if document.get("product") != "mocknode":
        raise LaneError(f"{url} is not the control API of a mocknode cluster; it answered {str(document)[:200]}")
    if document.get("control_api") != CONTROL_API:
        raise LaneError(
            f"{url} has version {document.get('control_api')!r} of the control API (mocknode {document.get('version')}); "
            f"this mocknode needs version {CONTROL_API}"
        )


async def clock_offset_ns(control: ControlClient, url: str) -> int:
    """Return what to add to the nodes' monotonic times; 0 when one round trip cannot show a difference."""
    before_ns = time.monotonic_ns()
    health = await control.healthz()
    after_ns = time.monotonic_ns()
    read_control(health, url)
    theirs_ns = int(health["monotonic_ns"])
    if before_ns <= theirs_ns <= after_ns:
        return 0
    return (before_ns + after_ns) // 2 - theirs_ns


def shared_settings(demands: Demands) -> dict[str, Any]:
    """Return the arguments of `Lab` that are the same in every lane."""
    return {
        "tier": demands.tier,
        "patience_s": demands.patience_s,
        "max_upload": demands.max_upload,
        "public_name": demands.public_name,
        "calibrated": asyncio.get_running_loop().create_future(),
        "say": demands.say,
    }


@contextlib.asynccontextmanager
async def registered_tentacle(lab: Lab) -> AsyncIterator[None]:
    """Register the Tentacle of this run with the nodes while the block runs."""
    raise_open_file_limit()  # A fleet takes one for each connection.
    nodes = await lab.control.nodes()
    lab.thumbprints = {node["name"]: node["tentacle"]["thumbprint"] for node in nodes if node["tentacle"] is not None}
    lab.poller = Poller.of(await asyncio.to_thread(Identity.generate))
    clusters = [lab.control]
    if lab.standby is not None:
        clusters.append(lab.standby.control)
        documents = await lab.standby.control.nodes()
        lab.standby.thumbprints = {
            name: document["tentacle"]["thumbprint"]
            for name, document in zip(lab.standby.nodes, documents, strict=True)
            if document["tentacle"] is not None
        }
    for control in clusters:
        await control.register_tentacle(POLLER, lab.poller.identity.thumbprint, f"poll://{POLLER}/")
    try:
        yield
    finally:
        for control in clusters:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(control.unregister_tentacle(POLLER), CLEANUP_S_MAX)


async def read_journals_once_more(lab: Lab) -> None:
    """Read the journals once more, so that an interrupted run does not report as lost what the nodes have.

    Does nothing for a lane that never read its journals: a load run has its own ledger, and its journals may not fit into memory.
    """
    if not lab.history.synced_ns:
        return
    with contextlib.suppress(Exception):
        await asyncio.wait_for(lab.sync(), CLEANUP_S_MAX)


def share_calibration(labs: list[Lab], calibrated: "asyncio.Future[Calibration]") -> None:
    """Let all lanes await the calibration of one."""
    for lab in labs:
        lab.calibrated = calibrated
