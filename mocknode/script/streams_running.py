"""The load of a scenario: one generator for each stream that sends requests, and the records that they write."""

import asyncio
import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mocknode.judge.traffic import FrontDoor
from mocknode.load.generator import Generator, Workload
from mocknode.load.lines import Tail
from mocknode.mock.cluster.client import ControlClient
from mocknode.script.model import Stream
from mocknode.script.values import short
from mocknode.script.vocabulary import STREAMS

LONGEST_S: Final = 24 * 3600.0
"""Generators run until they are told to stop; this is for a scenario that nobody is left to stop."""
_IDLE: Final[Mapping[str, Any]] = {"users": 0, "sizes": "64KiB", "forms": "chunked", "link": 0.0}


def workload_of(stream: Stream, seed: int) -> Workload | None:
    """Return what a generator is to send for a stream; None if the engine makes the stream itself.

    Each stream has a seed of its own, so that changing one leaves the sizes of the others as they were.
    """
    make = STREAMS[stream.kind].workload
    if make is None:
        return None
    own = random.Random(f"{seed}:sizes:{stream.name}").getrandbits(31)
    return Workload(**{**_IDLE, **make(stream.args)}, duration_s=LONGEST_S, seed=own)


class Streams:
    """The streams of a run.

    Args:
        run_dir: Gets a directory of records for each stream.
    """

    def __init__(self, streams: Sequence[Stream], seed: int, run_dir: Path) -> None:
        self._streams = streams
        self._seed = seed
        self._run_dir = run_dir
        self._generators: dict[str, Generator] = {}
        self._tails: dict[str, Tail] = {}
        self._pacing: list[asyncio.Task[None]] = []

    def start(self, front: FrontDoor, api_key: str, control: ControlClient) -> None:
        """Start all streams."""
        for stream in self._streams:
            work = workload_of(stream, self._seed)
            if work is None:
                self._pacing.append(asyncio.create_task(_queue_tasks(control, stream.args), name=stream.name))
                continue
            directory = self._run_dir / "records" / stream.name
            directory.mkdir(parents=True)
            self._tails[stream.name] = Tail(directory)
            log = self._run_dir / f"locust-{stream.name}" / "locust.log"
            log.parent.mkdir()
            environment = {"MOCKNODE_LOAD_KEY": api_key}
            self._generators[stream.name] = Generator.start(work, front, directory, log, environment)

    def news(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the lines that each stream's generator has written since the last call."""
        for name, tail in self._tails.items():
            more = True
            while more:
                lines, more = tail.read()
                if lines:
                    yield name, lines

    async def ended(self) -> list[str]:
        """Return why generators have ended, although nobody has stopped them."""
        return [
            f"the generator of {name} has ended: {generator.tail()}"
            for name, generator in self._generators.items()
            if await generator.ended(0.0)
        ]

    async def finish(self, within_s: float) -> None:
        """Start nothing new, and let what is under way end within this time."""
        for task in self._pacing:
            task.cancel()
        await asyncio.gather(*self._pacing, return_exceptions=True)
        for generator in self._generators.values():
            generator.finish(within_s)
        await asyncio.gather(*(generator.ended(within_s) for generator in self._generators.values()))

    async def stop(self) -> None:
        """Stop everything now."""
        for task in self._pacing:
            task.cancel()
        with contextlib.suppress(RuntimeError):
            await asyncio.gather(*(generator.stop() for generator in self._generators.values()))


async def _queue_tasks(control: ControlClient, args: Mapping[str, Any]) -> None:
    while True:
        await control.add_tasks(short(args["duration"]))
        await asyncio.sleep(args["every"])
