"""A storm of small packages from fifty clients while nodes drain and crash: `python tests/mock/clients/client_storm.py`.

Method. Three nodes, one balancer in mode recommended. Every client is one of those of the matrix (one of each program, the others
those whose bytes are sent) and pushes its next package when it was told of the last one, each with a name and bytes of its own,
until all are pushed and every node was drained and killed once, one after another. Then what clients were told is held
against the catalogue of every node and against the nodes' journals: told stored is stored, once, with the digest that was sent;
nothing is stored or delivered twice; and no push failed while all nodes were there, or one merely drained.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from client_matrix import account, promise
from client_programs import FAIL, PUSHERS, Client
from client_stage import Stage, staged
from client_wire import Told

from mocknode.judge.balancers import probes

# A step of the schedule: what happens to which node.
Step = tuple[str, str]
EVERY_NODE: tuple[Step, ...] = tuple(
    (how, f"node-{number}") for how in ("drain", "crash") for number in (1, 2, 3)
)  # fmt: skip


@dataclass(slots=True)
class Storm:
    """A storm under way, and what came of it.

    Attributes:
        pushed: Each push with what its client was told.
        failed: Beginning and end of each push that failed, in seconds of the monotonic clock, and what was told.
        outages: From when until when a node was away.
    """

    stage: Stage
    front: str
    size: int
    wanted: int
    over: bool = False
    pushed: list[tuple[Path, Told]] = field(default_factory=list)
    failed: list[tuple[float, float, Told]] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)

    async def push(self, client: Client) -> None:
        """One client, until all is pushed and the schedule is over."""
        assert client.push is not None
        while not self.over or len(self.pushed) < self.wanted:
            (file,) = self.stage.packages("Storm", 1, self.size)
            began = time.monotonic()
            outcome = await client.push(self.stage.fronts[self.front], self.stage.api_key, [file], FAIL)
            self.pushed.append((file, outcome))
            if not outcome.ok:
                self.failed.append((began, time.monotonic(), outcome))

    async def disturb(self, steps: Sequence[Step]) -> None:
        """The schedule: each step ends when the node takes requests again."""
        names = self.stage.behind(self.front)
        for how, node in steps:
            began = time.monotonic()
            others = [name for name in names if name != node]
            if how == "crash":
                await self.stage.control.set_state(node, "offline", "crash")
                await self.stage.in_service(self.front, others)
            else:
                await self.stage.control.set_state(node, "draining")
                if probes(self.front, "recommended"):
                    await self.stage.in_service(self.front, others)
            await self.stage.control.set_state(node, "online")
            await self.stage.in_service(self.front, names)
            if how == "crash":
                self.outages.append((began, time.monotonic()))
            print(f"{node}: {how}, and back; {len(self.pushed)} pushes", file=sys.stderr, flush=True)
        self.over = True

    def unexcused(self) -> list[Told]:
        """What failed while no node was away."""
        return [
            told
            for began, ended, told in self.failed
            if not any(began <= until and since <= ended for since, until in self.outages)
        ]


async def storm(
    stage: Stage, front: str, *, clients: int, packages: int, size: int, steps: Sequence[Step]
) -> tuple[Counter[str], float]:
    """Let it blow, and close the account: how many pushes ended how, and how many seconds it took.

    Raises:
        BrokenPromiseError: somebody was told a lie, something is there twice, or a push failed without an outage.
    """
    running = Storm(stage, front, size, packages)
    programs = [client for client in PUSHERS if client.version != "its bytes"]
    wires = [client for client in PUSHERS if client.version == "its bytes"]
    crowd = [*programs, *wires * clients][:clients]
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(running.disturb(steps))
        for client in crowd:
            group.create_task(running.push(client))
    took = time.monotonic() - began
    promise(not running.unexcused(), f"failed while every node was there: {running.unexcused()[:3]}")
    return await account(stage, running.pushed), took


async def _run(front: str, clients: int, packages: int, size: int) -> tuple[Counter[str], float]:
    with tempfile.TemporaryDirectory(prefix="client-storm-") as directory:
        async with staged(Path(directory) / "stage", [front]) as stage:
            return await storm(stage, front, clients=clients, packages=packages, size=size, steps=EVERY_NODE)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--balancer", default="haproxy")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--packages", type=int, default=2000, help="at least so many (default 2000)")
    parser.add_argument("--size", type=int, default=64 * 1024, help="bytes of each package (default 64 KiB)")
    args = parser.parse_args()
    outcomes, took = asyncio.run(_run(args.balancer, args.clients, args.packages, args.size))
    print(
        f"{outcomes.total():,} pushes of {args.size:,} bytes by {args.clients} clients through {args.balancer} in {took:.0f} s, each "
        f"node drained and killed once: {', '.join(f'{count:,} {name}' for name, count in outcomes.most_common())}"
    )


if __name__ == "__main__":
    main()
