"""Lanes of a balancer that already runs: connect to its cluster, and leave that as it was found."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from mocknode.judge.lab.cleanup import delete_packages
from mocknode.judge.lab.lab import Lab
from mocknode.judge.lab.lanes import (
    CLEANUP_S_MAX,
    Demands,
    LaneError,
    clock_offset_ns,
    read_journals_once_more,
    registered_tentacle,
    shared_settings,
)
from mocknode.judge.lab.region import Standby
from mocknode.judge.record.recording import Recording
from mocknode.judge.traffic import FrontDoor
from mocknode.judge.traffic.polling_session import PollingAddress
from mocknode.mock.cluster.client import ControlClient


@dataclass(slots=True, kw_only=True)
class GivenLanes:
    """Lanes of a balancer that already runs; all of them use the same cluster and balancer."""

    front: FrontDoor
    control_url: str
    control_token: str | None
    control_ca: str | None
    run_dir: Path
    demands: Demands
    verb: str = "check"
    shared: bool = True
    nodes: tuple[str, ...] = ()
    url: str = ""
    tentacles: Mapping[str, PollingAddress] = field(default_factory=dict)
    standby_url: str | None = None

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[Lab]:
        """Connect to the control API. The nodes are left as they were found: online and without faults.

        Raises:
            LaneError: another product or version, or nodes that are not healthy to begin with.
        """
        async with contextlib.AsyncExitStack() as stack:
            control = await stack.enter_async_context(
                ControlClient(self.control_url, token=self.control_token, ca=self.control_ca)
            )
            offset_ns = await clock_offset_ns(control, self.control_url)
            # Hold it before looking at it: a second run must not take the first one's drains for somebody's mistake.
            await stack.enter_async_context(
                control.hold(f"mocknode {self.verb} --lb {self.front.url}, process {os.getpid()}")
            )
            cluster = await control.cluster()
            _refuse_busy(cluster["nodes"])
            stack.push_async_callback(_reset_quietly, control)
            self.nodes = tuple(node["name"] for node in cluster["nodes"])
            self.url = self.front.url
            standby = None if self.standby_url is None else await self._standby(stack, control, cluster, offset_ns)
            began_ns = time.monotonic_ns()
            recording = stack.enter_context(Recording(self.run_dir / name / "history.jsonl", offset_ns, began_ns))
            lab = Lab(
                name=name,
                front=self.front,
                secure=self.front if self.front.scheme == "https" else None,
                control=control,
                recording=recording,
                nodes=self.nodes,
                serving=self.nodes,
                api_key=cluster["api_key"],
                started_ns=began_ns,
                clock_offset_ns=offset_ns,
                tentacles={node: self.tentacles[node] for node in self.nodes if node in self.tentacles},
                standby=standby,
                **shared_settings(self.demands),
            )
            stack.push_async_callback(_delete_packages, lab, cluster)
            stack.push_async_callback(read_journals_once_more, lab)
            if self.tentacles:
                _refuse_unpolled(cluster["nodes"], self.tentacles)
                await stack.enter_async_context(registered_tentacle(lab))
            yield lab

    async def _standby(
        self, stack: contextlib.AsyncExitStack, control: ControlClient, cluster: Mapping[str, Any], offset_ns: int
    ) -> Standby:
        """Connect to the standby's control API, with the primary's token and CA."""
        url = self.standby_url or ""
        client = await stack.enter_async_context(ControlClient(url, token=self.control_token, ca=self.control_ca))
        theirs_ns = await clock_offset_ns(client, url)
        await stack.enter_async_context(
            client.hold(f"mocknode {self.verb} --lb {self.front.url}, process {os.getpid()}")
        )
        found = await client.cluster()
        if found["nodes"][0]["http"] == cluster["nodes"][0]["http"]:
            raise LaneError(f"--standby {url} is the primary cluster itself; give the control API of the other one")
        if len(found["nodes"]) != len(self.nodes):
            raise LaneError(
                f"the standby has {len(found['nodes'])} nodes, the primary {len(self.nodes)}; each primary node needs one standby node"
            )
        _refuse_busy(found["nodes"])
        if self.tentacles and any(node["tentacle"] is None for node in found["nodes"]):
            raise LaneError(
                "the standby's nodes do not listen for Tentacles; start them with --tentacle-port, like the primary's"
            )
        stack.push_async_callback(_reset_quietly, client)
        names = [node["name"] for node in found["nodes"]]
        return Standby.of(control, client, self.nodes, names, found["api_key"], theirs_ns - offset_ns)


def _refuse_busy(nodes: list[dict[str, Any]]) -> None:
    """Refuse a cluster that is draining or has faults: somebody may be using it."""
    busy = [f"{n['name']} is {n['state']}" for n in nodes if n["state"] != "online"]
    busy += [f"{n['name']} has {len(n['faults'])} faults" for n in nodes if n["faults"]]
    if busy:
        raise LaneError(f"the nodes are not healthy: {', '.join(busy)}; `mocknode reset` puts them right")


def _refuse_unpolled(nodes: list[dict[str, Any]], given: Mapping[str, PollingAddress]) -> None:
    """Refuse addresses of nodes that do not exist or do not listen for Tentacles, and nodes without an address."""
    polled = [node["name"] for node in nodes if node["tentacle"] is not None]
    if not polled:
        raise LaneError(
            "the nodes do not listen for Tentacles, so their addresses cannot be judged; start them with --tentacle-port"
        )
    for name in given:
        if name not in polled:
            raise LaneError(f"--tentacle: no node {name!r} listens for Tentacles; allowed are {', '.join(polled)}")
    missing = [name for name in polled if name not in given]
    if missing:
        raise LaneError(f"--tentacle: no address is given for {', '.join(missing)}; every Tentacle polls every node")


async def _delete_packages(lab: Lab, cluster: Mapping[str, Any]) -> None:
    """Delete the packages that this run pushed into somebody's cluster; report those that remain."""
    sent = {attempt.id for attempt in lab.history.attempts if attempt.method == "POST"}
    if not sent:
        return
    await _reset_quietly(lab.control)
    try:
        async with asyncio.timeout(CLEANUP_S_MAX):
            await delete_packages(cluster, sent, lab.front)
    except (httpx.HTTPError, TimeoutError) as exc:
        lab.say(f"packages of this run, named mocknode-*, could not be deleted: {str(exc) or type(exc).__name__}")


async def _reset_quietly(control: ControlClient) -> None:
    """Leave the nodes healthy, also when the run was interrupted; the control API may be gone by then."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(control.reset(), CLEANUP_S_MAX)
